// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "github.com/faultline-otel/faultline/internal/engine/report"

// Whose failures they are: who answers knows better than who asks.

// faults is how much of a work of n failed lately by its own making, and how much there
// was. Of answers: in its own words, else in those of its instances if all of them tell,
// else in its callers', to whom what it only passes on looks the same.
func (n *entity) faults(e *Engine, at work) (faults, all float64) {
	w := e.params.CallWindow
	switch {
	case at == workMessages:
		return n.worked.faults.Value(e.now, w), n.worked.ok.Value(e.now, w) + n.worked.faults.Value(e.now, w)
	case n.served.total > 0:
		return n.served.lately(e)
	}
	if n.kind == kindService {
		if faults, all = n.service.faults(e); all > 0 {
			return faults, all
		}
	}
	if s := n.calls; s != nil {
		return s.byOutcome[report.OutcomeServerError].Value(e.now, w), s.ok.Value(e.now, w)
	}
	return 0, 0
}

// faultsLately is how much failed lately by n's own making of what fails more than usual.
func (n *entity) faultsLately(e *Engine) (sum float64) {
	for w := range n.integrity.errs {
		if n.integrity.errs[w].since != 0 {
			faults, _ := n.faults(e, work(w))
			sum += faults
		}
	}
	return sum
}

// faults sums up what the instances of a service tell of their answers; nothing if one
// does not.
func (s *service) faults(e *Engine) (faults, all float64) {
	for _, i := range s.instances {
		if i.left {
			continue
		}
		if i.served.total == 0 {
			return 0, 0
		}
		f, a := i.served.lately(e)
		faults, all = faults+f, all+a
	}
	return faults, all
}

// lately is how many answers were failures of its own making, and how many there were.
func (s *servedStats) lately(e *Engine) (faults, all float64) {
	w := e.params.CallWindow
	return s.faults.Value(e.now, w), s.ok.Value(e.now, w) + s.failed.Value(e.now, w)
}
