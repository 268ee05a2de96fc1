// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

import "time"

// Calls that hang or fail for want of the culprit hold the threads, connections and
// processor of who made them, and calls to the same address that somebody else behind it
// answers have to wait for these. No trace joins the two. It is told by how many of them are
// slow at the same time: of what no fault touches one in a hundred is.

const (
	// besideStep is in which steps it is looked.
	besideStep = 500 * time.Millisecond
	// besideShare is the share of the requests that have to be slow in a step, and
	// fewestBeside how many: what else a busy machine does makes some slow, and few are so
	// by chance.
	besideShare  = 0.5
	fewestBeside = 3
)

// asking is what one process asks at one address, in one step of a fault's window.
type asking struct {
	window, step                 int
	instance, operation, address string
}

func askingOf(j, step int, s *Span) asking {
	return asking{j, step, s.Instance, s.Operation, s.Address}
}

// beside notes the slow calls that were made beside others of their kind which the fault
// made fail or wait.
func (h *harm) beside() {
	held := map[asking]bool{}
	all, slow := map[asking]map[traceID]bool{}, map[asking]map[traceID][]*Span{}
	for i := range h.tree.spans {
		s := &h.tree.spans[i]
		p99, known := h.p99[operation{s.Service, s.Operation}]
		if !known || !s.Client || s.Address == "" {
			continue
		}
		for j := range h.windows {
			w := &h.windows[j]
			if !w.holds(s.Start, s.end()) || s.Start.After(h.recovered[j]) || s.Start.Before(w.in.Start) {
				continue
			}
			first, last := int(s.Start.Sub(w.in.Start)/besideStep), int(s.end().Sub(w.in.Start)/besideStep)
			switch felt, bad := h.felt(j, s), s.Failed || s.Duration > p99; {
			case felt && bad:
				for step := first; step <= last+1; step++ { // a failure has to be dealt with, too
					held[askingOf(j, step, s)] = true
				}
			case !felt && !s.Failed:
				at := askingOf(j, first, s)
				if all[at] == nil {
					all[at], slow[at] = map[traceID]bool{}, map[traceID][]*Span{}
				}
				if all[at][s.Trace] = true; bad {
					slow[at][s.Trace] = append(slow[at][s.Trace], s)
				}
			}
		}
	}
	for at, traces := range slow {
		if !held[at] || len(traces) < fewestBeside || float64(len(traces)) < besideShare*float64(len(all[at])) {
			continue
		}
		for _, spans := range traces {
			for _, s := range spans {
				h.waits(at.window, s)
			}
		}
	}
}
