// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// tcp is a frame of TCP over IPv4.
func tcp(from, to string, fromPort, toPort uint16) []byte {
	frame := make([]byte, etherHeader+ipHeader+20)
	binary.BigEndian.PutUint16(frame[12:], etherIPv4)
	ip := frame[etherHeader:]
	ip[0], ip[9] = 0x45, protoTCP
	a, b := netip.MustParseAddr(from).As4(), netip.MustParseAddr(to).As4()
	copy(ip[12:], a[:])
	copy(ip[16:], b[:])
	binary.BigEndian.PutUint16(ip[ipHeader:], fromPort)
	binary.BigEndian.PutUint16(ip[ipHeader+2:], toPort)
	return frame
}

func TestShapeMeetsOnlyTheTrafficItIsFor(t *testing.T) {
	zoneB := []netip.Prefix{netip.MustParsePrefix("10.77.2.0/24")}
	const here, there, elsewhere = "10.77.1.11", "10.77.2.11", "10.77.3.11"
	for _, c := range []struct {
		name  string
		shape Shape
		frame []byte
		way   Way
		lost  bool
	}{
		{"complete cut, out", Shape{Loss: 1}, tcp(here, there, 1000, 80), Out, true},
		{"complete cut, in", Shape{Loss: 1}, tcp(there, here, 80, 1000), In, true},
		{"one way, the other", Shape{Loss: 1, Way: Out}, tcp(there, here, 80, 1000), In, false},
		{"to a zone, out", Shape{Loss: 1, To: zoneB}, tcp(here, there, 1000, 80), Out, true},
		{"to a zone, in", Shape{Loss: 1, To: zoneB}, tcp(there, here, 80, 1000), In, true},
		{"to another zone", Shape{Loss: 1, To: zoneB}, tcp(here, elsewhere, 1000, 80), Out, false},
		{"port, asked", Shape{Loss: 1, Port: 80}, tcp(there, here, 1000, 80), In, true},
		{"port, answered", Shape{Loss: 1, Port: 80}, tcp(here, there, 80, 1000), Out, true},
		{"another port", Shape{Loss: 1, Port: 81}, tcp(here, there, 80, 1000), Out, false},
		{"address resolution", Shape{Loss: 1}, make([]byte, 60), Out, false},
		{"torn frame", Shape{Loss: 1}, tcp(here, there, 1, 2)[:20], Out, false},
		{"torn segment", Shape{Loss: 1, Port: 2}, tcp(here, there, 1, 2)[:etherHeader+ipHeader+2], Out, false},
	} {
		lost, later := fate([]Shape{c.shape}, c.frame, c.way)
		assert.Equal(t, c.lost, lost, c.name)
		assert.Zero(t, later, c.name)
	}
}

func TestFirstShapeThatIsForAPacketCounts(t *testing.T) {
	shapes := []Shape{{Port: 80, Delay: time.Second}, {Loss: 1}}
	lost, later := fate(shapes, tcp("10.77.1.1", "10.77.2.1", 1000, 80), Out)
	assert.False(t, lost)
	assert.Equal(t, time.Second, later)
	lost, _ = fate(shapes, tcp("10.77.1.1", "10.77.2.1", 1000, 81), Out)
	assert.True(t, lost)
}

func TestLossAndJitterAreAsWide(t *testing.T) {
	frame := tcp("10.77.1.1", "10.77.2.1", 1000, 80)
	gone, n := 0, 10_000
	var most time.Duration
	for range n {
		lost, later := fate([]Shape{{Loss: .2, Delay: time.Second, Jitter: time.Second}}, frame, Out)
		if lost {
			gone++
			continue
		}
		assert.GreaterOrEqual(t, later, time.Second)
		assert.Less(t, later, 2*time.Second)
		most = max(most, later)
	}
	assert.InDelta(t, .2, float64(gone)/float64(n), .03)
	assert.Greater(t, most, 1900*time.Millisecond)
}
