// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// golden is what a kernel (6.18, little-endian) once answered.
func golden(t testing.TB, name string) []byte {
	text, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	b, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	require.NoError(t, err)
	return b
}

// row is an answer about one socket as a kernel would write it.
type row struct {
	family, state              byte
	local, remote              string
	timer                      byte
	expires                    uint32 // ms
	retransmits, backoff       byte
	probes                     byte
	fresh                      bool
	rto                        uint32 // µs
	unacked, lastData, lastAck uint32 // packets, ms, ms
	infoLength, before         int    // of tcp_info; bytes of an attribute before it
}

func message(kind uint16, seq uint32, body []byte) []byte {
	b := make([]byte, sizeHeader, sizeHeader+len(body))
	binary.NativeEndian.PutUint32(b, uint32(sizeHeader+len(body)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint32(b[8:], seq)
	b = append(b, body...)
	return append(b, make([]byte, align(len(b))-len(b))...)
}

func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(sizeAttribute+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, align(len(b))-len(b))...)
}

func (r row) message(seq uint32) []byte {
	native := binary.NativeEndian
	b := make([]byte, sizeRow)
	b[0], b[1], b[2] = r.family, r.state, r.timer
	local, remote := netip.MustParseAddrPort(r.local), netip.MustParseAddrPort(r.remote)
	binary.BigEndian.PutUint16(b[4:], local.Port())
	binary.BigEndian.PutUint16(b[6:], remote.Port())
	copy(b[8:], local.Addr().AsSlice())
	copy(b[24:], remote.Addr().AsSlice())
	native.PutUint32(b[52:], r.expires)
	info := make([]byte, 252)
	info[0], info[2], info[3], info[4] = r.state, r.retransmits, r.probes, r.backoff
	native.PutUint32(info[8:], r.rto)
	native.PutUint32(info[24:], r.unacked)
	native.PutUint32(info[52:], r.lastData)
	native.PutUint32(info[56:], r.lastAck)
	if !r.fresh {
		native.PutUint64(info[120:], 1000)
	}
	if r.before > 0 {
		b = append(b, attribute(5, make([]byte, r.before))...)
	}
	return message(unix.SOCK_DIAG_BY_FAMILY, seq, append(b, attribute(attributeInfo, info[:r.infoLength])...))
}

func parseAll(t *testing.T, b []byte, seq uint32) []tcpSocket {
	t.Helper()
	d := dump{limit: 100}
	done, err := d.parse(b, seq)
	require.NoError(t, err)
	require.False(t, done)
	return d.all
}

func TestSocketsOfARealKernel(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the recorded answer is of a little-endian kernel")
	}
	assert.Equal(t, []tcpSocket{
		{localPort: 8080, state: stateListen},
		{
			remote: netip.MustParseAddrPort("192.0.2.2:9001"), localPort: 33492, state: stateEstablished,
			retransmits: 3, unacked: 1, local: netip.MustParseAddr("192.0.2.1"), traffic: traffic{sent: 16, again: 4},
			waited: 2124 * time.Millisecond, acked: 2224 * time.Millisecond, heard: 2224 * time.Millisecond,
		},
	}, parseAll(t, golden(t, "sockdiag-ipv4.hex"), unix.AF_INET))
	assert.Equal(t, []tcpSocket{{
		remote: netip.MustParseAddrPort("[2001:db8::77]:443"), localPort: 40882, state: stateSynSent, local: netip.MustParseAddr("2001:db8::1"),
		retransmits: 2, unacked: 1, waited: 2192 * time.Millisecond, acked: never, heard: never,
	}}, parseAll(t, golden(t, "sockdiag-ipv6.hex"), unix.AF_INET6))
}

func TestSocketsOfAnAnswer(t *testing.T) {
	v4 := row{
		family: unix.AF_INET, state: stateEstablished, local: "10.0.0.1:40000", remote: "10.0.0.2:80",
		timer: 1, expires: 1500, retransmits: 3, backoff: 3, rto: 1_600_000, unacked: 2, lastData: 700, lastAck: 9000, infoLength: 252,
	}
	parsed := tcpSocket{
		remote: netip.MustParseAddrPort("10.0.0.2:80"), localPort: 40000, local: netip.MustParseAddr("10.0.0.1"), state: stateEstablished, retransmits: 3, unacked: 2,
		waited: 1500 * time.Millisecond, acked: 9 * time.Second, heard: 700 * time.Millisecond,
	}
	for name, tt := range map[string]struct {
		change func(*row)
		want   func(*tcpSocket) // nil: left out
	}{
		"ipv4": {func(*row) {}, func(*tcpSocket) {}},
		"ipv6": {func(r *row) {
			r.family, r.local, r.remote = unix.AF_INET6, "[2001:db8::1]:40000", "[2001:db8::2]:80"
		}, func(s *tcpSocket) {
			s.remote, s.local = netip.MustParseAddrPort("[2001:db8::2]:80"), netip.MustParseAddr("2001:db8::1")
		}},
		"ipv4_in_ipv6_clothes": {func(r *row) {
			r.family, r.local, r.remote = unix.AF_INET6, "[::ffff:10.0.0.1]:40000", "[::ffff:10.0.0.2]:80"
		}, func(*tcpSocket) {}},
		"an_attribute_of_odd_length_before_it": {func(r *row) { r.before = 3 }, func(*tcpSocket) {}},
		"an_old_kernel_tells_less":             {func(r *row) { r.infoLength = 104 }, func(*tcpSocket) {}},
		"too_little_is_nothing":                {func(r *row) { r.infoLength = 59 }, nil},
		"no_info_is_nothing":                   {func(r *row) { r.infoLength = 0 }, nil},
		"an_answer_came_in_between": {func(r *row) { r.lastAck = 1000 }, func(s *tcpSocket) {
			s.waited, s.acked = time.Second, time.Second
		}},
		"does_not_wait_for_an_answer":   {func(r *row) { r.timer = 2 }, func(s *tcpSocket) { s.waited = 1400 * time.Millisecond }},
		"nothing_was_ever_acknowledged": {func(r *row) { r.fresh = true }, func(s *tcpSocket) { s.fresh = true }},
		"asks_in_vain_for_room": {func(r *row) {
			r.timer, r.retransmits, r.probes, r.backoff, r.rto, r.unacked, r.lastAck = 4, 0, 4, 4, 204_000, 0, 4568
		}, func(s *tcpSocket) {
			s.retransmits, s.unacked, s.waited, s.acked = 4, 1, 15*204*time.Millisecond, 4568*time.Millisecond
		}},
		"is_told_that_there_is_no_room": {func(r *row) {
			r.timer, r.retransmits, r.probes, r.backoff, r.rto, r.unacked, r.lastAck = 4, 0, 0, 4, 204_000, 0, 300
		}, func(s *tcpSocket) {
			s.retransmits, s.unacked, s.waited, s.acked, s.heard = 0, 1, 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
		}},
		"listens_and_needs_no_info": {
			func(r *row) { r.state, r.infoLength = stateListen, 0 },
			func(s *tcpSocket) { *s = tcpSocket{localPort: 40000, state: stateListen} },
		},
		"syn_that_was_sent_again_in_steps_of_one_second": {
			func(r *row) { r.state, r.retransmits, r.backoff, r.rto, r.expires = stateSynSent, 2, 0, 1_000_000, 600 },
			func(s *tcpSocket) {
				s.state, s.retransmits, s.waited, s.acked, s.heard = stateSynSent, 2, 2400*time.Millisecond, never, never
			},
		},
		"syn_that_was_sent_again_in_growing_steps": {
			func(r *row) {
				r.state, r.retransmits, r.backoff, r.rto, r.expires = stateSynSent, 2, 2, 4_000_000, 3600
			},
			func(s *tcpSocket) {
				s.state, s.retransmits, s.waited, s.acked, s.heard = stateSynSent, 2, 3400*time.Millisecond, never, never
			},
		},
		"loopback_is_no_way": {func(r *row) { r.local, r.remote = "127.0.0.1:40000", "127.0.0.2:80" }, nil},
		"loopback_of_ipv6_is_no_way": {func(r *row) {
			r.family, r.local, r.remote = unix.AF_INET6, "[::1]:40000", "[::1]:80"
		}, nil},
		"to_itself_is_no_way": {func(r *row) { r.remote = "10.0.0.1:80" }, nil},
		"no_port":             {func(r *row) { r.remote = "10.0.0.2:0" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r, want := v4, parsed
			tt.change(&r)
			other := message(unix.NLMSG_NOOP, 7, []byte{1, 2, 3})
			got := parseAll(t, append(append(other, r.message(7)...), r.message(8)...), 7)
			if tt.want == nil {
				assert.Empty(t, got)
				return
			}
			tt.want(&want)
			assert.Equal(t, []tcpSocket{want}, got, "and not what belongs to another question")
		})
	}
}

func TestEndOfAnAnswer(t *testing.T) {
	errno := func(e unix.Errno) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(-int32(e))) }
	one := row{family: unix.AF_INET, state: stateListen, local: "0.0.0.0:80", remote: "0.0.0.0:0"}.message(1)
	for name, tt := range map[string]struct {
		answer []byte
		done   bool
		err    error
	}{
		"done":                  {message(unix.NLMSG_DONE, 1, errno(0)), true, nil},
		"done_without_a_number": {message(unix.NLMSG_DONE, 1, nil), true, nil},
		"failed_in_the_middle":  {message(unix.NLMSG_DONE, 1, errno(unix.EINVAL)), true, unix.EINVAL},
		"refused":               {message(unix.NLMSG_ERROR, 1, errno(unix.ENOENT)), true, unix.ENOENT},
		"another_question":      {message(unix.NLMSG_DONE, 2, nil), false, nil},
		"lost_some":             {message(unix.NLMSG_OVERRUN, 1, nil), false, errGarbled},
		"cut_off":               {one[:len(one)-1], false, errGarbled},
		"cut_off_head":          {one[:sizeHeader-1], false, nil},
		"shorter_than_its_head": {append(binary.NativeEndian.AppendUint32(nil, 15), make([]byte, 20)...), false, errGarbled},
		"too_many":              {append(append(one, one...), one...), true, errEnough},
		"short_row":             {message(unix.SOCK_DIAG_BY_FAMILY, 1, make([]byte, sizeRow-1)), false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := dump{limit: 2}
			done, err := d.parse(tt.answer, 1)
			assert.Equal(t, tt.done, done)
			assert.ErrorIs(t, err, tt.err)
			if name == "too_many" {
				assert.Len(t, d.all, 2)
			}
		})
	}
}

func TestOwnListenerIsInTheRealTable(t *testing.T) {
	address := netip.MustParseAddrPort(freeAddress(t))
	listenAt(t, address.String())
	all, more, err := listConnections(nil, maxSockets)
	require.NoError(t, err)
	assert.False(t, more)
	assert.Contains(t, all, tcpSocket{localPort: address.Port(), state: stateListen})
	_, more, err = listConnections(all, 0)
	require.NoError(t, err)
	assert.True(t, more)
}

func FuzzSockets(f *testing.F) {
	v4, v6 := golden(f, "sockdiag-ipv4.hex"), golden(f, "sockdiag-ipv6.hex")
	f.Add(v4)
	f.Add(v4[:len(v4)-7])
	f.Add(v6)
	f.Add(message(unix.NLMSG_ERROR, unix.AF_INET, []byte{0xff, 0xff, 0xff}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, seq := range []uint32{unix.AF_INET, unix.AF_INET6} {
			d := dump{limit: 10}
			_, _ = d.parse(b, seq)
			if len(d.all) > 10 {
				t.Fatal("more than the limit")
			}
			for _, s := range d.all {
				if s.waited < 0 || s.acked < 0 || s.heard < 0 {
					t.Fatalf("negative: %+v", s)
				}
				if s.state != stateListen && (!s.remote.IsValid() || s.remote.Addr().IsLoopback()) {
					t.Fatalf("nobody: %+v", s)
				}
			}
			for _, p := range group(d.all) {
				_ = p.result()
			}
		}
	})
}
