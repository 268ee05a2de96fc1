// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// behindNginx is a proxy that writes no spans of its calls, and a server behind it: ten
// requests a second go through.
type behindNginx struct {
	*fleet
	nginx, api *report.Source
	spans      uint64
}

func newBehindNginx(t *testing.T) *behindNginx {
	p := &behindNginx{fleet: newFleet(t)}
	p.nginx = report.NewSource(report.Source{Service: report.ServiceID{Name: "nginx"}, Host: "edge"})
	p.api = report.NewSource(report.Source{Service: report.ServiceID{Name: "api"}, Instance: "api-1", Host: "s1"})
	p.pass(90*time.Second, false)
	return p
}

// pass lets requests through, all of which the server fails, or none.
func (p *behindNginx) pass(d time.Duration, fails bool) {
	p.tell(time.Second, d, func(b *report.Batch) {
		for range 10 {
			p.spans++
			b.Passing = append(b.Passing, report.Passing{Span: p.spans, Source: p.nginx})
			b.Hops = append(b.Hops, report.Hop{Span: p.spans, Server: true, Failed: fails, Source: p.api, At: b.Arrived, Duration: time.Millisecond})
		}
		for _, src := range []*report.Source{p.nginx, p.api} {
			v := report.Served{Source: src, OK: 10, Last: b.Arrived}
			if fails {
				v = report.Served{Source: src, Failed: 10, Faults: 10, Last: b.Arrived}
			}
			b.Served = append(b.Served, v)
		}
	})
}

func (p *behindNginx) said(service string) (out []*verdict.Verdict) {
	for i := range p.events {
		if v := p.events[i].Verdict; v != nil && v.Culprit.Service.Name == service {
			out = append(out, v)
		}
	}
	return out
}

func TestAProxyThatPassesFailuresOnDoesNotMakeThem(t *testing.T) {
	p := newBehindNginx(t)
	p.pass(40*time.Second, true)
	if said := p.said("nginx"); len(said) > 0 {
		t.Errorf("said of the proxy: %+v", said[0])
	}
	if said := p.said("api"); len(said) == 0 || said[0].Class != verdict.ClassByzantine {
		t.Errorf("said of the server: %v", p.verdicts())
	}
}

func TestAProxyThatFailsByItselfIsNamed(t *testing.T) {
	p := newBehindNginx(t)
	p.tell(time.Second, 40*time.Second, func(b *report.Batch) {
		b.Served = append(b.Served, report.Served{Source: p.nginx, Failed: 10, Faults: 10, Last: b.Arrived}, report.Served{Source: p.api, OK: 3, Last: b.Arrived})
	})
	if said := p.said("nginx"); len(said) == 0 || said[0].Class != verdict.ClassByzantine {
		t.Errorf("said %v", p.verdicts())
	}
}

func TestAServerBehindAProxyIsMissed(t *testing.T) {
	for name, goesOn := range map[string]bool{"gone": false, "answers_others": true} {
		t.Run(name, func(t *testing.T) {
			p := newBehindNginx(t)
			p.tell(time.Second, 45*time.Second, func(b *report.Batch) {
				b.Served = append(b.Served, report.Served{Source: p.nginx, Failed: 10, Passed: 10, Last: b.Arrived})
				if goesOn {
					b.Served = append(b.Served, report.Served{Source: p.api, OK: 5, Last: b.Arrived})
				}
			})
			said := p.said("api")
			if goesOn != (len(said) == 0) || !goesOn && said[0].Class != verdict.ClassUnknown {
				t.Errorf("said %v; %s", p.verdicts(), p.dump())
			}
			if said := p.said("nginx"); len(said) > 0 {
				t.Errorf("said of the proxy: %+v", said[0])
			}
		})
	}
}

// Ends of a call that share one id, as in Zipkin's model, are those of the call.
func TestAServerThatSharesItsClientsSpanIsNoProxy(t *testing.T) {
	f := newFleet(t)
	caller := report.NewSource(report.Source{Service: report.ServiceID{Name: "web"}, Instance: "web-1", Host: "s1"})
	callee := report.NewSource(report.Source{Service: report.ServiceID{Name: "api"}, Instance: "api-1", Host: "s2"})
	f.e.Observe(&report.Batch{Arrived: f.now, Passing: []report.Passing{{Span: 7, Source: callee}}})
	f.e.Observe(&report.Batch{Arrived: f.now, Hops: []report.Hop{{Span: 7, Server: true, Source: callee, At: f.now}}})
	f.e.Observe(&report.Batch{Arrived: f.now, Hops: []report.Hop{{Span: 7, Source: caller, Callee: report.Callee{Address: "10.0.0.7:80"}, At: f.now}}})
	if n := f.e.callee(report.Callee{Address: "10.0.0.7:80"}); n == nil || n.src != callee {
		t.Errorf("behind the address stands %v", n)
	}
}
