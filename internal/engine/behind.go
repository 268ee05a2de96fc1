// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// Callers that go by a service's name do not tell which of its instances they
// meant. Those that have answered them since are reached; the silences belong to
// the others. Who answers is known from traces that hold both ends of a call.

// behindName turns what a caller sees of a name into what it sees of those
// behind it, as far as that is known.
func (e *Engine) behindName(out []sight, s sight, w *view) []sight {
	var reached, missing []sight
	for _, i := range s.target.service.instances {
		if i.left || i.host == nil || i.host == w.from {
			continue
		}
		one := s
		one.target, one.to, one.named = i, i.host, s.target
		met := i.metBy(w.caller)
		switch {
		case met != 0 && (s.share < silentFrom && s.good.Sub(met) < metLately || s.share >= silentFrom && met > s.since):
			one.share, one.good, one.broken = 0, met, false
			reached = append(reached, one)
		case met != 0 && s.share >= silentFrom:
			one.share, one.good = 1, met
			missing = append(missing, one)
		}
	}
	switch {
	case len(reached)+len(missing) == 0, s.share >= silentFrom && len(missing) == 0:
		s.to = s.target.service.place()
		return append(out, s)
	case s.share >= silentFrom:
		for i := range missing {
			missing[i].weight /= float64(len(missing))
		}
		out = append(out, missing...)
	}
	for i := range reached {
		reached[i].weight /= float64(len(reached))
	}
	return append(out, reached...)
}

// metLately is how long after a call the one behind the name is known to be
// reached by those that go well.
const metLately = 15 * time.Second

// metBy is when n last answered a caller that knows it by its service's name, 0
// if that is not known.
func (n *entity) metBy(caller *entity) Time {
	for _, w := range n.views {
		if w.caller == caller {
			return w.lastMet
		}
	}
	return 0
}

// place is where all instances of a service stand: their host, else a place in
// their zone, or nil.
func (s *service) place() *hostState {
	var host *hostState
	for _, i := range s.instances {
		switch {
		case i.left || i.host == nil || i.host == host:
		case host == nil:
			host = i.host
		case host.zone == "" || host.zone != i.host.zone:
			return nil
		case host.name != "":
			host = &hostState{zone: host.zone}
		}
	}
	return host
}
