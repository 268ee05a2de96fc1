// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

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
	At       Time
	Readings []Reading

	instances map[uint64][]*Verdict // by Source.Key: the instance is the culprit
	services  map[uint64][]*Verdict // by ServiceKey: the service or one of its instances is
	addresses map[string][]*Verdict // by address: the one who is called there is
	names     map[string][]*Verdict // by service name, for callers that tell no address
	byzantine bool
	ways      []way // cuts: whoever calls across one is its victim
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

func (s *WaySide) hasSource(src *Source) bool {
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
func (s *WaySide) callee(c *Callee) (inside, outside bool) {
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

// crosses says whether a call from src to c may have to go the way.
func (w *way) crosses(src *Source, c *Callee) bool {
	in, out := w.near.callee(c)
	if w.far.anybody() {
		if w.near.hasSource(src) {
			return out
		}
		return in
	}
	far, _ := w.far.callee(c)
	return w.near.hasSource(src) && far || w.far.hasSource(src) && in
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
	return s == nil || len(s.services)+len(s.addresses)+len(s.ways) == 0
}

// Verdict returns the verdict on the source itself, or nil: the instance, or
// its service as a whole, is the culprit of a failure at that time. An instance
// that works while its sibling fails gets nil.
func (s *Snapshot) Verdict(src *Source, end Time) *Verdict {
	if s.Empty() || src == nil {
		return nil
	}
	if v := first(s.instances[src.Key], end); v != nil {
		return v
	}
	for _, v := range s.services[src.ServiceKey] {
		if v.Culprit.Type == CulpritService && v.covers(end, slackBefore, slackAfter) {
			return v
		}
	}
	return nil
}

// Blame returns the verdict that explains why a call of src to callee ended with
// outcome, or nil. src may be nil.
func (s *Snapshot) Blame(src *Source, callee Callee, outcome Outcome, end Time) *Verdict {
	if s.Empty() {
		return nil
	}
	if silent(outcome) {
		for i := range s.ways {
			if w := &s.ways[i]; w.verdict.covers(end, slackBefore, slackAfter) && w.crosses(src, &callee) {
				return w.verdict
			}
		}
	}
	if v := explaining(s.addresses[callee.Address], outcome, end); v != nil {
		return v
	}
	if v := explaining(s.addresses[callee.Named], outcome, end); v != nil {
		return v
	}
	return explaining(s.names[callee.Service], outcome, end)
}

// Convicts says whether a verdict of byzantine behaviour holds: then spans that
// look healthy may be answers of the convicted.
func (s *Snapshot) Convicts() bool { return s != nil && s.byzantine }

// Answer returns the verdict of byzantine behaviour on the one who answered:
// src itself where callee is nil, else the instance at callee's address.
func (s *Snapshot) Answer(src *Source, callee *Callee, end Time) *Verdict {
	if !s.Convicts() {
		return nil
	}
	var vs []*Verdict
	switch {
	case callee == nil && src != nil:
		vs = s.instances[src.Key]
	case callee != nil && callee.Direct: // behind a name there may be honest ones
		vs = s.addresses[callee.Address]
	}
	for _, v := range vs {
		if v.taints() && v.covers(end, 0, 0) {
			return v
		}
	}
	return nil
}

// silent says whether nothing, or only a part, came back.
func silent(o Outcome) bool {
	_, s := o.crossed(false)
	return s > 0 || o == OutcomeReset || o == OutcomeUnavailable || o == OutcomeOther || o == OutcomeCanceled
}

func explaining(vs []*Verdict, outcome Outcome, end Time) *Verdict {
	for _, v := range vs {
		if v.explains(outcome) && v.covers(end, slackBefore, slackAfter) {
			return v
		}
	}
	return nil
}

func first(vs []*Verdict, end Time) *Verdict {
	for _, v := range vs {
		if v.covers(end, slackBefore, slackAfter) {
			return v
		}
	}
	return nil
}

// NewSnapshot builds a snapshot of verdicts, for tests of those who read one.
// targets[i] holds the sources that are the culprit of verdicts[i] and the
// addresses at which it is called.
func NewSnapshot(at Time, verdicts []*Verdict, targets []Target) *Snapshot {
	s := &Snapshot{
		At:        at,
		instances: map[uint64][]*Verdict{}, services: map[uint64][]*Verdict{},
		addresses: map[string][]*Verdict{}, names: map[string][]*Verdict{},
	}
	for i, v := range verdicts {
		t := targets[i]
		s.byzantine = s.byzantine || v.taints()
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
		if t.Service != 0 {
			s.services[t.Service] = append(s.services[t.Service], v)
		}
		for _, a := range t.Addresses {
			s.addresses[a] = append(s.addresses[a], v)
		}
		if n := v.Culprit.Service.Name; n != "" {
			s.names[n] = append(s.names[n], v)
		}
	}
	return s
}

// Target is where a verdict's culprit is met: its keys and addresses.
type Target struct {
	Instance  uint64 // Source.Key, 0 if the culprit is not an instance
	Service   uint64 // Source.ServiceKey
	Addresses []string
	// Near and Far are the sides of a cut; Far nil: Near is cut off from all.
	Near, Far *WaySide
}
