// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"slices"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// server is who a process of a host is, by its pid; nil if nobody has told that. Then
// it is known by where it takes connections, or by what it was told to call itself.
func (p *pulse) server(who *sourceID) *report.Source {
	p.probe.Host = own(who.host)
	for _, told := range p.addresses {
		host, port, ok := splitPort(told)
		if !ok {
			p.x.skips.add(skipWord)
			continue
		}
		names := []string{host, who.host}
		if loopback(host) {
			names = append(names, "localhost")
		}
		for _, name := range names {
			if a, _ := canonical(name, port, 0, who.host); a != "" && !slices.Contains(p.probe.Addresses, a) {
				p.probe.Addresses = append(p.probe.Addresses, a)
			}
		}
	}
	id := *who
	id.pid = strconv.FormatInt(p.process.PID, 10)
	src := p.x.inProcess(&id)
	if src == nil && p.service != "" && who.hostName != "" {
		p.probe.Named = p.x.find(byHost+who.hostName, p.service)
	}
	return src
}

// maxAddresses is how many addresses of one process are read.
const maxAddresses = 16

// strings reads a list of words, at most maxAddresses of them.
func (p *pulse) strings(v pcommon.Value) []string {
	if v.Type() != pcommon.ValueTypeSlice {
		p.x.skips.add(skipType)
		return nil
	}
	var out []string
	for _, w := range v.Slice().All() {
		if len(out) == maxAddresses {
			break
		}
		if s := p.word(w); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// connectionsTo begins the target of a look at connections.
const connectionsTo = "connections:"

// peer is whom others on an agent's host have opened connections to, as the kernel
// tells it; false if the target is none.
func (p *pulse) peer(who *sourceID, target string) bool {
	address, ip := canonical(target, 0, 0, "")
	if _, _, ok := splitPort(address); !ok || !ip || own(who.host) == "" {
		return false
	}
	p.probe.Passive, p.probe.Direct, p.probe.Host, p.probe.Addresses = true, true, own(who.host), []string{address}
	p.probe.From = p.beat.Remote
	if p.probe.Outcome == report.OutcomeTimeout {
		p.probe.Outcome = report.OutcomeConnectTimeout // it is of those that are being opened
	}
	return true
}
