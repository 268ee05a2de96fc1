// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// Callers that go by a service's name do not tell which of its instances they
// meant. Those that have answered them since are reached; the silences belong to
// the others. Who answers is known from traces that hold both ends of a call.

// behindName turns what a caller sees of a name into what it sees of those
// behind it, as far as that is known.
func (e *Engine) behindName(out []sight, s sight, w *view) []sight {
	var reached, missing []sight
	latest := clock.Time(0)
	for _, i := range s.target.service.instances {
		if v := i.seenBy(w.caller); v != nil {
			latest = max(latest, v.lastMet)
		}
	}
	for _, i := range s.target.service.instances {
		v := i.seenBy(w.caller)
		if v == nil || v.lastMet == 0 || i.left || i.host == nil || i.host == w.from {
			continue
		}
		one := s
		one.target, one.to, one.named, one.good = i, i.host, s.target, v.lastMet
		one.arrived = v.arrives(&s)
		missed := float64(latest.Sub(v.lastMet))*(1-s.share) > float64(missedAfter*v.metEvery) // all are met less often if each loses some
		switch {
		case missed && w.stillAsked(v, latest, e.now):
			one.share, one.since = 1, max(w.trouble, v.lastMet)
			one.weight = min(s.weight, w.silent.Value(e.now, viewWindow)/2)
			missing = append(missing, one)
		case s.share < silentFrom && s.good.Sub(v.lastMet) < metLately || s.share >= silentFrom && v.lastMet > w.trouble:
			one.share, one.broken = 0, false
			reached = append(reached, one)
		case s.share >= nobodyBehind || s.share >= silentFrom && missed:
			one.share, one.since = 1, w.trouble // since then all that was meant for it got none
			missing = append(missing, one)
		}
	}
	switch {
	case len(reached)+len(missing) == 0, s.share >= silentFrom && len(missing) == 0:
		if s.to = s.target.service.place(); s.to == nil && latest != 0 && s.share >= silentFrom && s.share < nobodyBehind {
			s.weight *= unknownWho // it will show who is not met any more
		}
		return append(out, s)
	}
	for i := range missing {
		missing[i].weight /= float64(len(missing))
	}
	out = append(out, missing...)
	for i := range reached {
		reached[i].weight /= float64(len(reached))
	}
	return append(out, reached...)
}

// reachedBehind brings up to date when something last came back from those behind a
// name, and returns how many replies of late: a call that is answered often tells by
// whom, and one that is not only whom it was configured to call.
func (w *view) reachedBehind(s *service, now clock.Time) (replies float64) {
	for _, i := range s.instances {
		v := i.seenBy(w.caller)
		if v == nil {
			continue
		}
		replies += v.replies.Value(now, viewWindow)
		if v.lastGood > w.lastGood {
			w.lastGood, w.goodFrom = v.lastGood, v.goodFrom
		}
	}
	return replies
}

// stillAsked says whether, since one behind the name was last met, as many calls to
// the name got nothing back as it would have been asked: it was not taken off the
// caller's list.
func (w *view) stillAsked(v *view, latest, now clock.Time) bool {
	if v.metEvery <= 0 || w.lastBad < v.lastMet || w.lastGood.Sub(w.lastBad) > recoveredView {
		return false
	}
	missed := float64(latest.Sub(v.lastMet)) / float64(v.metEvery)
	return w.silent.Value(now, viewWindow) >= askedShare*missed
}

const (
	// askedShare of the calls that one was missed for must have got no answer: those
	// of the last few seconds are under way, and one that runs out of time counts half.
	askedShare = 0.25
	// metLately is how long after a call the one behind the name is known to be
	// reached by those that go well.
	metLately = 15 * time.Second
	// missedAfter is for how many times the usual time between two answers one is
	// not met, while others are, before the silences are put down to it.
	missedAfter = 6
	// unknownWho is what a part of the calls to a name is worth that get no answer,
	// before it is known whose they are.
	unknownWho = 0.25
	// nobodyBehind is the share without an answer from which on nobody answers.
	nobodyBehind = 0.9
)

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
