// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"strconv"
	"time"

	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

const never = time.Duration(math.MaxInt64)

func itoa(n int) string { return strconv.Itoa(n) }

// exporter is an SDK's batch of spans within a process. It dies with it.
type exporter struct {
	calls  []callSpan
	serves []serveSpan
}

type callSpan struct {
	callee     report.Callee
	outcome    report.Outcome
	begin, end time.Duration
	key        uint64
	on         *service
}

type serveSpan struct {
	outcome    report.Outcome
	begin, end time.Duration
	key        uint64
}

const maxQueue = 2048 // spans, as SDKs have it

func (x *exporter) call(p *proc, u *dependency, c report.Callee, begin time.Duration, a answer, key uint64) {
	if p.svc.kind != application || len(x.calls) >= 4*maxQueue {
		return
	}
	x.calls = append(x.calls, callSpan{c, a.outcome, begin, a.at, key, u.on})
}

func (x *exporter) serve(p *proc, begin, end time.Duration, o report.Outcome, key uint64) {
	if p.svc.kind != application || len(x.serves) >= 4*maxQueue {
		return
	}
	x.serves = append(x.serves, serveSpan{o, begin, end, key})
}

// batch takes out what has ended by now.
func (x *exporter) batch(w *world, p *proc, src *report.Source, now time.Duration) *report.Batch {
	b := &report.Batch{}
	skew := p.host.skew(now)
	usual := w.engine.Baselines()
	type group struct {
		callee  report.Callee
		outcome report.Outcome
	}
	at := map[group]int{}
	later := x.calls[:0]
	for i := range x.calls {
		s := &x.calls[i]
		if s.end > now {
			later = append(later, *s)
			continue
		}
		g := group{s.callee, s.outcome}
		n, known := at[g]
		if !known {
			n = len(b.Calls)
			at[g] = n
			b.Calls = append(b.Calls, report.Calls{Caller: src, Callee: s.callee, Outcome: s.outcome, First: wall(s.begin + skew)})
		}
		c := &b.Calls[n]
		c.Count++
		c.Took += s.end - s.begin
		c.First = min(c.First, wall(s.begin+skew))
		c.Started = max(c.Started, wall(s.begin+skew))
		c.Last = max(c.Last, wall(s.end+skew))
		lost := s.outcome == report.OutcomeTimeout || s.outcome == report.OutcomeNoAnswer
		if (s.outcome.Answered() || lost) && s.key != 0 && s.on.kind != database {
			b.Hops = append(b.Hops, report.Hop{Span: s.key, Source: src, Callee: s.callee, Lost: lost, Duration: s.end - s.begin, At: wall(s.end + skew)})
		}
		if s.outcome == report.OutcomeOK {
			sample := report.SpanSample{Key: report.SpanKey(src.ServiceKey, "call", 3, s.on.name), Duration: s.end - s.begin}
			b.Spans = append(b.Spans, sample)
			if crawls(usual, sample) {
				c.Slow++
				w.shows(s.begin)
			}
		} else if s.outcome.Failed() {
			w.shows(s.begin)
		}
	}
	x.calls = later
	left := x.serves[:0]
	var served report.Served
	for _, s := range x.serves {
		if s.end > now {
			left = append(left, s)
			continue
		}
		switch s.outcome {
		case report.OutcomeServerError:
			served.Faults++
			served.Failed++
		case report.OutcomeUnavailable, report.OutcomeOverloaded:
			served.Failed++
		default:
			served.OK++
			p.answers(&served, s)
			sample := report.SpanSample{Key: report.SpanKey(src.ServiceKey, "serve", 2, ""), Duration: s.end - s.begin}
			b.Spans = append(b.Spans, sample)
			if crawls(usual, sample) {
				served.Slow++
			}
		}
		served.Last = max(served.Last, wall(s.end+skew))
		served.Took += s.end - s.begin
		if s.key != 0 {
			b.Hops = append(b.Hops, report.Hop{Span: s.key, Server: true, Source: src, Duration: s.end - s.begin, At: wall(s.end + skew)})
		}
	}
	x.serves = left
	if served.OK+served.Failed > 0 {
		served.Source = src
		b.Served = append(b.Served, served)
	}
	return b
}

// crawls says whether a span took far longer than its kind usually does.
func crawls(usual *engine.Baselines, s report.SpanSample) bool {
	tail := usual.Of(s.Key)
	return tail != nil && s.Duration > 3*tail.P99 && s.Duration > tail.P99+30*time.Millisecond
}

// export is the SDK's timer: it sends what it has.
func (w *world) export(p *proc) {
	var flush func(time.Duration)
	flush = func(now time.Duration) {
		ph := p.now(now)
		if ph.is == dead {
			p.out = exporter{} // what was not sent yet died with it
		} else if ph.is != stopped {
			if b := p.out.batch(w, p, w.source(p, ph.inc), now); !b.Empty() {
				w.ship(now, end{p.host, p}, p.host.agent, b, w.span(time.Minute, 2*time.Minute))
				if p.has(duplicateSend, now) > 0 {
					twice := *b
					w.ship(now+time.Second, end{p.host, p}, p.host.agent, &twice, 0)
				}
			}
		}
		w.agenda.plan(now+w.span(w.habits.FlushEvery*9/10, w.habits.FlushEvery*11/10), flush)
	}
	w.agenda.plan(w.span(0, w.habits.FlushEvery), flush)
}

// ship sends a batch towards the gateway, by way of an agent if there is one.
// A way that is closed is tried again until patience ends.
func (w *world) ship(now time.Duration, from end, via *agent, b *report.Batch, patience time.Duration) {
	if via == nil {
		w.send(now, from, b, patience, 0)
		return
	}
	if via.life.at(now).is == stopped {
		if next := via.life.next(now); next != never {
			w.agenda.plan(next, func(now time.Duration) { w.ship(now, from, via, b, patience) })
		}
		return
	}
	net := w.way(from, end{host: via.host}, now)
	if via.life.at(now).is != running || net.loss >= 1 || net.loss > 0 && w.packets(now, net) > now+5*time.Second {
		if patience > 0 {
			w.agenda.plan(now+5*time.Second, func(now time.Duration) { w.ship(now, from, via, b, patience-5*time.Second) })
		}
		return
	}
	b.Arrived = wall(now)
	w.agenda.plan(now+net.delay+w.span(0, via.lag), func(now time.Duration) {
		w.send(now, end{host: via.host}, b, 5*time.Minute, 0)
	})
}

// send is the last stretch, to the gateway.
func (w *world) send(now time.Duration, from end, b *report.Batch, patience, waited time.Duration) {
	net := w.way(from, end{host: w.gateway}, now)
	at := w.packets(now, net)
	if at > now+10*time.Second || w.gatewayLife.at(now).is == dead {
		if again := 3*time.Second + waited/2; waited < patience {
			w.agenda.plan(now+again, func(now time.Duration) { w.send(now, from, b, patience, waited+again) })
		}
		return
	}
	at += w.span(time.Millisecond, 20*time.Millisecond) + w.late(now)
	w.agenda.plan(at, func(now time.Duration) { w.arrive(now, b) })
}

// arrive hands a batch to the engine; a gateway that sleeps takes it up when it
// wakes.
func (w *world) arrive(now time.Duration, b *report.Batch) {
	if up, ok := w.gatewayLife.awake(now); !ok {
		return
	} else if up > now {
		w.agenda.plan(up, func(now time.Duration) { w.arrive(now, b) })
		return
	}
	b.Arrived = wall(now)
	// The gateway's reader caps event times at its own clock.
	for i := range b.Calls {
		c := &b.Calls[i]
		c.First, c.Last = min(c.First, b.Arrived), min(c.Last, b.Arrived)
	}
	for i := range b.Served {
		b.Served[i].Last = min(b.Served[i].Last, b.Arrived)
	}
	for i := range b.Facts {
		b.Facts[i].At = min(b.Facts[i].At, b.Arrived)
	}
	for i := range b.Signs {
		b.Signs[i].At = b.Arrived
	}
	for i := range b.Beats {
		if b.Beats[i].Observer == "" {
			b.Beats[i].At = b.Arrived
		}
	}
	w.noteArrival(now, b)
	w.engine.Observe(b)
	w.collect()
}

// say lets a process's log, or somebody who watches it, tell a fact. The same
// line is not told more than about once a second.
func (w *world) say(p *proc, kind report.FactKind, at time.Duration, text string) {
	if !p.svc.logs {
		return
	}
	key := saidKey{p, kind}
	if last, ok := w.said[key]; ok && at-last < time.Second {
		return
	}
	w.said[key] = at
	w.tell(p, kind, 0, at, text)
}

type saidKey struct {
	p    *proc
	kind report.FactKind
}

// tell brings a fact about p to the gateway, from its host's log reader or the
// cluster: not from the process itself.
func (w *world) tell(p *proc, kind report.FactKind, value int64, at time.Duration, text string) {
	src := w.source(p, p.life.at(max(0, at-time.Millisecond)).inc)
	w.fact(p.host, report.Fact{Source: src, Kind: kind, Value: value, Text: text}, at)
}

func (w *world) fact(h *host, f report.Fact, at time.Duration) {
	read := at + w.span(200*time.Millisecond, 2*time.Second)
	w.agenda.plan(max(read, w.time), func(now time.Duration) {
		f.At = wall(at + h.skew(at))
		w.shows(at)
		w.ship(now, end{host: h}, h.agent, &report.Batch{Facts: []report.Fact{f}}, 5*time.Minute)
	})
}
