// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// A verdict's time is widened when spans are matched with it: much before its
// beginning, because a failing call may have ended before the first evidence was
// complete; little after its end, because what fails then is another failure.
// Clocks of hosts differ, too.
const (
	slackBefore = 3 * time.Second
	slackAfter  = 500 * time.Millisecond
)

// Snapshot is what the engine holds true at one moment. It is immutable and
// read without a lock; nil is an empty snapshot, so the healthy path costs one
// pointer load.
type Snapshot struct {
	At       clock.Time
	Readings []Reading

	instances map[uint64][]*Verdict     // by Source.Key: the instance is the culprit
	services  map[uint64][]*Verdict     // by ServiceKey: the service as a whole is
	addresses map[string][]*Verdict     // by address: the one who is called there is
	names     map[string][]*Verdict     // by service name, for callers that tell no address
	tainting  map[*Verdict]struct{}     // on who is seen to answer wrongly
	ways      []way                     // cuts: whoever calls across one is its victim
	portless  map[netip.Addr][]*Verdict // by IP: no ports are left there, for anybody
	pushers   []*Verdict                // of which a client is the culprit

	alone   map[string][]*Verdict   // by address: the only one who is called there is
	calm    map[*Verdict]clock.Time // since when nothing speaks for it any more
	spoke   map[*Verdict]clock.Time // when something spoke for it last
	doubted map[uint64]struct{}     // by Source.Key: may soon be convicted of wrong answers
	doubts  map[string]struct{}     // by address at which nobody but one of these is met
}

// way is a verdict on what lies between two sides.
type way struct {
	verdict   *Verdict
	near, far WaySide
}

// WaySide is one side of a cut. A side without members is everybody who is not
// of the other.
type WaySide struct {
	Zone      string
	Host      string
	Instances map[uint64]struct{} // Source.Key
	// Addresses at which its members are called; true: and nobody else.
	Addresses map[string]bool
}

func (s *WaySide) anybody() bool { return s.Zone == "" && s.Host == "" && len(s.Instances) == 0 }

func (s *WaySide) hasSource(src *report.Source) bool {
	if src == nil {
		return false
	}
	if _, ok := s.Instances[src.Key]; ok {
		return true
	}
	return s.Zone != "" && src.Zone == s.Zone || s.Host != "" && src.Host == s.Host
}

// callee says whether c may be inside the side, and whether it may be outside:
// a name can stand for both.
func (s *WaySide) callee(c *report.Callee) (inside, outside bool) {
	for _, a := range [2]string{c.Address, c.Named} {
		if only, ok := s.Addresses[a]; ok && a != "" {
			return true, !only
		}
		if c.Direct && a != "" {
			break // an instance's own address, and none of these
		}
	}
	return false, true
}

// crosses says whether a call from src to c may have to go the way, and whether it
// must: a name can stand for both sides.
func (w *way) crosses(src *report.Source, c *report.Callee) (may, must bool) {
	in, out := w.near.callee(c)
	if w.far.anybody() {
		if w.near.hasSource(src) {
			return out, !in
		}
		return in, !out
	}
	if far, elsewhere := w.far.callee(c); far && w.near.hasSource(src) {
		return true, !elsewhere
	}
	return in && w.far.hasSource(src), !out
}

// way returns the verdict on the way by which a call from src to callee was lost: one
// that it must have gone before one that it may have, a cut before one that loses a
// part if it must have gone both, and of two that it may have gone the one that
// was known first.
func (s *Snapshot) way(src *report.Source, callee *report.Callee, end clock.Time) (best *Verdict) {
	top := 0
	for i := range s.ways {
		w := &s.ways[i]
		v := w.verdict
		may, must := w.crosses(src, callee)
		if !may || !v.Covers(end, slackBefore, slackAfter) {
			continue
		}
		rank := 0
		if v.Class != ClassUnknown {
			rank += 4
		}
		if must {
			rank += v.Firmness() // 1 to 3
		}
		if best == nil || rank > top || rank == top && v.Decided < best.Decided {
			best, top = v, rank
		}
	}
	return best
}

// Reading is the state of an entity that has, or lately had, a verdict, and of
// the counters that outlive it.
type Reading struct {
	Culprit    Culprit
	Class      Class
	Active     bool    // the verdict holds; false for a while after clearing
	Confidence float64 // 0-1, of the verdict
	Suspicion  float64 // −log10 of the probability that a silence this long is normal
	Detections uint64  // cumulative, of this culprit and class
	Incident   string
}

// Empty says whether no verdict holds or was cleared lately.
func (s *Snapshot) Empty() bool {
	return s == nil || len(s.instances)+len(s.services)+len(s.addresses)+len(s.ways)+len(s.doubted) == 0
}

// Verdict returns the verdict on the source itself, or nil: the instance, or
// its service as a whole, is the culprit of a failure at that time. An instance
// that works while its sibling fails gets nil.
func (s *Snapshot) Verdict(src *report.Source, end clock.Time) *Verdict {
	if s.Empty() || src == nil {
		return nil
	}
	var best *Verdict
	for _, v := range s.instances[src.Key] {
		if v.Concerns(src) && v.Covers(end, slackBefore, slackAfter) {
			best = best.Or(v)
		}
	}
	for _, v := range s.services[src.ServiceKey] {
		if v.Covers(end, slackBefore, slackAfter) {
			best = best.Or(v)
		}
	}
	return best
}

// Blame returns the verdict that explains best why a call of src to callee ended
// with outcome, or nil. A cut explains more than what is said of those behind it,
// and that more than a way on which calls are late or a part of them is lost. Who answers
// that it can reach nobody, and stands where no ports are left to call from, fails for
// want of these. src may be nil.
func (s *Snapshot) Blame(src *report.Source, callee report.Callee, outcome report.Outcome, end clock.Time) (best *Verdict) {
	if s.Empty() {
		return nil
	}
	if silent(outcome) {
		best = s.way(src, &callee, end)
	}
	best = best.Or(explaining(s.addresses[callee.Address], outcome, end))
	best = best.Or(explaining(s.addresses[callee.Named], outcome, end))
	if callee.Nameless() {
		best = best.Or(explaining(s.addresses[callee.Service], outcome, end))
	}
	if len(s.portless) > 0 && outcome == report.OutcomeUnavailable {
		best = best.Or(explaining(s.portless[ipOf(callee.Address)], outcome, end))
	}
	return best.Or(explaining(s.names[callee.Service], outcome, end))
}

// ipOf is the IP of an address, the zero value if that names a host.
func ipOf(address string) netip.Addr {
	a, _ := netip.ParseAddrPort(address)
	return a.Addr()
}

// Beyond returns the cut that a question of src to a server that nobody names may
// have had to cross, or nil: src stands on one of its sides. So may the name server
// whose answer did not come.
func (s *Snapshot) Beyond(src *report.Source, end clock.Time) (best *Verdict) {
	if s.Empty() || src == nil {
		return nil
	}
	for i := range s.ways {
		w := &s.ways[i]
		if w.verdict.Covers(end, slackBefore, slackAfter) && (w.far.anybody() || w.near.hasSource(src) || w.far.hasSource(src)) {
			best = best.Or(w.verdict)
		}
	}
	return best
}

// Convicts says whether a verdict of byzantine behaviour holds on somebody who has
// not been seen to be right again: then spans that look healthy may be answers of
// the convicted.
func (s *Snapshot) Convicts() bool { return s != nil && len(s.tainting) > 0 }

// Pusher returns the verdict on the source as a client that asks too much of somebody, or
// nil. What it does for one request takes longer for it, refused or not.
func (s *Snapshot) Pusher(src *report.Source, end clock.Time) *Verdict {
	if s == nil || src == nil {
		return nil
	}
	for _, v := range s.pushers {
		if v.Culprit.Service == src.Service && v.Covers(end, slackBefore, slackAfter) {
			return v
		}
	}
	return nil
}

// Answer returns the verdict of byzantine behaviour on the one who answered:
// src itself where callee is nil, else the instance at callee's address.
func (s *Snapshot) Answer(src *report.Source, callee *report.Callee, end clock.Time) *Verdict {
	if !s.Convicts() {
		return nil
	}
	var vs []*Verdict
	switch {
	case callee == nil && src != nil:
		vs = s.instances[src.Key]
	case callee != nil && callee.Direct:
		vs = s.addresses[callee.Address]
	case callee != nil: // behind a name there may be honest ones
		vs = s.alone[callee.Address]
	}
	for _, v := range vs {
		if _, wrong := s.tainting[v]; wrong && v.Covers(end, 0, 0) && (callee != nil || v.Concerns(src)) {
			return v
		}
	}
	return nil
}

// MayAnswer says whether a convict is one of several who answer at the callee's address.
func (s *Snapshot) MayAnswer(callee *report.Callee) bool {
	if !s.Convicts() || callee.Direct {
		return false
	}
	return slices.ContainsFunc(s.addresses[callee.Address], func(v *Verdict) bool {
		_, wrong := s.tainting[v]
		return wrong
	})
}

// Doubts says whether an answer that looks well may be one of somebody who is about
// to be convicted: of src itself where callee is nil, else of the callee.
func (s *Snapshot) Doubts(src *report.Source, callee *report.Callee) bool {
	if s == nil || len(s.doubted) == 0 {
		return false
	}
	if callee != nil {
		_, yes := s.doubts[callee.Address]
		return yes
	}
	if src == nil {
		return false
	}
	_, yes := s.doubted[src.Key]
	return yes
}

// Doubt adds those who may soon be convicted, by where they are met.
func (s *Snapshot) Doubt(targets ...Target) {
	for _, t := range targets {
		s.doubted[t.Instance] = struct{}{}
		for _, a := range t.Alone {
			s.doubts[a] = struct{}{}
		}
	}
}

// Spares says whether what began then, and is only later than usual, is no victim of
// v any more: nothing has spoken for the failure since, though that is not sure enough
// yet to take v back.
func (s *Snapshot) Spares(v *Verdict, began clock.Time) bool {
	if s == nil {
		return false
	}
	calm, ok := s.calm[v]
	return ok && began > calm
}

// Awaits says whether something that began then, and went well, began after the last that
// spoke for v: it was hurt if more of the same follows.
func (s *Snapshot) Awaits(v *Verdict, began clock.Time) bool {
	if s == nil {
		return false
	}
	spoke, ok := s.spoke[v]
	return ok && began > spoke
}

// silent says whether nothing, or only a part, came back.
func silent(o report.Outcome) bool {
	_, s := o.Crossed(false)
	return s > 0 || o == report.OutcomeReset || o == report.OutcomeUnavailable || o == report.OutcomeOther || o == report.OutcomeCanceled
}

func explaining(vs []*Verdict, outcome report.Outcome, end clock.Time) (best *Verdict) {
	for _, v := range vs {
		if v.Explains(outcome) && v.Covers(end, slackBefore, slackAfter) {
			best = best.Or(v)
		}
	}
	return best
}

// NewSnapshot builds a snapshot of verdicts, for tests of those who read one.
// targets[i] holds the sources that are the culprit of verdicts[i] and the
// addresses at which it is called.
func NewSnapshot(at clock.Time, verdicts []*Verdict, targets []Target) *Snapshot {
	s := &Snapshot{
		At:        at,
		instances: map[uint64][]*Verdict{}, services: map[uint64][]*Verdict{},
		addresses: map[string][]*Verdict{}, names: map[string][]*Verdict{}, tainting: map[*Verdict]struct{}{},
		portless: map[netip.Addr][]*Verdict{}, alone: map[string][]*Verdict{}, calm: map[*Verdict]clock.Time{}, spoke: map[*Verdict]clock.Time{}, doubted: map[uint64]struct{}{}, doubts: map[string]struct{}{},
	}
	for i, v := range verdicts {
		t := targets[i]
		if v.Taints() && !t.Right {
			s.tainting[v] = struct{}{}
		}
		if t.Calm != 0 {
			s.calm[v] = t.Calm
		}
		if t.Spoke != 0 {
			s.spoke[v] = t.Spoke
		}
		for _, a := range t.Alone {
			s.alone[a] = append(s.alone[a], v)
		}
		if t.Near != nil {
			w := way{verdict: v, near: *t.Near}
			if t.Far != nil {
				w.far = *t.Far
			}
			s.ways = append(s.ways, w)
		}
		if t.Instance != 0 {
			s.instances[t.Instance] = append(s.instances[t.Instance], v)
		}
		whole := v.Culprit.Type == CulpritService
		if t.Service != 0 && whole {
			s.services[t.Service] = append(s.services[t.Service], v)
		}
		for _, a := range t.Addresses {
			addTo(s.addresses, a, v, whole)
			if ip := ipOf(a); v.Subclass == SubclassPorts && ip.IsValid() && len(s.portless[ip]) < maxVerdictsEach && !slices.Contains(s.portless[ip], v) {
				s.portless[ip] = append(s.portless[ip], v)
			}
		}
		if v.OfClient() && len(s.pushers) < maxVerdictsEach {
			s.pushers = append(s.pushers, v)
		}
		if n := v.Culprit.Service.Name; n != "" {
			addTo(s.names, n, v, whole)
		}
	}
	return s
}

// addTo notes a verdict on one who is called by a name. Each span that names it looks
// at all of them: of very many, more do not explain more.
func addTo(names map[string][]*Verdict, name string, v *Verdict, whole bool) {
	if whole || len(names[name]) < maxVerdictsEach {
		names[name] = append(names[name], v)
	}
}

// maxVerdictsEach is how many verdicts on instances a snapshot holds of one name.
const maxVerdictsEach = 64

// Target is where a verdict's culprit is met: its keys and addresses.
type Target struct {
	Instance  uint64 // Source.Key, 0 if the culprit is not an instance
	Service   uint64 // Source.ServiceKey
	Addresses []string
	// Alone are those of the addresses at which nobody else is met.
	Alone []string
	// Calm is since when nothing has spoken for the failure; 0 while something does.
	Calm clock.Time
	// Spoke is when something spoke for the failure last; 0 if nobody can tell.
	Spoke clock.Time
	// Right: its answers are right again, though that is not sure enough yet to
	// take back a verdict.
	Right bool
	// Near and Far are the sides of a cut; Far nil: Near is cut off from all.
	Near, Far *WaySide
}
