// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"testing"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Of a thousand instances that failed, a span that names only their service looks at a
// few, and at the verdict on all of it.
func TestSnapshotHoldsFewVerdictsOfOneName(t *testing.T) {
	shop := report.ServiceID{Name: "shop"}
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
		if v := s.Verdict(&report.Source{Key: uint64(i + 1), ServiceKey: 7}, 1e18); v == nil || v.Culprit.Name != fmt.Sprint(i) && v.Culprit.Type != CulpritService {
			t.Fatalf("of instance %d: %+v", i, v)
		}
	}
}
