// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Who tells addresses by names is called by no span. When several names that were found before
// are found no more, and by several hosts, it is him who fails, and none of those whom they name.

const (
	// resolverName is what is called that of which nobody tells more.
	resolverName = "DNS"
	// lookupsKept is how many failed look-ups are remembered, one for each name and host, and
	// lookupsWithin for how long they are one failure.
	lookupsKept   = 16
	lookupsWithin = 30 * time.Second
	// cachedFor is for how long after a cut those who cannot ask any more may still know names.
	cachedFor = 20 * time.Second
)

// lookups are those that failed of late.
type lookups struct {
	failed []lookup
	fellAt clock.Time // when several names were last not found by several hosts
}

type lookup struct {
	name string
	host *hostState
	from clock.Time // since when it fails
	at   clock.Time
}

// notFound notes calls that were not made, as the name of n was not found.
func (e *Engine) notFound(caller, n *entity, c *report.Calls) {
	if caller == nil || caller.host == nil || !n.answered || n.name() == resolverName {
		return
	}
	l := lookup{n.lookedUp(), caller.host, e.now, e.now}
	oldest, known := 0, false
	names, hosts := false, false
	for i := range e.lookups.failed {
		o := &e.lookups.failed[i]
		if o.name == l.name && o.host == l.host {
			if e.now.Sub(o.at) >= lookupsWithin {
				o.from = e.now
			}
			o.at, known = e.now, true
		}
		if o.at < e.lookups.failed[oldest].at {
			oldest = i
		}
		if e.now.Sub(o.at) < lookupsWithin {
			names, hosts = names || o.name != l.name, hosts || o.host != l.host
		}
	}
	switch {
	case known:
	case len(e.lookups.failed) < lookupsKept:
		e.lookups.failed = append(e.lookups.failed, l)
	default:
		e.lookups.failed[oldest] = l
	}
	if !names || !hosts {
		return
	}
	e.lookups.fellAt = e.now
	r := e.external(resolverName)
	if c := e.resolverBehind(); c != nil {
		if r.verdict != nil {
			e.clear(r, "it is cut off by "+c.entity.name())
		}
		return
	}
	r.alive = true
	if r.calls == nil {
		r.calls = &callStats{}
	}
	e.gotNoAnswer(r, r.calls, caller, c)
}

// resolverBehind is a cut that accounts for names that are not found: all who do not find
// them stand on one side of it, and have not since it began.
func (e *Engine) resolverBehind() *cutState {
	for _, c := range e.cuts {
		if e.now.Sub(max(c.at, c.goneAt)) >= lookupsWithin || !c.near.place() || !c.far.place() {
			continue
		}
		near, far := true, true
		for _, l := range e.lookups.failed {
			if e.now.Sub(l.at) >= lookupsWithin {
				continue
			}
			since := l.from >= c.began && l.from.Sub(c.began) <= cachedFor
			near = near && since && c.near.has(l.host, nil)
			far = far && since && c.far.has(l.host, nil) && !c.near.has(l.host, nil)
		}
		if near || far {
			return c
		}
	}
	return nil
}

// lookedUp is the name by which n is called: instances of a service mostly go by one.
func (n *entity) lookedUp() string {
	if n.service != nil {
		return n.service.id.Name
	}
	return zoneOfName(n.name())
}

// zoneOfName is who has to know a name: of names of the world the domain, which may fail by
// itself, of those of a cluster all of it.
func zoneOfName(name string) string {
	host, _ := cutPort(name)
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	if last := labels[len(labels)-1]; len(labels) < 3 || last == "local" || last == "internal" || last == "svc" {
		return host
	}
	return strings.Join(labels[len(labels)-2:], ".")
}

// resolverFails says whether that n's name is not found is the failure of who tells names.
func (e *Engine) resolverFails(n *entity) bool {
	return e.lookups.fellAt != 0 && e.now.Sub(e.lookups.fellAt) < lookupsWithin && n.name() != resolverName
}

// forgiveName takes back what is held against n for its name's sake.
func (e *Engine) forgiveName(n *entity, p *episode) {
	if !e.resolverFails(n) || p.found[belief.EvCallersName].strength == 0 {
		return
	}
	p.found[belief.EvCallersName] = finding{}
	if v := n.verdict; v != nil && (v.Class == verdict.ClassPartition || v.Class == verdict.ClassUnknown) {
		e.clear(n, "several names are not found, by several hosts")
	}
}
