// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"
)

// More verdicts than readings: those that are shown stay, with what was counted of
// them, and one that no longer holds makes room.
func TestReadingsThatHoldAreNotDisplaced(t *testing.T) {
	params := DefaultParams()
	params.MaxIncidents = 10
	e := New(params)
	e.Tick(1e18)
	of := func(i int) *Verdict {
		return &Verdict{Class: ClassCrash, Culprit: Culprit{Type: CulpritInstance, Name: fmt.Sprint(i)}}
	}
	for i := range 50 {
		e.count(of(i))
	}
	for i := range 50 {
		if r := e.readings[readingKey{of(i).Culprit, ClassCrash}]; (r != nil) != (i < 10) {
			t.Fatalf("%d: %+v", i, r)
		}
	}
	if e.stats.ForgottenVerdicts != 40 {
		t.Errorf("%d were not counted", e.stats.ForgottenVerdicts)
	}
	e.read(nil) // none of them holds any more
	e.now = e.now.Add(time.Second)
	e.count(of(99))
	if r := e.readings[readingKey{of(99).Culprit, ClassCrash}]; len(e.readings) != 10 || r == nil || r.Detections != 1 {
		t.Errorf("%d readings, of the latest %+v", len(e.readings), r)
	}
}

// Of a thousand instances that failed, a span that names only their service looks at a
// few, and at the verdict on all of it.
func TestSnapshotHoldsFewVerdictsOfOneName(t *testing.T) {
	shop := ServiceID{Name: "shop"}
	var verdicts []*Verdict
	var targets []Target
	for i := range 1000 {
		verdicts = append(verdicts, &Verdict{Class: ClassCrash, Since: 1e18, Culprit: Culprit{Type: CulpritInstance, Name: fmt.Sprint(i), Service: shop}})
		targets = append(targets, Target{Instance: uint64(i + 1), Service: 7, Addresses: []string{"shop:80"}})
	}
	verdicts = append(verdicts, &Verdict{Class: ClassExhaustion, Since: 1e18, Culprit: Culprit{Type: CulpritService, Name: "shop", Service: shop}})
	targets = append(targets, Target{Service: 7, Addresses: []string{"shop:80"}})
	s := NewSnapshot(1e18, verdicts, targets)
	if n := len(s.names["shop"]); n > maxVerdictsEach+1 || s.names["shop"][n-1].Culprit.Type != CulpritService {
		t.Errorf("%d verdicts", n)
	}
	if len(s.addresses["shop:80"]) > maxVerdictsEach+1 || len(s.services[7]) != 1 {
		t.Errorf("%d verdicts by address, %d by service", len(s.addresses["shop:80"]), len(s.services[7]))
	}
	for i := range 1000 {
		if v := s.Verdict(&Source{Key: uint64(i + 1), ServiceKey: 7}, 1e18); v == nil || v.Culprit.Name != fmt.Sprint(i) && v.Culprit.Type != CulpritService {
			t.Fatalf("of instance %d: %+v", i, v)
		}
	}
}
