// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// coverSlack widens a verdict's time on both sides when spans are matched with
// it: a failing call may have ended before the first evidence was complete, and
// clocks of hosts differ.
const coverSlack = 3 * time.Second

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
func (s *Snapshot) Empty() bool { return s == nil || len(s.services)+len(s.addresses) == 0 }

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
		if v.Culprit.Type == CulpritService && v.covers(end, coverSlack) {
			return v
		}
	}
	return nil
}

// Blame returns the verdict that explains why a call to callee ended with
// outcome, or nil.
func (s *Snapshot) Blame(callee Callee, outcome Outcome, end Time) *Verdict {
	if s.Empty() {
		return nil
	}
	if v := explaining(s.addresses[callee.Address], outcome, end); v != nil {
		return v
	}
	if v := explaining(s.addresses[callee.Named], outcome, end); v != nil {
		return v
	}
	return explaining(s.names[callee.Service], outcome, end)
}

func explaining(vs []*Verdict, outcome Outcome, end Time) *Verdict {
	for _, v := range vs {
		if v.explains(outcome) && v.covers(end, coverSlack) {
			return v
		}
	}
	return nil
}

func first(vs []*Verdict, end Time) *Verdict {
	for _, v := range vs {
		if v.covers(end, coverSlack) {
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
}
