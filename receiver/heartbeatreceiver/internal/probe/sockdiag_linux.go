// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// tcpSocket is what the kernel knows of one TCP socket.
type tcpSocket struct {
	remote      netip.AddrPort // none of one that listens
	localPort   uint16
	state       uint8
	retransmits uint8 // in a row, without an answer that got anything further
	unacked     uint32
	fresh       bool // nothing that it sent was ever acknowledged but that it opens
	large       bool // what waits to be acknowledged fills a packet
	local       netip.Addr
	traffic     traffic       // all 0 where the kernel does not tell what came twice
	sent        time.Duration // how long ago something was sent, or sent again; of a large one
	// waited is for how long what it sent has been without an answer, at least.
	waited time.Duration
	// acked is how long ago an acknowledgement came, heard that or data.
	acked, heard time.Duration
}

// States of a socket (the kernel's include/net/tcp_states.h).
const (
	stateEstablished = 1
	stateSynSent     = 2
	stateFinWait1    = 4
	stateCloseWait   = 8
	stateListen      = 10

	// wantedStates are those in which something may wait for an answer, and those
	// that listen, by whose ports connections from elsewhere are known.
	wantedStates = 1<<stateEstablished | 1<<stateSynSent | 1<<stateFinWait1 | 1<<stateCloseWait | 1<<stateListen
)

// never is how long ago something was that has not happened.
const never = time.Duration(math.MaxInt64)

// maxSockets are read at one look.
const maxSockets = 50_000

// maxDumpReads bounds the reads of one dump, of at least a row each.
const maxDumpReads = maxSockets + 100

// listConnections lists the TCP sockets of our network namespace, which is this
// thread's, in the room of into. more says that there are more than limit.
func listConnections(into []tcpSocket, limit int) (all []tcpSocket, more bool, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, false, fmt.Errorf("netlink: %w", err)
	}
	defer unix.Close(fd)
	// The kernel answers at once; should it not, the look must end all the same.
	patience := unix.NsecToTimeval(int64(time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		return nil, false, fmt.Errorf("netlink: %w", err)
	}
	d := dump{all: into[:0], limit: limit}
	buf := make([]byte, 64<<10) // the kernel fills 32 KiB at most
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		err := d.read(fd, family, buf)
		if errors.Is(err, errEnough) {
			return d.all, true, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("netlink: %w", err)
		}
	}
	return d.all, false, nil
}

// dump gathers what the kernel answers.
type dump struct {
	all   []tcpSocket
	rows  int
	limit int
}

var (
	errEnough  = errors.New("there are more sockets than are read")
	errGarbled = errors.New("the kernel's answer makes no sense")
)

// read asks for all sockets of a family.
func (d *dump) read(fd int, family uint8, buf []byte) error {
	seq := uint32(family)
	if err := unix.Sendto(fd, dumpRequest(family, seq), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for range maxDumpReads {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if done, err := d.parse(buf[:n], seq); done || err != nil {
			return err
		}
	}
	return errGarbled
}

// Sizes of the kernel's structures (linux/netlink.h, linux/inet_diag.h, linux/tcp.h).
const (
	sizeHeader    = 16 // nlmsghdr
	sizeRequest   = 56 // inet_diag_req_v2
	sizeRow       = 72 // inet_diag_msg
	sizeAttribute = 4  // nlattr
	attributeInfo = 2  // INET_DIAG_INFO, a tcp_info
	attributeType = 0x3fff
	minInfo       = 60 // of tcp_info, up to tcpi_last_ack_recv
)

// dumpRequest asks for all TCP sockets of a family in the states that are wanted.
func dumpRequest(family uint8, seq uint32) []byte {
	b := make([]byte, sizeHeader+sizeRequest)
	native := binary.NativeEndian
	native.PutUint32(b[0:], uint32(len(b)))
	native.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	native.PutUint32(b[8:], seq)
	req := b[sizeHeader:]
	req[0], req[1], req[2] = family, unix.IPPROTO_TCP, 1<<(attributeInfo-1)
	native.PutUint32(req[4:], wantedStates)
	return b
}

// parse reads the messages of one datagram. done says that there are no more.
func (d *dump) parse(b []byte, seq uint32) (done bool, err error) {
	native := binary.NativeEndian
	for len(b) >= sizeHeader {
		length := int(native.Uint32(b))
		if length < sizeHeader || length > len(b) {
			return false, errGarbled
		}
		body := b[sizeHeader:length]
		kind, of := native.Uint16(b[4:]), native.Uint32(b[8:])
		b = b[min(align(length), len(b)):]
		if of != seq {
			continue // of a question that was asked before
		}
		switch kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			if len(body) >= 4 {
				if errno := int32(native.Uint32(body)); errno < 0 {
					return true, unix.Errno(-errno)
				}
			}
			return true, nil
		case unix.NLMSG_OVERRUN:
			return false, errGarbled
		case unix.SOCK_DIAG_BY_FAMILY:
			if d.rows++; d.rows > d.limit {
				return true, errEnough
			}
			if c, ok := parseConnection(body); ok {
				d.all = append(d.all, c)
			}
		}
	}
	return false, nil
}

func align(n int) int { return (n + 3) &^ 3 }

// parseConnection reads an inet_diag_msg with its attributes. Those that cannot
// lose a packet, or of which too little is told, are left out.
func parseConnection(b []byte) (c tcpSocket, ok bool) {
	if len(b) < sizeRow {
		return c, false
	}
	const sourcePort, peerPort, source, peer = 4, 6, 8, 24
	c.state = b[1]
	c.localPort = binary.BigEndian.Uint16(b[sourcePort:])
	if c.state == stateListen {
		return c, true
	}
	size := 16
	if b[0] == unix.AF_INET {
		size = 4
	}
	from, _ := netip.AddrFromSlice(b[source : source+size])
	to, _ := netip.AddrFromSlice(b[peer : peer+size])
	from, to = from.Unmap(), to.Unmap()
	c.remote = netip.AddrPortFrom(to, binary.BigEndian.Uint16(b[peerPort:]))
	if to.IsLoopback() || to.IsUnspecified() || to == from || c.remote.Port() == 0 {
		return c, false
	}
	info := findAttribute(b[sizeRow:], attributeInfo)
	if len(info) < minInfo {
		return c, false
	}
	c.local = from
	c.putInfo(info, untilRetransmit(b))
	if c.large = fills(b, info); c.large {
		const sent = 44
		c.sent = time.Duration(binary.NativeEndian.Uint32(info[sent:])) * time.Millisecond
	}
	if b[rowTimer] == timerProbe {
		c.putProbes(info)
	}
	return c, true
}

// largePacket is what a packet holds, bytes, that may be too large for some way: tunnels
// let less through than a cable, but none as little as that.
const largePacket = 1000

// fills says whether what a row's socket has not been acknowledged fills a packet.
func fills(row, info []byte) bool {
	const written, segment, unacked = 60, 16, 24
	native := binary.NativeEndian
	waits, most := native.Uint32(row[written:]), native.Uint32(info[segment:])
	return native.Uint32(info[unacked:]) > 0 && most > largePacket && waits >= largePacket
}

// What the kernel waits for, in a row.
const (
	rowTimer        = 2
	timerRetransmit = 1
	timerProbe      = 4
)

// untilRetransmit is the time until the kernel sends again what is not answered;
// never if it does not wait for that.
func untilRetransmit(row []byte) time.Duration {
	const expires = 52
	if row[rowTimer] != timerRetransmit {
		return never
	}
	return time.Duration(binary.NativeEndian.Uint32(row[expires:])) * time.Millisecond
}

// putInfo reads a tcp_info.
func (c *tcpSocket) putInfo(info []byte, untilNext time.Duration) {
	const retransmits, backoff, timeout, unacked, dataReceived, ackReceived, bytesAcked = 2, 4, 8, 24, 52, 56, 120
	native := binary.NativeEndian
	millis := func(at int) time.Duration { return time.Duration(native.Uint32(info[at:])) * time.Millisecond }
	c.retransmits = info[retransmits]
	c.unacked = native.Uint32(info[unacked:])
	rto := time.Duration(native.Uint32(info[timeout:])) * time.Microsecond
	c.waited = waited(rto, untilNext, c.retransmits, info[backoff])
	const again, packets, twice = 100, 156, 216
	if len(info) >= twice+4 {
		c.traffic = traffic{native.Uint32(info[packets:]), native.Uint32(info[again:]), native.Uint32(info[twice:])}
	}
	if c.state == stateSynSent {
		c.acked, c.heard = never, never // the kernel has no times for these yet
		return
	}
	if len(info) >= bytesAcked+8 {
		c.fresh = native.Uint64(info[bytesAcked:]) <= 1 // the SYN counts as one
	}
	c.acked = millis(ackReceived)
	c.heard = min(c.acked, millis(dataReceived))
	c.waited = min(c.waited, c.acked)
}

// putProbes reads how long the kernel has asked in vain for room for what it holds
// back. A reader that has none answers. Where nothing answers, packets do not even
// leave this host: its own firewall drops them, and the kernel takes that for no room.
func (c *tcpSocket) putProbes(info []byte) {
	const probes, backoff, timeout = 3, 4, 8
	rto := time.Duration(binary.NativeEndian.Uint32(info[timeout:])) * time.Microsecond
	c.retransmits, c.unacked = info[probes], max(c.unacked, 1)
	c.waited = min(rto<<min(info[backoff], maxBackoff)-rto, c.acked)
}

// maxBackoff: from there on the kernel asks every two minutes at most.
const maxBackoff = 10

// waited adds up the times between retransmissions so far: the last of them grew
// to rto by doubling as often as backoff says, those before took as long as the
// first. It is less than the truth where the kernel stopped doubling.
func waited(rto, untilNext time.Duration, retransmits, backoff uint8) time.Duration {
	backoff = min(backoff, retransmits)
	first := rto >> backoff
	return rto - first + time.Duration(retransmits-backoff)*first + max(0, rto-untilNext)
}

// findAttribute returns what an attribute holds; nil if it is missing.
func findAttribute(b []byte, kind uint16) []byte {
	for len(b) >= sizeAttribute {
		length := int(binary.NativeEndian.Uint16(b))
		if length < sizeAttribute || length > len(b) {
			return nil
		}
		if binary.NativeEndian.Uint16(b[2:])&attributeType == kind {
			return b[sizeAttribute:length]
		}
		b = b[min(align(length), len(b)):]
	}
	return nil
}
