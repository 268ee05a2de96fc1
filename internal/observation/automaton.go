// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"slices"
	"sync"
)

// maxText is how much of a text is read, in bytes.
const maxText = 2 << 10

// automaton finds all wordings in one pass over a text, whatever their number
// (Aho and Corasick, CACM 1975). Its table is complete: one look-up a byte, no
// failure links at run time.
type automaton struct {
	class [256]uint8 // of a byte, folded to lower case; 0 is any byte that no wording holds
	next  []uint16   // state<<classBits | class -> state
	// States from accepting on end a wording; their findings are at
	// found[state-accepting].
	accepting uint16
	found     []finding
}

// finding is what has been read when an accepting state is reached.
type finding struct {
	says   meaning // of wordings that may stand anywhere
	placed []wording
}

const classBits = 6

// allWordings are those of all tables; see callWordings.
func allWordings() []wording {
	return slices.Concat(callWordings, clientWordings, replyWordings, ownWordings, errorWordings)
}

// words finds all wordings. It is built at the first use, in a few milliseconds.
var words = sync.OnceValue(func() *automaton { return newAutomaton(allWordings()) })

// endings finds only the wordings that count in ordinary lines, too: it is an
// order of magnitude smaller and stays in the cache.
var endings = sync.OnceValue(func() *automaton {
	var list []wording
	for _, w := range allWordings() {
		if w.says&anySeverity != 0 {
			list = append(list, w)
		}
	}
	return newAutomaton(list)
})

// read returns what the first maxText bytes of s say.
func (a *automaton) read(s string) (m meaning) {
	if len(s) > maxText {
		s = s[:maxText]
	}
	state := uint16(0)
	next := a.next
	for i := range len(s) {
		state = next[int(state)<<classBits|int(a.class[s[i]])]
		if state >= a.accepting {
			f := &a.found[state-a.accepting]
			m |= f.says
			for j := range f.placed {
				if w := &f.placed[j]; w.standsAt(s, i+1) {
					m |= w.says
				}
			}
		}
	}
	return m
}

// standsAt says whether w, which ends before s[end], is where it must be.
func (w *wording) standsAt(s string, end int) bool {
	start := end - len(w.text)
	if w.place == atStart {
		for start > 0 && s[start-1] <= ' ' {
			start--
		}
		return start == 0
	}
	if w.place == atEnd {
		return end == len(s)
	}
	return (start == 0 || !inWord(s[start-1])) &&
		(end == len(s) || !inWord(s[end]) || !inWord(s[end-1]))
}

func inWord(c byte) bool {
	return c-'0' < 10 || c|0x20-'a' < 26 || c == '_' || c >= 0x80
}

func newAutomaton(list []wording) *automaton {
	a := &automaton{}
	classes := 1
	for _, w := range list {
		for i := range len(w.text) {
			if c := w.text[i]; a.class[c] == 0 {
				a.class[c] = uint8(classes)
				classes++
			}
		}
	}
	if classes > 1<<classBits {
		panic("observation: wordings use more than 63 different characters")
	}
	for c := 'A'; c <= 'Z'; c++ {
		a.class[c] = a.class[c|0x20]
	}

	// The trie of all wordings; 0 is the root and "no edge".
	type node struct {
		next [1 << classBits]uint16
		fail uint16
		ends []wording
	}
	trie := make([]node, 1, 4096)
	for _, w := range list {
		at := uint16(0)
		for i := range len(w.text) {
			c := a.class[w.text[i]]
			if trie[at].next[c] == 0 {
				trie = append(trie, node{})
				trie[at].next[c] = uint16(len(trie) - 1)
			}
			at = trie[at].next[c]
		}
		trie[at].ends = append(trie[at].ends, w)
	}
	// Breadth first: what fails goes on where the longest suffix stands.
	queue := make([]uint16, 0, len(trie))
	for _, n := range trie[0].next {
		if n != 0 {
			queue = append(queue, n)
		}
	}
	for i := 0; i < len(queue); i++ {
		at := queue[i]
		n := &trie[at]
		n.ends = append(n.ends, trie[n.fail].ends...)
		for c := range n.next {
			onFail := trie[n.fail].next[c]
			if to := n.next[c]; to != 0 {
				trie[to].fail = onFail
				queue = append(queue, to)
			} else {
				n.next[c] = onFail
			}
		}
	}
	// States are numbered by depth, because ordinary text keeps to the shallow
	// ones and their rows then share the cache; accepting ones come last, so that
	// one comparison tells them.
	order := append([]uint16{0}, queue...)
	number := make([]uint16, len(trie))
	states := uint16(0)
	for _, i := range order {
		if len(trie[i].ends) == 0 {
			number[i] = states
			states++
		}
	}
	a.accepting = states
	for _, i := range order {
		if len(trie[i].ends) == 0 {
			continue
		}
		number[i] = states
		states++
		var f finding
		for _, w := range trie[i].ends {
			if w.place == anywhere {
				f.says |= w.says
			} else {
				f.placed = append(f.placed, w)
			}
		}
		a.found = append(a.found, f)
	}
	a.next = make([]uint16, len(trie)<<classBits)
	for i := range trie {
		for c, to := range trie[i].next {
			a.next[int(number[i])<<classBits|c] = number[to]
		}
	}
	return a
}
