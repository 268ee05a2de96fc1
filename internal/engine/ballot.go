// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// Whose digest is wrong. Replicas beat one after the other and get a change one after
// the other, so two digests say something only if the state stood still meanwhile. The
// digests of a service are therefore compared once a period of two beats: who said in
// it nothing that any sibling has ever said, while the others said one thing all along,
// dissents. An old state was a sibling's once, and one who is ahead is followed soon. What
// only dissenters said is nobody's old state: who loses all he has vouches for the same
// nothing as who lost it before him.
// So the cost is a constant a beat, however many there are.

// ballot is what the instances of a service vouched for of late.
type ballot struct {
	said   map[uint64]*word
	order  []uint64 // the digests in said as a ring, the oldest at next
	next   int
	began  clock.Time    // the period under way
	period time.Duration // how long it is
}

// word is a digest that was said.
type word struct {
	digest uint64
	at     clock.Time // when it was said first
	by     uint64     // key of who said it then
	wrong  bool       // who said it was convicted of it, and the others never came to say it
	last   [2]sayer   // the two who said it last, the later one first
}

// sayer is one who said a word.
type sayer struct {
	key uint64
	at  clock.Time
}

// say notes that n says w.
func (w *word) say(n *entity, now clock.Time) {
	if w.last[0].key != n.key {
		w.last[1] = w.last[0]
	}
	w.last[0] = sayer{n.key, now}
}

// byOthers is when another than n said w last; 0 if none did.
func (w *word) byOthers(n *entity) clock.Time {
	if w.last[0].key == n.key {
		return w.last[1].at
	}
	return w.last[0].at
}

const (
	maxWords     = 256 // of a service that are remembered
	agreedFull   = 10  // periods in step, after which one that is alone counts
	dissentsFull = 3   // periods alone that convict
	// periodBeats is how many usual intervals a period lasts: everybody has beaten twice.
	periodBeats    = 2.2
	shortestPeriod = 200 * time.Millisecond
	longestPeriod  = 10 * time.Minute
	// followedWithin is how long one may be ahead of the rest who stand still: writes take
	// their time to reach everybody.
	followedWithin = 10 * time.Second
	mostAhead      = 20 // periods, of what is learned of that
	// newVoters is the share of those against one who may have started since it last
	// agreed: more are a roll-out, and what they vouch for may have another form.
	newVoters = 0.2
)

// word returns the record of a digest that n says.
func (b *ballot) word(digest uint64, n *entity, now clock.Time) *word {
	if w := b.said[digest]; w != nil {
		return w
	}
	w := &word{digest: digest, at: now, by: n.key}
	if len(b.order) < maxWords {
		b.order = append(b.order, digest)
	} else {
		delete(b.said, b.order[b.next])
		b.order[b.next] = digest
		b.next = (b.next + 1) % maxWords
	}
	b.said[digest] = w
	return w
}

// heard notes, before n's word is replaced and when the period ends, whether any other
// has said it.
func (v *vouching) heard(n *entity) {
	if v.word == nil || v.words == 0 || v.word.wrong {
		return
	}
	if at := v.word.byOthers(n); at != 0 {
		v.lone = false
		v.siblingAt = max(v.siblingAt, at)
	}
}

// compareDigests ends the period of s if it is time.
func (e *Engine) compareDigests(s *service, interval time.Duration) {
	b := s.ballot
	if b == nil {
		b = &ballot{said: map[uint64]*word{}}
		s.ballot = b
		b.begin(e.now, interval)
		return
	}
	if e.now.Sub(b.began) < b.period {
		return
	}
	most, voters := e.tally(s, b.began)
	for _, top := range most {
		if top.votes > 1 {
			top.word.wrong = false
		}
	}
	for _, n := range s.instances {
		v := &n.vouching
		if v.words == 0 {
			continue
		}
		v.heard(n)
		if v.version != n.version {
			v.version, v.agreed, v.dissents = n.version, 0, 0
		}
		switch top := most[v.version]; {
		case !v.lone || top.votes > 1 && v.word.digest == top.word.digest:
			v.follows(n, e.now)
		case n.tellsItsStart() && v.agreed == agreedFull && top.votes >= 2 &&
			(top.votes == voters[v.version]-1 || 3*top.votes > 2*voters[v.version]):
			e.dissents(n, top)
		}
		v.words, v.lone = 0, true
		e.fallsBehind(n)
	}
	b.begin(e.now, e.usualInterval(s))
}

func (b *ballot) begin(now clock.Time, interval time.Duration) {
	b.began = now
	b.period = min(max(time.Duration(periodBeats*float64(interval)), shortestPeriod), longestPeriod)
}

// majority is the word that most of one version said all along.
type majority struct {
	word  *word
	votes int
}

// tally counts, for each version, how many vouched for anything in the period that
// began then, and which word was said most by those who said nothing else.
func (e *Engine) tally(s *service, began clock.Time) (most map[string]majority, voters map[string]int) {
	type ticket struct {
		version string
		digest  uint64
	}
	votes := map[ticket]int{}
	most, voters = map[string]majority{}, map[string]int{}
	for _, n := range s.instances {
		v := &n.vouching
		if v.words == 0 {
			continue
		}
		voters[n.version]++
		if v.words < 2 || v.changedAt >= began {
			continue
		}
		t := ticket{n.version, v.word.digest}
		votes[t]++
		if votes[t] > most[t.version].votes {
			most[t.version] = majority{v.word, votes[t]}
		}
	}
	return most, voters
}

// usualInterval is the median of the intervals at which instances of s beat.
func (e *Engine) usualInterval(s *service) time.Duration {
	all := e.intervals[:0]
	for _, n := range s.instances {
		for _, st := range n.streams {
			if st.kind == signBeat && n.vouching.word != nil && st.gaps.Interval > 0 {
				all = append(all, st.gaps.Interval)
				break
			}
		}
	}
	e.intervals = all
	if len(all) == 0 {
		return longestPeriod
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// follows notes that n said in a period what a sibling says or said. If that was n's word
// first, it was ahead of them; else it was put right.
func (v *vouching) follows(n *entity, now clock.Time) {
	if v.dissents > 0 && v.word.by == n.key {
		v.usualLone = min(max(v.dissents, v.usualLone-1), mostAhead)
	}
	v.agreed, v.agreedAt, v.dissents = min(v.agreed+1, agreedFull), now, 0
}

// dissents notes that all that n said in a period is its own, while siblings agreed.
func (e *Engine) dissents(n *entity, top majority) {
	v := &n.vouching
	if v.dissents == 0 {
		if e.startedSince(n, v.siblingAt) >= newVoters*float64(top.votes) {
			return
		}
		v.stoodStill = true
	}
	v.stoodStill = v.stoodStill && top.word.at <= v.agreedAt
	v.against = top.votes
	v.dissents++
	convicts := v.convicts(e.now)
	if convicts {
		v.word.wrong = true
	}
	if convicts || v.soonConvicts(e.now) {
		e.suspect(n)
	}
}

// convicts says whether n has dissented for long enough: longer than it usually takes
// the others to follow.
func (v *vouching) convicts(now clock.Time) bool { return v.dissented(0, now, 0) }

// soonConvicts says whether it would if n went on for one more period, or a moment: what
// it answers meanwhile can wait for that.
func (v *vouching) soonConvicts(now clock.Time) bool {
	return !v.convicts(now) && v.dissented(1, now, doubtAhead)
}

// doubtAhead is how long before a conviction answers are doubtful: about as long as spans
// wait.
const doubtAhead = 3 * time.Second

func (v *vouching) dissented(fewer int, now clock.Time, sooner time.Duration) bool {
	if v.dissents < dissentsFull+2*v.usualLone-fewer {
		return false
	}
	return !v.stoodStill || now.Sub(v.agreedAt) >= followedWithin-sooner
}

// startedSince counts siblings of n that started after a time.
func (e *Engine) startedSince(n *entity, t clock.Time) (count float64) {
	for _, m := range n.service.instances {
		if m != n && (m.born > t || m.incarnations[len(m.incarnations)-1].first > t) {
			count++
		}
	}
	return count
}

// tellsItsStart says whether it would be seen that n was replaced: its digest may take
// another form then.
func (n *entity) tellsItsStart() bool {
	return n.version != "" || n.incarnations[len(n.incarnations)-1].token != 0
}
