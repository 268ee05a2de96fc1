// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// Each host from which somebody is called has one voice, however much it calls:
// where a single one complains and others, who called since, are content, the
// matter is more likely with the one who complains, or with its way.

const (
	// complainsFrom is the share of its calls that must fail for a host to complain.
	complainsFrom = 0.1
	// contentAfter is how long after the first failure a call must have ended
	// well: what was under way then says nothing.
	contentAfter = time.Second
	// contentMany others outweigh one.
	contentMany = 2
)

// oneVoice is how much the complaints about n count, 0-1, that began at since:
// little if they come from one host alone and others are content.
func (e *Engine) oneVoice(n *entity, since Time) float64 {
	var who *hostState // who complains
	var content [maxVoices]*hostState
	many := 0
	for _, ed := range n.calledBy {
		failed := ed.failed.value(e.now, e.params.CallWindow)
		if failed >= 0.1 && failed >= complainsFrom*(failed+ed.ok.value(e.now, e.params.CallWindow)) {
			if who != nil && who != ed.caller.host {
				return 1
			}
			who = ed.caller.host
			continue
		}
		if ed.okEnd > since.Add(contentAfter) && many < maxVoices && !holds(content[:many], ed.caller.host) {
			content[many] = ed.caller.host
			many++
		}
	}
	if holds(content[:many], who) {
		many-- // another process there is content
	}
	if who == nil || many < contentMany {
		return 1
	}
	return 1 / float64(1+many)
}

// maxVoices is how many hosts are heard: more do not change anything.
const maxVoices = 8

func holds(hosts []*hostState, h *hostState) bool {
	for _, x := range hosts {
		if x == h {
			return true
		}
	}
	return false
}
