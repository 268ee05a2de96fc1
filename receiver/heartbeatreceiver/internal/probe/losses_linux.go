// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"fmt"
	"net/netip"

	"github.com/faultline-otel/faultline/internal/contract"
)

// losses follows which share of what is sent to each machine gets lost. A packet that is
// sent again was lost, unless the other side says that it got it twice: then the answer
// was late, as of a machine without breath.
type losses struct {
	sent map[flow]traffic // of each connection, at the look before
	to   map[netip.Addr]*sending
}

type flow struct {
	localPort uint16
	remote    netip.AddrPort
}

// traffic counts packets with data: sent, sent again, and those that came twice.
type traffic struct{ sent, again, twice uint32 }

// follows says whether t may be what a connection has counted that had counted before: no
// count of one falls.
func (t traffic) follows(before traffic) bool {
	return t.sent >= before.sent && t.again >= before.again && t.twice >= before.twice
}

// sending is what was sent to a machine lately, and lost, in packets.
type sending struct{ sent, lost float64 }

const (
	// fade is how much of what was counted before counts at the next look.
	fade = 0.75
	// lostFrom and lostLeast are the share and the number from which on packets do not
	// just get lost: on a way that is well one in a thousand does.
	lostFrom  = 0.15
	lostLeast = 8
)

// look counts what was sent since the look before, and returns the machines to which
// much of it is lost.
func (l *losses) look(all []tcpSocket) map[netip.Addr]float64 {
	sent, to := make(map[flow]traffic, len(all)), map[netip.Addr]*sending{}
	for i := range all {
		s := &all[i]
		if s.state == stateListen || s.traffic.sent == 0 {
			continue
		}
		f := flow{s.localPort, s.remote}
		sent[f] = s.traffic
		before, known := l.sent[f]
		if !known || !s.traffic.follows(before) { // it is new, maybe in another's place
			if l.sent == nil {
				continue // at the first look nobody knows since when
			}
			before = traffic{}
		}
		m := to[s.remote.Addr()]
		if m == nil {
			m = &sending{}
			if old := l.to[s.remote.Addr()]; old != nil {
				*m = sending{old.sent * fade, old.lost * fade}
			}
			to[s.remote.Addr()] = m
		}
		m.sent += float64(s.traffic.sent - before.sent)
		m.lost += float64(s.traffic.again-before.again) - float64(s.traffic.twice-before.twice)
	}
	l.sent, l.to = sent, to
	lossy := map[netip.Addr]float64{}
	for a, m := range to {
		if m.lost >= lostLeast && m.lost >= lostFrom*m.sent {
			lossy[a] = min(m.lost/m.sent, 1)
		}
	}
	return lossy
}

// lossesTo are those that stand for the machines to which much is lost: a server there
// to which somebody here is connected, else one here to which somebody there is.
func (c *Connections) lossesTo(all []tcpSocket, peers []*peer) (told []Peer) {
	lossy := c.losses.look(all)
	if len(lossy) == 0 {
		return nil
	}
	tell := func(at netip.AddrPort, from netip.Addr, share float64) {
		r := Result{Outcome: contract.OutcomeOK, Loss: share, Message: fmt.Sprintf("%.0f %% of what is sent is lost", 100*share)}
		if from.IsValid() {
			r.From = from.String()
		}
		told = append(told, Peer{Target: "connections:" + at.String(), Interval: c.interval, Result: r})
	}
	for _, p := range peers {
		if share, ok := lossy[p.at.Addr()]; ok && !p.silent() {
			tell(p.at, netip.Addr{}, share)
			delete(lossy, p.at.Addr())
		}
	}
	listens := openPorts(all)
	for i := range all {
		s := &all[i]
		if share, ok := lossy[s.remote.Addr()]; ok && listens[s.localPort] && s.local.IsValid() {
			tell(netip.AddrPortFrom(s.local, s.localPort), s.remote.Addr(), share)
			delete(lossy, s.remote.Addr())
		}
	}
	return told
}

// openPorts are those at which somebody here takes connections.
func openPorts(all []tcpSocket) map[uint16]bool {
	ports := map[uint16]bool{}
	for i := range all {
		if all[i].state == stateListen {
			ports[all[i].localPort] = true
		}
	}
	return ports
}
