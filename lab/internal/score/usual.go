// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

import (
	"slices"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// calmed is how long after the last call that an injection hurt its fleet is clean.
const calmed = 5 * time.Second

// cleanP99 is learned where no fault and no confounder can be felt: where nothing is
// done, and between the recovery from one injection and the next.
func cleanP99(windows []window, recovered map[*ledger.Injection]time.Time, spans []Span) map[operation]time.Duration {
	all := map[operation][]time.Duration{}
	for i := range spans {
		s := &spans[i]
		felt := func(w window) bool {
			return w.in.Kind != ledger.Clean && w.holds(s.Start, s.end()) && s.Start.Before(recovered[w.in].Add(calmed))
		}
		if s.Failed || slices.ContainsFunc(windows, felt) {
			continue
		}
		op := operation{s.Service, s.Operation}
		all[op] = append(all[op], s.Duration)
	}
	out := map[operation]time.Duration{}
	for op, ds := range all {
		if len(ds) >= fewest {
			slices.Sort(ds)
			out[op] = rank(ds, 0.99)
		}
	}
	return out
}

// lingering is in which steps it is looked how long a fault goes on to make others late,
// and the share of the requests that it takes for that. Of requests that no fault hurts
// few are slow by chance.
const (
	lingering   = 500 * time.Millisecond
	stillSlow   = 0.2
	fewestTails = 5
)

// linger moves each recovery on to where those who could feel the fault are as fast
// again as they used to be: queues empty and connections are made anew for a while after
// the last call that failed.
func (h *harm) linger() {
	type step struct{ of, slow map[traceID]bool } // traces
	after := make([][]step, len(h.windows))
	for i := range h.tree.spans {
		s := &h.tree.spans[i]
		p99, known := h.p99[operation{s.Service, s.Operation}]
		for j := range h.windows {
			at := int(s.Start.Sub(h.recovered[j]) / lingering)
			if !known || s.Failed || !s.Start.After(h.recovered[j]) || !s.Start.Before(h.windows[j].until) || !h.felt(j, s) {
				continue
			}
			for len(after[j]) <= at {
				after[j] = append(after[j], step{map[traceID]bool{}, map[traceID]bool{}})
			}
			if after[j][at].of[s.Trace] = true; s.Duration > p99 {
				after[j][at].slow[s.Trace] = true
			}
		}
	}
	for j := range after {
		for _, at := range after[j] {
			if len(at.of) < fewestTails || float64(len(at.slow)) < stillSlow*float64(len(at.of)) {
				break
			}
			h.recovered[j] = h.recovered[j].Add(lingering)
		}
	}
}
