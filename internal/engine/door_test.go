// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// gateway drives one that is asked more, and late, since it calls shop and pay; what they
// tell of their answers is as ever. A share of its calls to each is late.
func gateway(t *testing.T, shop, pay float64) *fleet {
	f := newFleet(t)
	self := report.NewSource(report.Source{Service: report.ServiceID{Name: "gateway"}, Instance: "gateway-1", Host: "h1"})
	second := func(asked int, late [2]float64) {
		f.tell(time.Second, time.Second, func(b *report.Batch) {
			first := b.Arrived.Add(-time.Second)
			most := 0.0
			for i, name := range []string{"shop", "pay"} {
				to := report.NewSource(report.Source{Service: report.ServiceID{Name: name}, Instance: name + "-1", Host: "h-" + name})
				callee := report.Callee{Address: fmt.Sprintf("10.0.0.%d:80", 2+i), Direct: true}
				f.hopID++
				b.Hops = append(b.Hops, report.Hop{Span: f.hopID, Source: self, Callee: callee, At: b.Arrived}, report.Hop{Span: f.hopID, Server: true, Source: to, At: b.Arrived})
				b.Calls = append(b.Calls, report.Calls{Caller: self, Callee: callee, Outcome: report.OutcomeOK, Count: asked, Slow: int(late[i] * float64(asked)),
					First: first, Started: first, Last: b.Arrived, Done: first})
				b.Served = append(b.Served, report.Served{Source: to, OK: asked, Last: b.Arrived})
				most = max(most, late[i])
			}
			b.Served = append(b.Served, report.Served{Source: self, OK: 2 * asked, Slow: int(most * float64(2*asked)), Last: b.Arrived})
		})
	}
	for range 120 {
		second(5, [2]float64{})
	}
	for range 40 {
		second(18, [2]float64{shop, pay})
	}
	return f
}

func TestWhoWaitsAtTheDoorOfOneCalleeIsNotOverloaded(t *testing.T) {
	gateway(t, 0.8, 0).neverAccuses(verdict.ClassExhaustion, "gateway-1")
	// Who finds all of them late alike is slow to take their answers.
	f := gateway(t, 0.8, 0.8)
	f.accused(f.began.Add(120*time.Second), 20*time.Second, verdict.ClassExhaustion, "overload", "gateway-1")
}
