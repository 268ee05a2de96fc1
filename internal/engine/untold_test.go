// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Where only answers are counted, whose failure they are nobody tells.
func TestWhoOnlyCountsItsAnswersMayPassOnAnothersFailure(t *testing.T) {
	for name, called := range map[string]bool{"nobody_tells_of_calls": false, "its_callers_count_theirs": true} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			api := report.NewSource(report.Source{Service: report.ServiceID{Name: "api"}, Instance: "10.0.0.7:8080"})
			web := report.NewSource(report.Source{Service: report.ServiceID{Name: "web"}, Instance: "10.0.0.8:8080"})
			count := func(d time.Duration, fails int) {
				f.tell(15*time.Second, d, func(b *report.Batch) {
					b.Served = append(b.Served, report.Served{Source: api, OK: 100 - fails, Failed: fails, Faults: fails, Last: b.Arrived, Counted: true, Bare: true})
					if called {
						b.Calls = append(b.Calls, report.Calls{Caller: web, Callee: report.Callee{Service: "api"}, Outcome: report.OutcomeOK, Count: 100 - fails, First: b.Arrived - 1e9, Last: b.Arrived, Counted: true})
						if fails > 0 {
							b.Calls = append(b.Calls, report.Calls{Caller: web, Callee: report.Callee{Service: "api"}, Outcome: report.OutcomeServerError, Count: fails, First: b.Arrived - 1e9, Last: b.Arrived, Counted: true})
						}
					}
				})
			}
			count(5*time.Minute, 0)
			count(2*time.Minute, 90)
			convicted := false
			for i := range f.events {
				if v := f.events[i].Verdict; v != nil && v.Class == verdict.ClassByzantine && v.Culprit.Service.Name == "api" {
					convicted = true
				}
			}
			if convicted != called {
				t.Errorf("said %v", f.verdicts())
			}
		})
	}
}

// What a customer of a cloud calls a bucket is no service of the fleet.
func TestABucketIsNoServiceOfItsName(t *testing.T) {
	f := newFleet(t)
	f.add("orders", "orders-1")
	f.run(10 * time.Second)
	for address, service := range map[string]bool{
		"orders.s3.us-east-1.amazonaws.com:443": false,
		"orders.servicebus.windows.net:443":     false,
		"orders.shop.svc.cluster.local:80":      true,
		"orders:80":                             true,
	} {
		if n := f.e.callee(report.Callee{Address: address}); n == nil || (n.kind == kindService) != service {
			t.Errorf("%s: %+v", address, n)
		}
	}
}
