// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// outside is the pod of a workload that says nothing itself.
func outside(name, namespace, uid string) *report.Source {
	return report.NewSource(report.Source{Service: report.ServiceID{Name: name, Namespace: namespace}, PodUID: uid, Host: "node-9", Outside: true})
}

func seenToRun(src *report.Source) func(b *report.Batch) {
	return func(b *report.Batch) {
		b.Facts = append(b.Facts, report.Fact{Source: src, Kind: report.FactAlive, At: b.Arrived})
	}
}

func TestHostThatIsNamedAfterAWorkloadIsIt(t *testing.T) {
	for name, c := range map[string]struct {
		known   []*report.Source
		address string
		want    string
	}{
		"by_its_bare_name":         {[]*report.Source{outside("pg-main", "shop", "1")}, "pg-main:5432", "pg-main"},
		"in_its_namespace":         {[]*report.Source{outside("pg-main", "shop", "1")}, "pg-main.shop:5432", "pg-main"},
		"in_its_cluster":           {[]*report.Source{outside("pg-main", "shop", "1")}, "pg-main.shop.svc.cluster.local:5432", "pg-main"},
		"in_another_namespace":     {[]*report.Source{outside("pg-main", "shop", "1")}, "pg-main.lab.svc:5432", "pg-main.lab.svc:5432"},
		"somebody_else's_domain":   {[]*report.Source{outside("api", "shop", "1")}, "api.example.com:443", "api.example.com:443"},
		"one_of_several":           {[]*report.Source{outside("pg", "shop", "1"), outside("pg", "lab", "2")}, "pg.lab.svc:5432", "pg"},
		"several_and_none_is_told": {[]*report.Source{outside("pg", "shop", "1"), outside("pg", "lab", "2")}, "pg:5432", "pg:5432"},
		"a_service_in_a_domain":    {[]*report.Source{report.NewSource(report.Source{Service: report.ServiceID{Name: "api"}, Instance: "api-1"})}, "api.example.com:443", "api"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			for _, src := range c.known {
				f.tell(time.Second, time.Second, seenToRun(src))
			}
			n := f.e.callee(report.Callee{Address: c.address})
			if n.name() != c.want {
				t.Errorf("%s is meant, want %s", n.name(), c.want)
			}
			if name == "one_of_several" && n.service.id.Namespace != "lab" {
				t.Errorf("the one of %s is meant", n.service.id.Namespace)
			}
		})
	}
}

// Who counts what it answers, and whose log tells of calls that fail, fails for that reason.
// Kubernetes waits longer each time before it starts it again. All the while it is down.
func TestCrashLoopIsNotOverWhileItWaitsToBeStarted(t *testing.T) {
	f := newFleet(t)
	src := outside("policy-webhook", "policy", "pod-1")
	f.tell(10*time.Second, time.Minute, seenToRun(src))
	f.tell(time.Second, time.Second, func(b *report.Batch) {
		b.Facts = append(b.Facts, report.Fact{Source: src, Kind: report.FactStarted, At: b.Arrived.Add(-2 * time.Second)},
			report.Fact{Source: src, Kind: report.FactCrashLoop, At: b.Arrived, Text: "Back-off restarting failed container"})
	})
	f.accused(f.now, time.Second, verdict.ClassCrash, "crash_loop", "policy-webhook@node-9")
	f.run(40 * time.Second)
	if ev := f.first(contract.EventFailureCleared); ev != nil {
		t.Fatalf("over while it waits: %s", ev.Body)
	}
	f.tell(time.Second, time.Second, func(b *report.Batch) {
		b.Facts = append(b.Facts, report.Fact{Source: src, Kind: report.FactStarted, At: b.Arrived})
	})
	f.run(time.Minute)
	if f.first(contract.EventFailureCleared) == nil {
		t.Error("not over though it was started and lives")
	}
}

// What a proxy's log tells of calls that spans tell, too, counts once, and tells why.
// A line names the virtual address of a service which spans call by its name.
// Who says nothing itself is well again when those who call it are served.
func TestWhoSaysNothingItselfIsNotWellWhileItsCallersAreNotServed(t *testing.T) {
	f := newFleet(t)
	src := outside("pg-main", "shop", "pod-1")
	web := report.NewSource(report.Source{Service: report.ServiceID{Name: "web"}, Instance: "web-1", Host: "node-1"})
	call := func(o report.Outcome) func(b *report.Batch) {
		return func(b *report.Batch) {
			b.Calls = append(b.Calls, report.Calls{Caller: web, Callee: report.Callee{Address: "pg-main:5432"}, Outcome: o, Count: 3, First: b.Arrived, Last: b.Arrived})
		}
	}
	f.tell(time.Second, time.Minute, func(b *report.Batch) {
		seenToRun(src)(b)
		call(report.OutcomeOK)(b)
	})
	f.tell(time.Second, time.Second, func(b *report.Batch) {
		b.Facts = append(b.Facts, report.Fact{Source: src, Kind: report.FactCrashLoop, At: b.Arrived, Text: "Back-off restarting failed container"})
		call(report.OutcomeRefused)(b)
	})
	f.tell(time.Second, time.Second, func(b *report.Batch) {
		b.Facts = append(b.Facts, report.Fact{Source: src, Kind: report.FactStarted, At: b.Arrived})
	})
	f.tell(time.Second, 80*time.Second, call(report.OutcomeRefused))
	f.accused(f.began.Add(time.Minute), 15*time.Second, verdict.ClassCrash, "crash_loop", "pg-main@node-9")
	if ev := f.first(contract.EventFailureCleared); ev != nil {
		t.Fatalf("over while it serves nobody: %s", ev.Body)
	}
	f.tell(time.Second, 30*time.Second, call(report.OutcomeOK))
	if f.first(contract.EventFailureCleared) == nil {
		t.Error("not over though its callers are served")
	}
}
