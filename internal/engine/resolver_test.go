// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Several names that several hosts find no more are the failure of who tells names.
func TestNamesThatAreFoundNoMore(t *testing.T) {
	for name, c := range map[string]struct {
		names [2]string // what each of two callers asks for
		hosts int
		want  string
	}{
		"two_names_on_two_hosts":                     {[2]string{"orders:80", "stock:80"}, 2, "[DNS network_partition/dns]"},
		"two_names_on_one_host":                      {[2]string{"orders:80", "stock:80"}, 1, "[orders:80 network_partition/dns stock:80 network_partition/dns]"},
		"one_name_on_two_hosts":                      {[2]string{"orders:80", "orders:80"}, 2, "[orders:80 network_partition/dns]"},
		"two_names_of_one_domain_that_is_gone":       {[2]string{"api.partner.com:443", "auth.partner.com:443"}, 2, "[api.partner.com:443 network_partition/dns auth.partner.com:443 network_partition/dns]"},
		"two_names_that_never_were_found_by_anybody": {[2]string{"", ""}, 2, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			callers := []*proc{f.add("web", "web-1"), f.add("app", "app-1")}
			if c.hosts == 1 {
				s := *callers[1].src
				s.Host = callers[0].src.Host
				callers[1].src = report.NewSource(s)
			}
			ask := func(o report.Outcome) func(b *report.Batch) {
				return func(b *report.Batch) {
					for i, whom := range c.names {
						if whom == "" && o == report.OutcomeOK {
							continue
						}
						if whom == "" {
							whom = fmt.Sprintf("mistyped-%d:80", i)
						}
						b.Calls = append(b.Calls, report.Calls{Caller: callers[i].src, Callee: report.Callee{Address: whom}, Outcome: o, Count: 2, First: b.Arrived - 1e7, Last: b.Arrived, Done: b.Arrived})
					}
				}
			}
			f.tell(time.Second, time.Minute, ask(report.OutcomeOK))
			f.tell(time.Second, 20*time.Second, ask(report.OutcomeDNS))
			var said []string
			for _, ev := range f.events {
				if ev.Kind == contract.EventFailureDetected && ev.Verdict.Subclass != "" {
					said = append(said, fmt.Sprintf("%s %s/%s", ev.Verdict.Culprit.Name, ev.Verdict.Class, ev.Verdict.Subclass))
				}
			}
			if got := fmt.Sprint(said); got != c.want {
				t.Errorf("said %s, want %s; %s", got, c.want, f.dump())
			}
		})
	}
}

// Instances of one service go by its name: that all of them are found no more is one name's
// failure.
func TestNameOfAServiceWithSeveralInstancesIsOneName(t *testing.T) {
	f := newFleet(t)
	callers := []*proc{f.add("web", "web-1"), f.add("app", "app-1")}
	stock := []*proc{f.add("stock", "stock-1"), f.add("stock", "stock-2")}
	for i := range stock {
		f.calls(callers[i], stock[i])
	}
	f.run(time.Minute)
	for _, p := range stock {
		p.callers = nil
	}
	f.tell(time.Second, 20*time.Second, func(b *report.Batch) {
		for i, p := range stock {
			b.Calls = append(b.Calls, report.Calls{Caller: callers[i].src, Callee: report.Callee{Address: p.addr}, Outcome: report.OutcomeDNS, Count: 2, First: f.now, Last: f.now, Done: f.now})
		}
	})
	told := false
	for _, ev := range f.events {
		if ev.Kind == contract.EventFailureDetected {
			if told = true; ev.Verdict.Culprit.Name == resolverName {
				t.Errorf("said %s", ev.Body)
			}
		}
	}
	if !told {
		t.Errorf("said nothing; %s", f.dump())
	}
}

// Who is cut off from the one who tells names cannot find any: that is the cut's doing, and
// not another failure. Those of another zone who do not find them either show that it is.
func TestNamesThatACutKeepsAway(t *testing.T) {
	for name, c := range map[string]struct {
		cut   bool
		zones []string // whose hosts find no names
		later time.Duration
		want  bool
	}{
		"behind_it":            {cut: true, zones: []string{"zone-a"}},
		"on_its_other_side":    {cut: true, zones: []string{"zone-b"}},
		"once_caches_run_out":  {cut: true, zones: []string{"zone-a"}, later: 10 * time.Second},
		"not_only_behind_it":   {cut: true, zones: []string{"zone-a", "zone-b", "zone-c"}, want: true},
		"long_after_it_began":  {cut: true, zones: []string{"zone-a"}, later: 40 * time.Second, want: true},
		"though_nobody_is_cut": {zones: []string{"zone-a"}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			failed := clock.Time(0)
			z.more = func(b *report.Batch) {
				for i, n := range z.instances {
					if i%3 != 0 || z.now.Sub(1_800_000_000_000_000_000)%time.Second != 0 {
						continue // one of each host, once a second
					}
					o := report.OutcomeOK
					if failed != 0 && z.now >= failed && slices.Contains(c.zones, n.at.zone) {
						o = report.OutcomeDNS
					}
					for _, whom := range [...]string{"orders:80", "stock:80"} {
						b.Calls = append(b.Calls, report.Calls{Caller: n.src, Callee: report.Callee{Address: whom}, Outcome: o, Count: 1, First: b.Arrived - 1e7, Last: b.Arrived, Done: b.Arrived})
					}
				}
			}
			z.run(time.Minute)
			failed = z.now.Add(time.Second + c.later)
			if c.cut {
				z.blocked = func(from, to zoneHost) bool { return from.zone == "zone-a" && to.zone == "zone-b" }
			}
			z.run(c.later + 20*time.Second)
			said := z.verdicts()["external DNS"] != nil
			if said != c.want {
				t.Errorf("DNS was told: %v", said)
				z.dump(t)
			}
		})
	}
}
