// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

import "github.com/faultline-otel/faultline/lab/internal/ledger"

// refuser is a service that turned somebody away in a window.
type refuser struct {
	window  int
	service string
}

// learnRefusers notes whom a client that is to blame itself asked in vain.
func (h *harm) learnRefusers(calls []ledger.Call) {
	for i := range calls {
		c := &calls[i]
		for j := range h.windows {
			w := &h.windows[j]
			if culprits := w.in.Culprits; !c.OK && len(culprits) > 0 && culprits[0].Type == "client" &&
				c.Service == serviceOf(culprits[0]) && w.holds(c.Start, c.Start.Add(c.Duration)) {
				h.refusers[refuser{j, c.Callee}] = true
			}
		}
	}
}
