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

// Runtimes that begin anew at each request draw an id each time.
func TestIDsDrawnAtEachRequestNameNobody(t *testing.T) {
	f := newFleet(t)
	n := 0
	answer := func(d time.Duration, fails bool) {
		f.tell(100*time.Millisecond, d, func(b *report.Batch) {
			n++
			v := report.Served{Source: report.NewSource(report.Source{
				Service: report.ServiceID{Name: "shop"}, Instance: fmt.Sprintf("%08d-0000-4000-8000-000000000000", n), Volatile: true, Host: "s1",
			}), OK: 1, Last: b.Arrived}
			if fails {
				v.OK, v.Failed, v.Faults = 0, 1, 1
			}
			b.Served = append(b.Served, v)
		})
	}
	answer(2*time.Minute, false)
	f.nobodyAccused(false)
	if got := len(f.e.reg.byKey); got > 60 {
		t.Errorf("%d instances are known", got)
	}
	answer(20*time.Second, true)
	v := f.accused(f.now.Add(-20*time.Second), 20*time.Second, verdict.ClassByzantine, "error_response", "shop@s1")
	if v == nil {
		t.Errorf("said %v", f.verdicts())
	}
}

func TestProcessesThatAreStartedAgainKeepTheirIDs(t *testing.T) {
	f := newFleet(t)
	for i := range 20 {
		src := report.NewSource(report.Source{Service: report.ServiceID{Name: "shop"}, Instance: fmt.Sprintf("%08d-0000-4000-8000-000000000000", i), Volatile: true, Host: "s1"})
		f.tell(time.Second, 2*time.Second, func(b *report.Batch) { b.Served = append(b.Served, report.Served{Source: src, OK: 1, Last: b.Arrived}) })
	}
	if s := f.e.reg.services[(report.ServiceID{Name: "shop"}).Key()]; s == nil || s.drawsVoid("s1") {
		t.Error("twenty starts are taken for requests")
	}
}

// Where each process is a host of its own, hosts come and go for good: those that are
// gone take no room from those that come.
func TestHostsThatWentTakeNoRoomFromThoseThatDraw(t *testing.T) {
	e, now := New(DefaultParams()), testStart
	draw := func(host, id string) *service {
		now = now.Add(100 * time.Millisecond)
		src := report.NewSource(report.Source{Service: report.ServiceID{Name: "shop"}, Instance: id, Volatile: true, Host: host})
		e.Observe(&report.Batch{Arrived: now, Served: []report.Served{{Source: src, OK: 1, Last: now}}})
		return e.reg.services[src.Service.Key()]
	}
	for i := range 60 {
		draw("stays", fmt.Sprintf("s%d", i))
	}
	for i := range drawnHosts + 20 {
		draw(fmt.Sprintf("gone-%d", i), "only")
		draw("stays", fmt.Sprintf("t%d", i))
	}
	var s *service
	for i := range 60 {
		s = draw("comes", fmt.Sprintf("c%d", i))
	}
	if !s.drawsVoid("stays") || !s.drawsVoid("comes") {
		t.Errorf("ids that are drawn on end count: on the host that stayed void is %t, on the one that came %t", s.drawsVoid("stays"), s.drawsVoid("comes"))
	}
	if len(s.draws) != drawnHosts {
		t.Errorf("%d hosts are kept", len(s.draws))
	}
	if n := e.Stats().ForgottenHosts; n != 22 {
		t.Errorf("%d hosts are counted as forgotten, not 22", n)
	}
}
