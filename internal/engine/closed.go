// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Who stops in order closes its ports first, ends what it has begun, and then exits: by
// the time that its agent sees it gone, it takes connections nowhere. It is still the one
// who was called there.

// processKey is a process as the agent on its host names it.
type processKey struct{ host, target string }

// tookAt is an address at which a process took connections, and when that was told last.
type tookAt struct {
	address string
	at      clock.Time
}

// closedFor is how long before its end a process may have closed a port.
const closedFor = 30 * time.Second

// took notes where a process that lives takes connections.
func (s *servers) took(b *report.Probe, now clock.Time) {
	k := processKey{b.Host, b.Target}
	known, ok := s.doors[k]
	if !ok && len(s.doors) >= s.cap {
		s.forgetIdle(now)
	}
	if !ok && len(s.doors) >= s.cap {
		s.dropped++
		return
	}
	for _, a := range b.Addresses {
		i := slices.IndexFunc(known, func(t tookAt) bool { return t.address == a })
		switch {
		case i >= 0:
			known[i].at = now
		case len(known) < maxAddressesEach:
			known = append(known, tookAt{a, now})
		default:
			oldest := 0
			for j := range known {
				if known[j].at < known[oldest].at {
					oldest = j
				}
			}
			known[oldest] = tookAt{a, now}
		}
	}
	s.doors[k] = known
}

// withClosed is what is told of a process, with the addresses at which it took
// connections until shortly before it ended, unless another takes them there now.
func (e *Engine) withClosed(b *report.Probe) *report.Probe {
	if b.Client || b.Host == "" {
		return b
	}
	if b.Process.State != report.ProcessGone && b.Process.State != report.ProcessZombie {
		e.servers.took(b, e.now)
		return b
	}
	more := *b
	for _, t := range e.servers.doors[processKey{b.Host, b.Target}] {
		p := e.servers.ports[t.address]
		if e.now.Sub(t.at) < closedFor && !slices.Contains(b.Addresses, t.address) && (p == nil || p.host == b.Host && p.target == b.Target) {
			more.Addresses = append(slices.Clip(more.Addresses), t.address)
		}
	}
	return &more
}
