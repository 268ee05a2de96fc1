// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Way is a direction of traffic, as seen by a node.
type Way int

// Values of Way.
const (
	Both Way = iota
	In       // to the node
	Out      // from the node
)

// Shape is what happens to some of a node's traffic on its cable. A packet
// meets the first shape that is for it.
type Shape struct {
	Way    Way
	To     []netip.Prefix // only traffic with these, at the other end; empty: with all
	Port   uint16         // only TCP and UDP with this port at either end; 0: all
	Loss   float64        // fraction of the packets that vanish; 1: a cut, in silence
	Delay  time.Duration  // that each packet takes longer
	Jitter time.Duration  // up to which a packet takes longer still; none overtakes another so delayed
}

// What a cable carries is Ethernet; what stands where in it.
const (
	etherHeader = 14
	etherIPv4   = 0x0800
	ipHeader    = 20
	protoTCP    = 6
	protoUDP    = 17
)

// packet is what a shape looks at.
type packet struct {
	from, to         netip.Addr
	fromPort, toPort uint16 // 0: neither TCP nor UDP, or not the first fragment
}

// parse reads a frame. Only IPv4 is shaped: ok is false for all else, ARP
// included, so that a cut looks as one behind a router does.
func parse(frame []byte) (p packet, ok bool) {
	if len(frame) < etherHeader+ipHeader || binary.BigEndian.Uint16(frame[12:]) != etherIPv4 {
		return packet{}, false
	}
	ip := frame[etherHeader:]
	p.from, p.to = netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
	length := int(ip[0]&15) * 4
	fragment := binary.BigEndian.Uint16(ip[6:]) & 0x1fff
	if (ip[9] == protoTCP || ip[9] == protoUDP) && fragment == 0 && len(ip) >= length+4 {
		p.fromPort, p.toPort = binary.BigEndian.Uint16(ip[length:]), binary.BigEndian.Uint16(ip[length+2:])
	}
	return p, true
}

// meets says whether the shape is for a packet that goes this way.
func (s *Shape) meets(p packet, way Way) bool {
	if s.Way != Both && s.Way != way {
		return false
	}
	if s.Port != 0 && s.Port != p.fromPort && s.Port != p.toPort {
		return false
	}
	other := p.to
	if way == In {
		other = p.from
	}
	return len(s.To) == 0 || slices.ContainsFunc(s.To, func(x netip.Prefix) bool { return x.Contains(other) })
}

// fate is what happens to a frame: whether it is lost, and how much later it comes.
func fate(shapes []Shape, frame []byte, way Way) (lost bool, later time.Duration) {
	p, ok := parse(frame)
	if !ok {
		return false, 0
	}
	for i := range shapes {
		s := &shapes[i]
		if !s.meets(p, way) {
			continue
		}
		if s.Loss > 0 && rand.Float64() < s.Loss {
			return true, 0
		}
		later = s.Delay
		if s.Jitter > 0 {
			later += rand.N(s.Jitter)
		}
		return false, later
	}
	return false, 0
}
