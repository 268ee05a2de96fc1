// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

func (w *world) observers() {
	d := w.dice
	add := func(id string, h *host) *agent {
		a := &agent{id: id, host: h, born: -d.span(time.Hour, 100*time.Hour), pending: &report.Batch{}, lag: d.span(200*time.Millisecond, time.Second)}
		a.life.set(0, running, w.incarnation())
		w.agents = append(w.agents, a)
		return a
	}
	switch w.habits.Agents {
	case "zone":
		for _, z := range w.zones {
			a := add("agent-"+z.name, &host{name: "agent-host-" + z.name, zone: z})
			for _, h := range z.hosts {
				h.agent = a
			}
		}
	case "host":
		for _, h := range w.hosts {
			h.agent = add("agent-"+h.name, h)
		}
	}
	w.targets()
}

// source is who p says it is in one of its lives.
func (w *world) source(p *proc, inc uint64) *report.Source {
	if s := p.sources[inc]; s != nil && s.Version == p.version {
		return s
	}
	src := report.Source{Service: p.svc.id, Instance: p.id, Host: p.host.name, Version: p.version}
	if w.habits.Drawn {
		src.Instance, src.Volatile = fmt.Sprintf("%08x-1c3d-4e5f-8a9b-%012x", uint32(inc*2654435761), inc), true
	}
	if w.habits.Zoned {
		src.Zone = p.host.zone.name
	}
	p.sources[inc] = report.NewSource(src)
	return p.sources[inc]
}
