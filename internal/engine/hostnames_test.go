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

func TestAddressStandsOnTheHostThatItNames(t *testing.T) {
	e := New(DefaultParams())
	e.now = 1e18
	for _, name := range []string{"DB-1.prod.example", "db-2", "mail.prod.example", "mail.test.example"} {
		e.host(name)
	}
	for _, d := range []struct{ host, ip string }{
		{"db-2", "10.0.0.2"}, {"db-2", "fd00::2"}, {"db-2", "172.17.0.1"}, {"mail.prod.example", "172.17.0.1"}, {"db-2", "127.0.0.1"},
	} {
		e.door(&report.Door{Source: report.NewSource(report.Source{Host: d.host}), Address: d.ip})
	}
	for address, want := range map[string]string{
		"db-1.prod.example:5432": "DB-1.prod.example", "db-1:5432": "DB-1.prod.example", "db-2:5432": "db-2", "db-2": "db-2",
		"10.0.0.2:5432": "db-2", "[fd00::2]:5432": "db-2", "[fd00::2]": "db-2",
		"mail:25": "", "mail.test.example:25": "mail.test.example",
		"172.17.0.1:80": "", "127.0.0.1:80@db-2": "", "db-1.other.example:5432": "", "db-2.prod.example:5432": "", "10.0.0.3:5432": "", "": "",
	} {
		got := ""
		if h := e.hostOf(address); h != nil {
			got = h.name
		}
		if got != want {
			t.Errorf("%s stands on %q, want %q", address, got, want)
		}
		if n := e.external(address); (n.host != nil) != (want != "") {
			t.Errorf("%s is placed otherwise", address)
		}
	}
	e.door(&report.Door{Source: report.NewSource(report.Source{Host: "mail.prod.example"}), Address: "10.0.0.2"})
	if n := e.external("10.0.0.2:5432"); n.host != nil {
		t.Errorf("it stands on %s, though two hosts have its address", n.host.name)
	}
	e.pruneHosts()
	if e.hostOf("mail.prod.example:25") != nil || e.hostOf("mail:25") == nil {
		t.Error("a host on which nobody stands is remembered")
	}
}

// A database that is known by its host's name stops in order, as its log there says.
func TestLogOnTheHostThatAnAddressNames(t *testing.T) {
	for name, c := range map[string]struct {
		host    string // where the line was written
		service string // under which service, if any
		serves  bool   // that service is known by more than its log
		silent  bool
	}{
		"of_nobody":              {"db-1", "", false, true},
		"of_one_who_only_writes": {"db-1", "postgresql", false, true},
		"of_one_who_serves":      {"db-1", "reports", true, false},
		"elsewhere":              {"db-2", "postgresql", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			app := f.add("app", "app-1")
			writer := report.NewSource(report.Source{Host: c.host})
			if c.service != "" {
				writer = report.NewSource(report.Source{Service: report.ServiceID{Name: c.service}, Host: c.host})
			}
			f.e.host("db-1")
			down := false
			each := func(b *report.Batch) {
				o := report.OutcomeOK
				if down {
					o = report.OutcomeRefused
				}
				b.Calls = append(b.Calls, report.Calls{Caller: app.src, Callee: report.Callee{Address: "db-1:5432"}, Outcome: o, Count: 5, First: b.Arrived, Last: b.Arrived, Done: b.Arrived})
				if c.serves {
					b.Served = append(b.Served, report.Served{Source: writer, OK: 2, Last: b.Arrived})
				}
			}
			f.tell(250*time.Millisecond, time.Minute, each)
			f.e.Observe(&report.Batch{Arrived: f.now, Facts: []report.Fact{{Source: writer, Kind: report.FactStopping, At: f.now, Text: "received fast shutdown request", Said: c.service == ""}}})
			down = true
			f.tell(250*time.Millisecond, 15*time.Second, each)
			if told := f.first(contract.EventFailureDetected) != nil; told == c.silent {
				t.Errorf("told: %v, %v %s", told, f.verdicts(), f.dump())
			}
		})
	}
}

// Spans tell by which name an address was called, the log of the same caller only the
// address: one failure, not two.
func TestOneFailureUnderTwoAddresses(t *testing.T) {
	const ip = "10.0.0.7:8080"
	for name, learn := range map[string]func(s *shop, b *report.Batch, down time.Duration){
		"by_the_name_that_was_called_there": func(s *shop, b *report.Batch, down time.Duration) {
			if down < time.Second {
				return // spans come later than logs
			}
			b.Calls = append(b.Calls, report.Calls{Caller: s.checkout.src, Callee: report.Callee{Address: ip, Direct: true, Named: s.ledger.addr}, Outcome: report.OutcomeRefused,
				Count: 1, First: b.Arrived, Last: b.Arrived, Done: b.Arrived})
		},
		"by_its_port_and_the_address_of_its_host": func(s *shop, b *report.Batch, _ time.Duration) {
			b.Doors = append(b.Doors, report.Door{Source: s.ledger.src, Address: "host-ledger-1:8080"},
				report.Door{Source: report.NewSource(report.Source{Host: s.ledger.src.Host}), Address: "10.0.0.7"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.run(time.Minute)
			learnt := &report.Batch{Arrived: s.now}
			learn(s, learnt, 0)
			s.e.Observe(learnt)
			at := s.now
			s.ledger.state = "dead"
			s.tell(250*time.Millisecond, 15*time.Second, func(b *report.Batch) {
				b.Calls = append(b.Calls, report.Calls{Caller: s.payment1.src, Callee: report.Callee{Address: ip, Direct: true}, Outcome: report.OutcomeRefused,
					Count: 2, First: b.Arrived, Last: b.Arrived, Done: b.Arrived, Hearsay: true})
				learn(s, b, b.Arrived.Sub(at))
			})
			s.accused(at, 6*time.Second, verdict.ClassCrash, "process_exit", "ledger-1")
			for _, ev := range s.events {
				if ev.Verdict != nil && ev.Verdict.Culprit.Name == ip {
					t.Errorf("its address is accused by itself: %s", ev.Body)
				}
			}
		})
	}
}

func TestAddressOfSeveralNamesIsNobodys(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	const proxy = "10.0.0.9:3128"
	for _, named := range []string{s.ledger.addr, s.payment1.addr} {
		s.e.callee(report.Callee{Address: proxy, Direct: true, Named: named})
	}
	if n := s.e.callee(report.Callee{Address: proxy, Direct: true}); n.kind != kindExternal {
		t.Errorf("%s is meant by the address of a proxy", n.name())
	}
	s.e.book.cap = 1
	s.e.callee(report.Callee{Address: "10.0.0.10:80", Direct: true, Named: s.ledger.addr})
	if len(s.e.book.named) > 1 {
		t.Errorf("%d names are kept", len(s.e.book.named))
	}
}
