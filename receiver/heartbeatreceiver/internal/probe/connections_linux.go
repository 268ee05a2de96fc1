// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/faultline-otel/faultline/internal/contract"
)

// Connections looks at the TCP connections that processes of our network
// namespace opened to others. A server that is stopped or hangs still
// acknowledges what it is sent, since its kernel does; one behind a cut, or whose
// machine is down, does not. It is not safe for concurrent use.
//
//	dump of sockets ─► without those from elsewhere ─► by peer ─► who is told of ─► Result
type Connections struct {
	interval time.Duration
	limit    int
	log      *zap.Logger
	list     func(into []tcpSocket, limit int) (all []tcpSocket, more bool, err error)
	sockets  []tcpSocket // of the look before, for its room
	look     int
	states   map[netip.AddrPort]peerState // of those that were told of lately
	heard    map[netip.Addr]int           // for how many looks on end packets have come from a machine
	losses   losses
	told     struct{ full, more, unread bool }
}

// peerState is what was told of a peer last.
type peerState struct {
	look    int
	timeout bool
}

const (
	// okEvery is after how many looks it is told again that the way is open.
	okEvery = 5

	// A single packet that is lost is sent again and answered. Of a connection that
	// stands four in a row must be missing, and of one that opens two.
	lostInRow    = 3
	lostSYNs     = 1
	silence      = 1500 * time.Millisecond // sending again three times takes 1.4 s at least
	silenceOfSYN = 1300 * time.Millisecond // the second goes out after 1 s

	// holesFrom is how many connections must be stuck with large packets, while small ones
	// get through, before it is the way that does not let them pass.
	holesFrom = 2

	// longIdle: who translates addresses forgets a connection that is idle for longer.
	longIdle = 2 * time.Minute
	// recent is how old a packet may be that shows that the way is open: a bit more
	// than the usual interval, so that each is recent at one look.
	recent = 2500 * time.Millisecond
)

// NewConnections makes one that tells of at most limit peers at a look, and looks
// are interval apart.
func NewConnections(interval time.Duration, limit int, log *zap.Logger) (*Connections, error) {
	return &Connections{
		interval: interval, limit: limit, log: log, list: listConnections,
		states: map[netip.AddrPort]peerState{},
	}, nil
}

// Look tells of the peers of which something is to be told now.
func (c *Connections) Look() []Peer {
	c.look++
	all, more, err := c.list(c.sockets, maxSockets)
	if err != nil {
		once(&c.told.unread, func() { c.log.Warn("Cannot read the connections of this host (local_connections)", zap.Error(err)) })
		return nil
	}
	if more {
		once(&c.told.more, func() {
			c.log.Warn("There are more sockets here than are looked at (local_connections)", zap.Int("sockets", maxSockets))
		})
	}
	c.sockets = all
	c.hear(all)
	var seen []Peer
	peers := c.choose(group(all))
	for _, p := range peers {
		if result, interval := p.result(), c.due(p); interval > 0 {
			seen = append(seen, Peer{Target: "connections:" + p.at.String(), Interval: interval, Result: result})
		}
	}
	for _, p := range holesTo(all) {
		seen = append(seen, Peer{Target: "connections:" + p.at.String(), Interval: c.interval, Result: p.result()})
	}
	seen = append(seen, c.lossesTo(all, peers)...)
	seen = seen[:min(len(seen), 2*c.limit)]
	// Of whom nothing was told for that long is told as one that is new.
	for at, s := range c.states {
		if c.look-s.look >= okEvery {
			delete(c.states, at)
		}
	}
	return seen
}

// hear follows from whom packets come, and takes for too large only what was sent again
// since they do: after a cut a connection may wait for long before it tries again.
func (c *Connections) hear(all []tcpSocket) {
	heard := map[netip.Addr]int{}
	for i := range all {
		if s := &all[i]; s.state != stateListen && s.state != stateSynSent && !s.stuck() && s.heard <= recent {
			heard[s.remote.Addr()] = c.heard[s.remote.Addr()] + 1
		}
	}
	c.heard = heard
	for i := range all {
		s := &all[i]
		s.large = s.large && s.sent <= time.Duration(heard[s.remote.Addr()]-1)*c.interval
	}
}

// due notes that p is told of, and returns for how long that holds; 0 if it is
// not to be told of now.
func (c *Connections) due(p *peer) time.Duration {
	before, known := c.states[p.at]
	timeout := p.silent()
	if known && !timeout && !before.timeout && c.look-before.look < okEvery {
		return 0
	}
	c.states[p.at] = peerState{c.look, timeout}
	if timeout {
		return c.interval
	}
	return okEvery * c.interval
}

// choose leaves out those of whom nothing can be said, and those for whom there is
// no room: silent ones come first, then those that were, then the busiest.
func (c *Connections) choose(peers []*peer) []*peer {
	peers = slices.DeleteFunc(peers, func(p *peer) bool { return p.outcome() == "" })
	rank := func(p *peer) int {
		switch {
		case p.silent():
			return 0
		case c.states[p.at].timeout:
			return 1
		}
		return 2
	}
	slices.SortFunc(peers, func(a, b *peer) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.connections, a.connections), a.at.Compare(b.at))
	})
	if len(peers) <= c.limit {
		return peers
	}
	once(&c.told.full, func() {
		c.log.Warn("This host has connections to more peers than local_connections::max_peers: the others are not told of",
			zap.Int("max_peers", c.limit), zap.Int("peers", len(peers)))
	})
	return peers[:c.limit]
}

// peer is what all connections to one address together tell.
type peer struct {
	at          netip.AddrPort
	connections int
	stands      bool          // there is a connection that is not stuck
	heard       time.Duration // how long ago such a one got a packet
	lost, syns  tally         // those that are stuck, standing or opening, and that no packet on another speaks against
	// Those that are stuck though packets come on others: with a large packet, and else.
	holes tally
	small int
	from  netip.Addr // whose connections to at these are; of those that were opened here none
}

type tally struct {
	n      int
	waited time.Duration // the longest
}

func (t *tally) add(waited time.Duration) {
	t.n++
	t.waited = max(t.waited, waited)
}

// group brings together the connections to each peer, without those that were
// opened from there.
func group(all []tcpSocket) []*peer {
	listens := openPorts(all)
	byAddress := map[netip.AddrPort]*peer{}
	var peers []*peer
	var stuck []*tcpSocket
	for i := range all {
		s := &all[i]
		if listens[s.localPort] {
			continue
		}
		p := byAddress[s.remote]
		if p == nil {
			p = &peer{at: s.remote, heard: never}
			byAddress[s.remote] = p
			peers = append(peers, p)
		}
		p.connections++
		if s.stuck() {
			stuck = append(stuck, s)
		} else if s.state != stateSynSent && s.state != stateCloseWait { // what came last there is that the server went
			p.stands, p.heard = true, min(p.heard, s.heard)
		}
	}
	for _, s := range stuck {
		byAddress[s.remote].misses(s)
	}
	return peers
}

// stuck says whether what s sent has been lost several times in a row. Who only
// has no room for more (a zero window) acknowledges that.
func (s *tcpSocket) stuck() bool {
	if s.state == stateSynSent {
		return s.retransmits >= lostSYNs && s.waited >= silenceOfSYN
	}
	return s.retransmits >= lostInRow && s.unacked > 0 && s.waited >= silence
}

// unsure says whether s may be stuck by itself: the server's queue of connections was
// full when it was opened, so that nothing on it was ever acknowledged, or it was
// idle for so long that somebody on the way forgot it.
func (s *tcpSocket) unsure() bool { return s.fresh || s.acked-s.waited > longIdle }

// misses counts s, which is stuck, unless a packet came on another connection
// since: then the way is open, and what s lacks is its own, such as a firewall or a
// translator of addresses on the way that forgot it.
func (p *peer) misses(s *tcpSocket) {
	if p.heard <= max(recent, s.waited) {
		switch {
		case !s.large:
			p.small++
		case !s.unsure():
			p.holes.add(s.waited)
		}
		return
	}
	switch {
	case s.state != stateSynSent && !s.unsure():
		p.lost.add(s.waited)
	case !p.stands: // else the server may have no room for new ones, because it hangs
		p.syns.add(s.waited)
	}
}

// silent says whether something that was sent there got no answer.
func (p *peer) silent() bool { return p.lost.n+p.syns.n > 0 || p.hasHole() }

// hasHole says whether what is small gets through and what is large does not: something
// on the way has no room for it, and does not say so, or what says so is dropped.
func (p *peer) hasHole() bool { return p.holes.n >= holesFrom && p.small == 0 }

// holesTo are the servers here whose large answers do not get through to one machine,
// whose small packets come.
func holesTo(all []tcpSocket) (peers []*peer) {
	type way struct {
		at   netip.AddrPort
		from netip.Addr
	}
	listens := openPorts(all)
	heard, small := map[netip.Addr]time.Duration{}, map[netip.Addr]int{}
	ways := map[way]*peer{}
	for i := range all {
		s := &all[i]
		from := s.remote.Addr()
		switch {
		case s.state == stateListen || s.state == stateSynSent:
		case !s.stuck():
			if at, known := heard[from]; !known || s.heard < at {
				heard[from] = s.heard
			}
		case !listens[s.localPort]:
		case !s.large:
			small[from]++
		case s.acked-s.waited <= longIdle:
			w := way{netip.AddrPortFrom(s.local, s.localPort), from}
			if ways[w] == nil {
				ways[w] = &peer{at: w.at, from: from}
				peers = append(peers, ways[w])
			}
			ways[w].holes.add(s.waited)
		}
	}
	return slices.DeleteFunc(peers, func(p *peer) bool {
		at, known := heard[p.from]
		p.small = small[p.from]
		return !known || at > max(recent, p.holes.waited) || !p.hasHole()
	})
}

// outcome is empty if nothing can be said: an idle connection stands in a cut, too.
func (p *peer) outcome() string {
	switch {
	case p.lost.n > 0:
		return contract.OutcomeUnacknowledged
	case p.hasHole():
		return contract.OutcomeUnacknowledged
	case p.syns.n > 0:
		return contract.OutcomeTimeout
	case p.heard <= recent:
		return contract.OutcomeOK
	}
	return ""
}

func (p *peer) result() Result {
	r := Result{Outcome: p.outcome()}
	switch {
	case p.lost.n == 0 && p.hasHole() && p.from.IsValid():
		r.From = p.from.String()
		r.Message = fmt.Sprintf("%d connections of %s to it get no acknowledgement of large packets for %.1f s, and small ones get through", p.holes.n, p.from, p.holes.waited.Seconds())
	case p.lost.n == 0 && p.hasHole():
		r.Message = fmt.Sprintf("%d connections to it get no acknowledgement of large packets for %.1f s, and small ones get through", p.holes.n, p.holes.waited.Seconds())
	case p.lost.n == 1:
		r.Message = fmt.Sprintf("1 connection to it gets no acknowledgement for %.1f s", p.lost.waited.Seconds())
	case p.lost.n > 0:
		r.Message = fmt.Sprintf("%d connections to it get no acknowledgement for %.1f s", p.lost.n, p.lost.waited.Seconds())
	case p.syns.n == 1:
		r.Message = fmt.Sprintf("1 connection to it gets no answer for %.1f s", p.syns.waited.Seconds())
	case p.syns.n > 0:
		r.Message = fmt.Sprintf("%d connections to it get no answer for %.1f s", p.syns.n, p.syns.waited.Seconds())
	}
	return r
}
