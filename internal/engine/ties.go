// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// Many clients write no spans, and the members of a cluster none of what they ask of
// each other. Whom they depend on shows all the same: agents tell to which addresses
// connections from their host are open, and which process takes connections there. If
// that process comes to a bad end or is stopped, who begins to fail then on a host
// that was connected to it, or to another of its cluster, may fail for want of it.

// tie is a host from which connections to an address were open.
type tie struct {
	host, address string
}

func (k tie) compare(other tie) int {
	return cmp.Or(strings.Compare(k.host, other.host), strings.Compare(k.address, other.address))
}

// ties is what agents tell of who is connected to whom.
type ties struct {
	at      map[tie]clock.Time // when it was told last
	vain    map[tie]*vain      // unnamed.go: at most cap
	fallen  []fallen           // oldest first, at most maxFallen
	cap     int
	dropped uint64
	swept   clock.Time
}

// fallen is a process that took connections, and no longer does.
type fallen struct {
	target, host string
	how          fall
	addresses    []string
	since, at    clock.Time // when it was told first and last
	stands       bool       // it is stopped
	back         bool
	hosts        map[string]bool // those that depend on it
}

// fall is how one fell.
type fall uint8

const (
	fallBad     fall = iota // it came to a bad end, or is stopped
	fallOrderly             // it ended in order, or was started anew
	fallSilent              // somebody's connections to it are silent: a cut, perhaps
)

var fallWords = [...]string{"which came to a bad end or stands still", "which was ended or started anew", "which acknowledges nothing to some"}

// is says whether f is how a process was told before.
func (f *fallen) is(target, host string, how fall) bool {
	return f.target == target && f.host == host && f.how == how
}

const (
	maxFallen = 32 // servers that fell lately
	// tiedFor is how long a connection counts after it was told last: agents tell of
	// one that is well each ten seconds.
	tiedFor = 40 * time.Second
	// fellsWithin is how long after the fall failures begin that may come from it:
	// those who wait for an answer wait for some time. fellBefore is how much later
	// than the first failures it may be seen.
	fellsWithin = 20 * time.Second
	fellBefore  = 5 * time.Second
	// fellsOn is how long after it was told last it may still be why somebody fails:
	// who lost a server comes back to it within that time, or has failures of its own.
	fellsOn = 30 * time.Second
	// fellFails is the share of its answers, and fellLeast the number, that are
	// failures of one who is hurt.
	fellFails = 0.2
	fellLeast = 2.0
	// Of one that is seen to be stopped it need not be clear yet that these are many.
	stopFails = 0.05
	stopLeast = 4.0
)

// connected notes that connections from a host to an address are open, or wait.
func (e *Engine) connected(b *report.Probe) {
	for _, a := range b.Addresses {
		k := tie{b.Host, a}
		if _, known := e.ties.at[k]; !known && !e.ties.room(e.now) {
			e.ties.dropped++
			return
		}
		e.ties.at[k] = e.now
		if p := e.servers.ports[a]; p != nil && p.target != "" && b.Outcome == report.OutcomeUnacknowledged {
			e.noteFall(fallen{target: p.target, host: p.host, addresses: []string{a}, how: fallSilent, since: e.now, at: e.now})
		}
	}
}

// room says whether there is room for one more, once it has dropped what nobody has
// told of for long.
func (t *ties) room(now clock.Time) bool {
	if len(t.at) >= t.cap && now.Sub(t.swept) > time.Second {
		t.swept = now
		for k, at := range t.at {
			if now.Sub(at) > tiedFor {
				delete(t.at, k)
			}
		}
	}
	return len(t.at) < t.cap
}

// looked takes in how a process is that takes connections.
func (e *Engine) looked(b *report.Probe) {
	if b.Client || b.Host == "" || len(b.Addresses) == 0 {
		return
	}
	q, t := b.Process, &e.ties
	f := fallen{target: b.Target, host: b.Host, addresses: b.Addresses, since: e.now, at: e.now}
	switch q.State {
	case report.ProcessStopped:
		f.stands = true
	case report.ProcessGone, report.ProcessZombie:
		if !q.HasExitCode || cleanExit(int64(q.ExitCode)) {
			f.how = fallOrderly
		}
	default:
		for i := range t.fallen {
			if old := &t.fallen[i]; old.is(b.Target, b.Host, fallBad) {
				old.back = true // what it left behind is told for a while yet
			}
		}
		if !slices.ContainsFunc(b.Addresses, func(a string) bool {
			p := e.servers.ports[a]
			return p != nil && p.host == b.Host && p.target == b.Target && p.started != 0 && p.started != q.StartTime
		}) {
			return
		}
		f.how = fallOrderly
	}
	e.noteFall(f)
}

// noteFall notes a fall, or that it lasts.
func (e *Engine) noteFall(f fallen) {
	t := &e.ties
	i := slices.IndexFunc(t.fallen, func(old fallen) bool { return old.is(f.target, f.host, f.how) })
	if i >= 0 && !t.fallen[i].back && f.at.Sub(t.fallen[i].at) < fellsWithin {
		old := &t.fallen[i]
		old.at = f.at
		for _, a := range f.addresses {
			if len(old.addresses) < maxAddressesEach && !slices.Contains(old.addresses, a) {
				old.addresses = append(slices.Clip(old.addresses), a)
				old.hosts = e.dependents(old)
			}
		}
		return
	}
	if i < 0 && len(t.fallen) >= maxFallen {
		i = 0
		t.dropped++
	}
	if i >= 0 {
		t.fallen = slices.Delete(t.fallen, i, i+1)
	}
	f.hosts = e.dependents(&f)
	t.fallen = append(t.fallen, f)
}

// dependents are the hosts that were connected to one who fell, when that fell, or to
// somebody on a host that was: another of its cluster, that is a server of the same kind,
// or one of whom no span tells, such as a pooler of connections.
func (e *Engine) dependents(f *fallen) map[string]bool {
	direct, all := map[string]bool{}, map[string]bool{}
	if f.onlyHere() {
		all[f.host] = true
	}
	recent := f.since.Add(-tiedFor)
	for k, at := range e.ties.at {
		if at >= recent && k.host != f.host && slices.Contains(f.addresses, k.address) {
			direct[k.host], all[k.host] = true, true
		}
	}
	for k, at := range e.ties.at {
		if p := e.servers.ports[k.address]; p != nil && at >= recent && k.host != f.host && direct[p.host] && (p.target == f.target || e.tellsNothing(k.address)) {
			all[k.host] = true
		}
	}
	return all
}

// tellsNothing says whether no span tells how whoever takes connections at an address
// answers: whom it needs to do that, nobody knows.
func (e *Engine) tellsNothing(address string) bool {
	n := e.knownAt(address)
	return n == nil || n.kind == kindExternal && n.served.total == 0
}

// fellFor is one whose fall may be why n fails since then, or nil.
func (e *Engine) fellFor(n *entity, since clock.Time) *fallen {
	if n.host == nil {
		return nil
	}
	for i := range e.ties.fallen {
		f := &e.ties.fallen[i]
		if e.now.Sub(f.at) > fellsOn || since < f.since.Add(-fellBefore) || since > f.since.Add(fellsWithin) {
			continue
		}
		if f.hosts[n.host.name] {
			return f
		}
	}
	return nil
}

// unspoken is a server of whom no span tells, which fell and is missed: somebody on a
// host that was connected to it fails since, or nobody asks those any more to whom it
// was connected: it was a proxy. nil if nobody misses it.
func (e *Engine) unspoken(b *report.Probe, host *hostState) *entity {
	f := e.missedFall(b.Target, host)
	if f == nil {
		return nil
	}
	address := e.front(f)
	if address == "" {
		return nil
	}
	n := e.external(address)
	n.host, n.alive, n.unspoken = host, true, true
	return n
}

// missedFall is how a process came to a bad end whom somebody misses, or nil.
func (e *Engine) missedFall(target string, host *hostState) *fallen {
	if host == nil {
		return nil
	}
	i := slices.IndexFunc(e.ties.fallen, func(f fallen) bool { return f.is(target, host.name, fallBad) })
	if i < 0 || e.ties.fallen[i].back {
		return nil
	}
	if f := &e.ties.fallen[i]; e.failsFor(f) || e.idleFor(f) || e.hushedFor(f) || e.unnamedFor(f) {
		return f
	}
	return nil
}

// front is the address by which people know one who fell: its host's alone, if it can
// be at the port by which the agent names the process.
func (e *Engine) front(f *fallen) (address string) {
	for _, a := range f.addresses {
		at, err := netip.ParseAddrPort(a)
		if err != nil || at.Addr().IsLoopback() || !e.servers.ownAddress(a, e.now) {
			continue
		}
		if strings.HasSuffix(f.target, fmt.Sprintf(":%d", at.Port())) {
			return a
		}
		if address == "" {
			address = a
		}
	}
	if address == "" && f.onlyHere() {
		return f.addresses[0]
	}
	return address
}

// failsFor says whether somebody fails for want of one who fell.
func (e *Engine) failsFor(f *fallen) bool {
	if len(f.hosts) == 0 {
		return false
	}
	for _, q := range [...]*lru{&e.reg.settled, &e.reg.passersBy} {
		for n := q.head; n != nil; n = n.next {
			if n.host != nil && f.hosts[n.host.name] && (e.failsSince(n, f) || f.onlyHere() && n.turnsAwaySince(e, f)) {
				return true
			}
		}
	}
	return false
}

// idleFor says whether all those to whom the host of one who fell was connected were
// asked until then, and are asked no more.
func (e *Engine) idleFor(f *fallen) bool {
	some := false
	for k, at := range e.ties.at {
		if k.host != f.host || at < f.since.Add(-tiedFor) {
			continue
		}
		n := e.knownAt(k.address)
		if n == nil || n.kind != kindInstance || n.served.total == 0 || n.host == nil || n.host.name == f.host {
			continue
		}
		quiet := e.now.Sub(n.served.seen)
		if n.rate.Known < stat.RateKnown || quiet < missedLeast+n.served.told.Slack() || n.rate.Usual*quiet.Seconds() < missedSure ||
			n.served.last < f.since.Add(-fellBefore) || n.served.last > f.since.Add(fellBefore) || n.verdict != nil {
			return false
		}
		some = true
	}
	return some
}

// hushedFor says whether somebody on a host that was connected to one who fell sent or
// read messages until then, and does no more: a bridge has nothing to pass on, and
// nobody whose call could fail.
func (e *Engine) hushedFor(f *fallen) bool {
	for _, q := range [...]*lru{&e.reg.settled, &e.reg.passersBy} {
		for n := q.head; n != nil && len(f.hosts) > 0; n = n.next {
			if n.kind != kindInstance || n.host == nil || !f.hosts[n.host.name] || n.verdict != nil || n.left || n.seenDown(e) || e.hostAsleep(n) {
				continue // or it has reasons of its own
			}
			if s := n.sending; s != nil && f.ended(&s.rate, s.last, e.now) {
				return true
			}
			if slices.ContainsFunc(n.reads, func(r *reading) bool { return f.ended(&r.rate, r.last, e.now) }) {
				return true
			}
		}
	}
	return false
}

// ended says whether what happened at a rate until last came to an end when f fell:
// so much of it is missing that it is no chance, and no matter of what is told late.
func (f *fallen) ended(r *stat.Rate, last, now clock.Time) bool {
	quiet := now.Sub(last)
	return r.Known >= stat.RateKnown && quiet >= clientQuiet && r.Usual*quiet.Seconds() >= missedSure &&
		last >= f.since.Add(-fellBefore) && last <= f.since.Add(fellBefore)
}

// failsSince says whether n began to fail its callers when somebody fell, and nobody
// whom it is known to call is in trouble.
func (e *Engine) failsSince(n *entity, f *fallen) bool {
	w := e.params.CallWindow
	failed := n.served.failed.Value(e.now, w)
	since, share, least := n.served.failsFrom, fellFails, fellLeast
	if f.stands {
		share, least = stopFails, stopLeast
	}
	return failed >= least && failed/(failed+n.served.ok.Value(e.now, w)) >= share &&
		since >= f.since.Add(-fellBefore) && since <= f.since.Add(fellsWithin) && !e.calleesFailed(n, since.Add(-n.told().Slack()))
}

// ofItsCluster says whether one who fell is a server such as n, on another machine.
func (e *Engine) ofItsCluster(n *entity, f *fallen) bool {
	return f.host != n.host.name && slices.ContainsFunc(append(slices.Clip(n.addresses), n.address), func(a string) bool {
		p := e.servers.ports[a]
		return p != nil && p.host == n.host.name && p.target == f.target
	})
}

// detectTies: one that it is connected to, though no span says so, fell when its
// failures began.
func detectTies(e *Engine, n *entity, p *episode) {
	if n.kind != kindInstance && n.kind != kindExternal {
		return
	}
	var f *fallen
	if since := n.errsSince(); since != 0 {
		f = e.fellFor(n, since)
		if f == nil { // who waits for an answer waits at first, and fails by itself later
			f = e.fellFor(n, n.served.failsFrom)
		}
	}
	if s := n.calls; f == nil && n.kind == kindExternal && s != nil && s.failing(e) {
		if f = e.fellFor(n, s.firstFail); f != nil && !e.ofItsCluster(n, f) && !f.onlyHere() {
			f = nil
		}
	}
	if f == nil {
		if f = e.namesFell(n); f != nil {
			p.note(belief.EvCalleeFailing, 1, e.now, fmt.Sprintf("its name is not found since %s on %s fell", f.target, f.host))
			return
		}
	}
	if f == nil {
		return
	}
	p.note(belief.EvCalleeFailing, 1, e.now, fmt.Sprintf("its host is connected to %s on %s, %s", f.target, f.host, fallWords[f.how]))
}
