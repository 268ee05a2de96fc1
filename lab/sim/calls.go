// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// A call is followed to its end at once: what everybody will do is known in
// advance, so how it ends follows from the states of the caller, of the network
// there and back, of the callee and of those that the callee needs.

// answer is how a call ended for its client.
type answer struct {
	at      time.Duration
	outcome report.Outcome
}

func (a answer) ok() bool {
	return a.outcome == report.OutcomeOK || a.outcome == report.OutcomeClientError
}

// request lets a process serve a request from outside of the fleet.
func (w *world) request(t time.Duration, p *proc) {
	if ph := p.now(t); ph.is != running && ph.is != draining {
		return // its users see that; they send no telemetry
	}
	w.serve(t, p, 0, 0)
}

// need lets a process call what it depends on, with retries.
func (w *world) need(t time.Duration, p *proc, u *dependency, parent uint64, depth int) answer {
	if p.has(breakerOpen, t) > 0 {
		a := answer{t, report.OutcomeCircuitOpen}
		p.out.call(p, u, w.named(u, u.on.procs[0]), t, a, 0)
		return answer{t, report.OutcomeOK} // there is a fallback
	}
	b := p.breaker[u.on]
	if w.habits.Breakers {
		if b == nil {
			b = &breaker{}
			p.breaker[u.on] = b
		}
		if t < b.until {
			p.out.call(p, u, report.Callee{Address: u.on.procs[0].address}, t, answer{t, report.OutcomeCircuitOpen}, 0)
			return answer{t, report.OutcomeCircuitOpen}
		}
	}
	var a answer
	var avoid *proc
	for try := 0; ; try++ {
		a, avoid = w.attempt(t, p, u, parent, depth, avoid)
		if a.ok() || try >= u.retries || a.outcome == report.OutcomeServerError {
			break
		}
		t = a.at + w.span(20*time.Millisecond, 200*time.Millisecond)
	}
	if b != nil {
		b.failures++
		if a.ok() {
			b.failures = 0
		} else if b.failures >= 8 {
			b.until, b.failures = a.at+5*time.Second, 0
		}
	}
	return a
}

// attempt makes one call and lets the caller's telemetry tell of it.
func (w *world) attempt(t time.Duration, p *proc, u *dependency, parent uint64, depth int, avoid *proc) (answer, *proc) {
	d := w.dice
	if x := p.has(poolDry, t); x > 0 && d.chance(x) && u == p.svc.uses[0] {
		a := answer{t + u.connect, report.OutcomeOverloaded}
		w.say(p, report.FactPoolEmpty, a.at, "Connection is not available, request timed out after 1500ms")
		p.out.call(p, u, w.named(u, nil), t, a, 0)
		return a, nil
	}
	if x := p.has(noDescriptor, t); x > 0 && d.chance(x) {
		a := answer{t + time.Millisecond, report.OutcomeOther}
		w.say(p, report.FactNoDescriptor, a.at, "socket: too many open files")
		p.out.call(p, u, w.named(u, nil), t, a, 0)
		return a, nil
	}
	if p.has(hammering, t) > 0 && u == p.svc.uses[0] && d.chance(0.7) {
		a := answer{t + 3*time.Millisecond, report.OutcomeOverloaded} // beyond its quota
		p.out.call(p, u, w.named(u, u.on.procs[0]), t, a, 0)
		return a, nil
	}
	to := w.choose(t, u, avoid)
	if to == nil {
		a := answer{t + time.Millisecond, report.OutcomeRefused} // no endpoints
		p.out.call(p, u, w.named(u, nil), t, w.told(p, a), 0)
		return a, nil
	}
	key := w.key()
	if p.svc.kind == proxy {
		key = parent // it passes the trace's context on unchanged
	}
	a := w.exchange(t, p, to, u, key, depth)
	if w.injected && !a.ok() && app(p) {
		w.injection.hurts(t, w.told(p, a), p, to, w.named(u, to).Direct)
	}
	if p.svc.kind != proxy {
		p.out.call(p, u, w.named(u, to), t, w.told(p, a), key)
	}
	return a, to
}

// exchange is one call over the network.
func (w *world) exchange(t time.Duration, p, to *proc, u *dependency, key uint64, depth int) answer {
	d := w.dice
	if w.habits.Noise > 0 && d.chance(w.habits.Noise) {
		if d.chance(0.4) {
			return answer{t + u.timeout, report.OutcomeTimeout}
		}
		o := pick(d, report.OutcomeReset, report.OutcomeUnavailable, report.OutcomeServerError)
		if is := to.now(t).is; o == report.OutcomeServerError && (is == dead || is == stopped || is == stuck || w.way(end{p.host, p}, end{to.host, to}, t).loss >= 1) {
			o = report.OutcomeReset // nobody is there who could answer
		}
		return answer{t + d.around(5*time.Millisecond, 1), o}
	}
	give := t + u.timeout
	net := w.way(end{p.host, p}, end{to.host, to}, t)
	ph := to.now(t)
	c := p.conns[to]
	if c == nil {
		c = &connection{}
		p.conns[to] = c
	}
	if c.till != 0 && t >= c.till {
		c.open, c.till = false, 0
	}
	if c.open && c.inc != ph.inc || c.open && (ph.is == dead || ph.is == deaf) && !to.host.gone(t) && net.loss < 1 {
		c.open = false
		if d.chance(0.25) { // not noticed before it was used
			return answer{t + net.delay, report.OutcomeReset}
		}
	}
	if !c.open || d.chance(0.1) {
		a, ok := w.connect(t, to, ph, net, u.connect)
		c.open = ok
		c.inc, c.till = ph.inc, 0
		if !ok {
			return a
		}
		t = a.at
	}
	// Others that share the connection go on until the first one times out.
	late := func() answer {
		if c.till == 0 || give < c.till {
			c.till = give
		}
		return answer{give, report.OutcomeTimeout}
	}
	there := w.packets(t, net.oneWay(net.there))
	if there > give {
		return late()
	}
	a, alive := w.serve(there, to, key, depth)
	if !alive {
		// It died, or will never go on.
		c.open = false
		if a.at > give || to.host.gone(a.at) || to.now(a.at).is != dead {
			return answer{give, report.OutcomeNoAnswer}
		}
		return answer{a.at, report.OutcomeReset}
	}
	if a.at > give {
		return answer{give, report.OutcomeTimeout}
	}
	net = w.way(end{p.host, p}, end{to.host, to}, a.at)
	if a.at = w.packets(a.at, net.oneWay(net.back)); a.at > give {
		return late()
	}
	return a
}

// connect is the handshake of a new connection.
func (w *world) connect(t time.Duration, to *proc, ph phase, net way, wait time.Duration) (answer, bool) {
	if net.dns {
		return answer{t + 20*time.Millisecond, report.OutcomeDNS}, false
	}
	at := w.packets(t, net)
	if net.loss >= 1 && net.rejects {
		return answer{t + min(wait, 400*time.Millisecond), report.OutcomeUnreachable}, false
	}
	if at > t+wait {
		return answer{t + wait, report.OutcomeConnectTimeout}, false
	}
	switch ph.is {
	case dead, starting, deaf:
		return answer{at, report.OutcomeRefused}, false
	case stopped, stuck:
		since := t - to.life.at(t).from
		if since > w.backlog {
			return answer{t + wait, report.OutcomeConnectTimeout}, false
		}
	}
	if net.tls {
		return answer{at, report.OutcomeTLS}, false
	}
	return answer{at, report.OutcomeOK}, true
}

// packets is when what is sent at t has crossed, with TCP's retransmissions.
func (w *world) packets(t time.Duration, net way) time.Duration {
	if net.loss >= 1 {
		return never
	}
	again := 200 * time.Millisecond
	for net.loss > 0 && w.chance(net.loss) {
		t += again
		again *= 2
		if again > time.Minute {
			return never
		}
	}
	return t + net.delay
}

// serve lets a process work on a request. It says when and how it answers, and
// false if it never will.
func (w *world) serve(t time.Duration, p *proc, key uint64, depth int) (answer, bool) {
	d := w.dice
	begin, ok := p.goesOn(t)
	if !ok {
		return answer{begin, report.OutcomeReset}, false
	}
	s := p.svc
	end := begin
	p.arrivals++
	if i := w.injection; w.injected && i.culprit == p && begin >= i.start && begin < i.end {
		i.asked++
	}
	switch {
	case d.chance(p.has(turningAway, begin)):
		return w.served(p, begin, begin+time.Millisecond, report.OutcomeOverloaded, key), true
	case d.chance(p.has(noThread, begin)):
		w.say(p, report.FactNoThread, begin, "unable to create native thread: possibly out of memory or process/resource limits reached")
		return w.served(p, begin, begin+time.Millisecond, report.OutcomeServerError, key), true
	}
	work := d.around(s.median, s.sigma)
	if x := p.has(slow, begin); x > 0 {
		work = time.Duration(float64(work) * x)
	}
	// One queue before all its workers: work that waits is only a number.
	// It empties by the time of the requests from outside, which only rises;
	// calls below them are followed ahead of it.
	p.busy = max(0, p.busy-time.Duration(float64(w.time-p.seenAt)*s.capacity))
	p.seenAt = w.time
	wait := time.Duration(float64(p.busy) / s.capacity)
	if wait > s.queue && s.sheds {
		return w.served(p, begin, begin+time.Millisecond, report.OutcomeOverloaded, key), true
	}
	p.work += work
	if wait < 4*s.queue { // beyond, the kernel drops
		p.busy += work
	}
	end += wait + work
	if x := p.has(diskFull, begin); x > 0 && d.chance(x) {
		w.say(p, report.FactDiskFull, begin, "write /data/journal: no space left on device")
		return w.served(p, begin, end, report.OutcomeServerError, key), true
	}
	if d.chance(p.has(badRequest, begin)) || d.chance(0.004) {
		return w.served(p, begin, end, report.OutcomeClientError, key), true
	}
	outcome := report.OutcomeOK
	for _, u := range s.uses {
		if p.has(idling, begin) > 0 || depth > 8 || !d.chance(u.share) {
			continue
		}
		for n := p.has(hammering, end); n > 1 && u == s.uses[0]; n-- {
			w.need(end, p, u, key, depth+1)
		}
		a := w.need(end, p, u, key, depth+1)
		end = a.at
		if a.ok() || !u.needed {
			continue
		}
		outcome = report.OutcomeServerError
		if s.kind == proxy || s.translates {
			outcome = report.OutcomeUnavailable
		}
		break
	}
	if outcome == report.OutcomeOK {
		switch {
		case d.chance(p.has(failing, begin)):
			outcome = report.OutcomeServerError
		case d.chance(p.has(lying, begin)):
			outcome = report.OutcomeWrongAnswer
		}
	}
	// Does it live to send the answer?
	if at := p.dies(begin, end); at < end {
		return answer{at, report.OutcomeReset}, false
	}
	end, ok = p.goesOn(end)
	if !ok {
		return answer{end, report.OutcomeReset}, false
	}
	return w.served(p, begin, end, outcome, key), true
}

// goesOn is when p next works from t on; false if its death comes first, and
// then when that is.
func (p *proc) goesOn(t time.Duration) (time.Duration, bool) {
	for {
		ph := p.now(t)
		switch ph.is {
		case running, draining:
			return t, true
		case dead:
			return t, false
		case deaf, starting:
			return t, true // connections that it has already
		}
		next := p.life.next(t)
		if len(p.host.life) > 0 {
			next = min(next, p.host.life.next(t))
		}
		if next == never {
			return never, false
		}
		t = next
	}
}

// dies is when p's present life ends, if before the end.
func (p *proc) dies(begin, end time.Duration) time.Duration {
	for t := begin; t < end; {
		if p.now(t).is == dead {
			return t
		}
		next := p.life.next(t)
		if len(p.host.life) > 0 {
			next = min(next, p.host.life.next(t))
		}
		t = next
	}
	return end
}

// served lets the server's telemetry tell of a call, and returns the answer as
// its client gets it.
func (w *world) served(p *proc, begin, end time.Duration, o report.Outcome, key uint64) answer {
	p.out.serve(p, begin, end, o, key)
	if o == report.OutcomeWrongAnswer && !p.svc.validates {
		o = report.OutcomeOK // nobody notices
	}
	return answer{end, o}
}
