// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Two kinds of servers are needed by others of whose connections no agent tells: one that
// takes connections on its own machine only, such as an application behind the web server
// beside it, and a name server, which is asked by datagrams.

// namePort is the port of name servers.
const namePort = ":53"

// onlyHere says whether one who fell took connections from its own machine only.
func (f *fallen) onlyHere() bool {
	for _, a := range f.addresses {
		at, _, local := strings.Cut(a, "@")
		host, _, _ := strings.Cut(at, ":")
		if !local && host != f.host { // that name is given to whatever is there
			return false
		}
	}
	return len(f.addresses) > 0 && strings.Contains(f.addresses[0], "@")
}

// turnsAwaySince says whether n, which tells nothing of itself, turns its callers away
// since somebody fell, as a web server does without the application behind it.
func (n *entity) turnsAwaySince(e *Engine, f *fallen) bool {
	s := n.calls
	return n.kind == kindExternal && !n.unspoken && s != nil && s.failing(e) && f.explains(s.firstFail) &&
		s.byOutcome[report.OutcomeUnavailable].Value(e.now, e.params.CallWindow) >= fellLeast
}

// explains says whether failures that began at t may come from the fall.
func (f *fallen) explains(t clock.Time) bool {
	return t >= f.since.Add(-fellBefore) && t <= f.since.Add(fellsWithin)
}

// unnamedFor says whether one who fell was a name server, and names are not found since.
func (e *Engine) unnamedFor(f *fallen) bool {
	if !f.tellsNames() {
		return false
	}
	for _, q := range [...]*lru{&e.reg.settled, &e.reg.passersBy} {
		for n := q.head; n != nil; n = n.next {
			if e.notFoundSince(n, f) {
				return true
			}
		}
	}
	return false
}

// namesFell is a name server that fell when the name of n was found no more, or nil.
func (e *Engine) namesFell(n *entity) *fallen {
	for i := range e.ties.fallen {
		if f := &e.ties.fallen[i]; f.how == fallBad && e.now.Sub(f.at) <= fellsOn && f.tellsNames() && e.notFoundSince(n, f) {
			return f
		}
	}
	return nil
}

func (f *fallen) tellsNames() bool {
	for _, a := range f.addresses {
		if at, _, _ := strings.Cut(a, "@"); strings.HasSuffix(at, namePort) {
			return true
		}
	}
	return false
}

func (e *Engine) notFoundSince(n *entity, f *fallen) bool {
	s := n.calls
	return s != nil && s.failing(e) && f.explains(s.firstFail) && s.byOutcome[report.OutcomeDNS].Value(e.now, e.params.CallWindow) >= fellLeast
}
