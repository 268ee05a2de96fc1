// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

const (
	aPeer    = "10.0.0.2:5432"
	aTarget  = "connections:" + aPeer
	ownPort  = 40000 // of connections that were opened here
	ms       = time.Millisecond
	interval = 2 * time.Second
	minute   = time.Minute
)

// socketTo is one that stands, on which a packet came heard ago.
func socketTo(remote string, heard time.Duration) tcpSocket {
	return tcpSocket{
		remote: netip.MustParseAddrPort(remote), localPort: ownPort, state: stateEstablished, acked: heard, heard: heard,
	}
}

// unanswered is one on which something was sent n+1 times in vain.
func unanswered(remote string, n uint8, waited time.Duration) tcpSocket {
	s := socketTo(remote, waited+100*ms)
	s.retransmits, s.unacked, s.waited = n, 1, waited
	return s
}

// opening is one that was asked for n+1 times in vain.
func opening(remote string, n uint8, waited time.Duration) tcpSocket {
	return tcpSocket{
		remote: netip.MustParseAddrPort(remote), localPort: ownPort, state: stateSynSent,
		retransmits: n, unacked: 1, waited: waited, acked: never, heard: never,
	}
}

func in(state uint8, s tcpSocket) tcpSocket {
	s.state = state
	return s
}

func at(port uint16, s tcpSocket) tcpSocket {
	s.localPort = port
	return s
}

// fakeTable is a host whose connections are as the test says.
type fakeTable struct {
	*Connections
	all  []tcpSocket
	more bool
	err  error
	log  *observer.ObservedLogs
}

func newFakeTable(t *testing.T, limit int) *fakeTable {
	t.Helper()
	core, log := observer.New(zap.DebugLevel)
	c, err := NewConnections(interval, limit, zap.New(core))
	require.NoError(t, err)
	f := &fakeTable{Connections: c, log: log}
	c.list = func([]tcpSocket, int) ([]tcpSocket, bool, error) { return slices.Clone(f.all), f.more, f.err }
	return f
}

// lookAt is what is told, in words, while the connections are these.
func (f *fakeTable) lookAt(all ...tcpSocket) []string {
	f.all = all
	var told []string
	for _, p := range f.Look() {
		s := p.Target + " " + p.Result.Outcome
		if p.Result.Message != "" {
			s += ": " + p.Result.Message
		}
		told = append(told, s)
	}
	return told
}

// fresh is a connection on which nothing was acknowledged yet, and idle one on which
// nothing was sent for long before.
func fresh(s tcpSocket) tcpSocket { s.fresh = true; return s }

func idle(s tcpSocket, d time.Duration) tcpSocket {
	s.acked, s.heard = s.waited+d, s.waited+d
	return s
}

func TestWhatConnectionsTellOfTheirPeer(t *testing.T) {
	listens := tcpSocket{localPort: 8080, state: stateListen}
	for name, tt := range map[string]struct {
		all  []tcpSocket
		want string // empty: nothing
	}{
		"answers_come":              {[]tcpSocket{socketTo(aPeer, 300*ms)}, "ok"},
		"idle_says_nothing":         {[]tcpSocket{socketTo(aPeer, minute)}, ""},
		"one_of_several_is_busy":    {[]tcpSocket{socketTo(aPeer, minute), socketTo(aPeer, 300*ms)}, "ok"},
		"one_loss_is_none":          {[]tcpSocket{unanswered(aPeer, 1, 300*ms)}, "ok"},
		"one_loss_on_a_slow_way":    {[]tcpSocket{unanswered(aPeer, 1, 4*time.Second)}, ""},
		"losses_within_a_moment":    {[]tcpSocket{unanswered(aPeer, 3, 1400*ms)}, "ok"},
		"lost_four_times":           {[]tcpSocket{unanswered(aPeer, 3, 1600*ms)}, "unacknowledged: 1 connection to it gets no acknowledgement for 1.6 s"},
		"a_goodbye_that_is_lost":    {[]tcpSocket{in(stateFinWait1, unanswered(aPeer, 4, 4200*ms))}, "unacknowledged: 1 connection to it gets no acknowledgement for 4.2 s"},
		"the_other_said_goodbye":    {[]tcpSocket{in(stateCloseWait, unanswered(aPeer, 4, 4200*ms))}, "unacknowledged: 1 connection to it gets no acknowledgement for 4.2 s"},
		"all_is_acknowledged_again": {[]tcpSocket{func() tcpSocket { s := unanswered(aPeer, 3, 4*time.Second); s.unacked = 0; return s }()}, ""},
		"a_stopped_reader_with_a_full_buffer": {
			// The kernel asks whether there is room; that is answered, and nothing counts as lost.
			[]tcpSocket{func() tcpSocket { s := socketTo(aPeer, 900*ms); s.unacked = 1; return s }()}, "ok",
		},
		"a_buffer_that_shrank": {
			// What has no room is sent again, and each time the answer is: still no room.
			[]tcpSocket{func() tcpSocket {
				s := unanswered(aPeer, 6, 400*ms)
				s.acked, s.heard = 400*ms, 400*ms
				return s
			}()}, "ok",
		},
		"several_are_stuck": {
			[]tcpSocket{unanswered(aPeer, 3, 1600*ms), unanswered(aPeer, 4, 4200*ms), socketTo(aPeer, minute), opening(aPeer, 0, 100*ms)},
			"unacknowledged: 2 connections to it get no acknowledgement for 4.2 s",
		},
		"another_still_gets_answers": {[]tcpSocket{unanswered(aPeer, 5, 9*time.Second), socketTo(aPeer, interval)}, "ok"},
		"another_got_one_since": {
			[]tcpSocket{unanswered(aPeer, 8, minute), socketTo(aPeer, 10*time.Second)}, "",
		},
		"an_older_loss_of_its_own_hides_no_cut": {
			[]tcpSocket{unanswered(aPeer, 8, minute), unanswered(aPeer, 4, 4200*ms), socketTo(aPeer, 10*time.Second)},
			"unacknowledged: 1 connection to it gets no acknowledgement for 4.2 s",
		},
		"its_server_had_no_room_for_it": { // a full queue drops what comes on connections that it never took
			[]tcpSocket{fresh(unanswered(aPeer, 4, 4200*ms)), socketTo(aPeer, minute)}, "",
		},
		"somebody_on_the_way_forgot_it": {
			[]tcpSocket{idle(unanswered(aPeer, 4, 4200*ms), 10*time.Minute), socketTo(aPeer, minute)}, "",
		},
		"it_was_idle_and_a_new_one_is_lost_too": {
			[]tcpSocket{idle(unanswered(aPeer, 4, 4200*ms), 10*time.Minute), opening(aPeer, 2, 3500*ms)},
			"timeout: 2 connections to it get no answer for 4.2 s",
		},
		"the_server_went_just_now": {[]tcpSocket{in(stateCloseWait, socketTo(aPeer, 300*ms))}, ""},
		"opens":                    {[]tcpSocket{opening(aPeer, 0, 900*ms)}, ""},
		"one_syn_is_lost":          {[]tcpSocket{opening(aPeer, 1, 1010*ms)}, ""},
		"two_are_lost":             {[]tcpSocket{opening(aPeer, 1, 1500*ms)}, "timeout: 1 connection to it gets no answer for 1.5 s"},
		"many_are_lost": {
			[]tcpSocket{opening(aPeer, 1, 1500*ms), opening(aPeer, 2, 3500*ms)},
			"timeout: 2 connections to it get no answer for 3.5 s",
		},
		"no_room_for_new_ones_while_it_hangs": {[]tcpSocket{opening(aPeer, 2, 3500*ms), socketTo(aPeer, minute)}, ""},
		"new_ones_and_old_ones": {
			[]tcpSocket{opening(aPeer, 2, 3500*ms), unanswered(aPeer, 3, 1600*ms)},
			"unacknowledged: 1 connection to it gets no acknowledgement for 1.6 s",
		},
		"who_connects_to_us":   {[]tcpSocket{at(8080, unanswered(aPeer, 5, 9*time.Second)), at(8080, socketTo(aPeer, 0)), listens}, ""},
		"only_one_who_listens": {[]tcpSocket{listens}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeTable(t, 64)
			var want []string
			if tt.want != "" {
				want = []string{aTarget + " " + tt.want}
			}
			assert.Equal(t, want, f.lookAt(tt.all...))
		})
	}
}

// large is one of whose packets the first is a large one, to a server at our own address.
func large(s tcpSocket) tcpSocket {
	s.large, s.local = true, netip.MustParseAddr("10.0.0.1")
	return s
}

// Something on the way has no room for large packets, and does not say so.
func TestWhatIsLargeIsLostWhileWhatIsSmallGetsThrough(t *testing.T) {
	listens := tcpSocket{localPort: 8080, state: stateListen}
	stuck := large(unanswered(aPeer, 4, 4200*ms))
	small := unanswered(aPeer, 4, 4200*ms)
	client := func(s tcpSocket) tcpSocket { s.remote = netip.MustParseAddrPort("10.0.0.2:50001"); return at(8080, s) }
	const hole = aTarget + " unacknowledged: 2 connections to it get no acknowledgement of large packets for 4.2 s, and small ones get through"
	const answers = "connections:10.0.0.1:8080 unacknowledged: 2 connections of 10.0.0.2 to it get no acknowledgement of large packets for 4.2 s, and small ones get through"
	for name, tt := range map[string]struct {
		all  []tcpSocket
		want string
	}{
		"requests":                {[]tcpSocket{stuck, stuck, socketTo(aPeer, 300*ms)}, hole},
		"one_may_be_its_own":      {[]tcpSocket{stuck, socketTo(aPeer, 300*ms)}, aTarget + " ok"},
		"small_ones_are_lost_too": {[]tcpSocket{stuck, stuck, small, socketTo(aPeer, 300*ms)}, aTarget + " ok"},
		"the_server_had_no_room":  {[]tcpSocket{stuck, fresh(stuck), socketTo(aPeer, 300*ms)}, aTarget + " ok"},
		"and_on_new_connections":  {[]tcpSocket{stuck, stuck, fresh(stuck), socketTo(aPeer, 300*ms)}, hole},
		"nothing_gets_through":    {[]tcpSocket{stuck, stuck}, aTarget + " unacknowledged: 2 connections to it get no acknowledgement for 4.2 s"},
		"answers":                 {[]tcpSocket{listens, client(stuck), client(stuck), client(socketTo(aPeer, 300*ms))}, answers},
		"first_answers":           {[]tcpSocket{listens, client(fresh(stuck)), client(fresh(stuck)), client(socketTo(aPeer, 300*ms))}, answers},
		"one_answer":              {[]tcpSocket{listens, client(stuck), client(socketTo(aPeer, 300*ms))}, ""},
		"small_answers_too":       {[]tcpSocket{listens, client(stuck), client(stuck), client(small), client(socketTo(aPeer, 300*ms))}, ""},
		"the_client_is_gone":      {[]tcpSocket{listens, client(stuck), client(stuck)}, ""},
		"it_was_heard_long_ago":   {[]tcpSocket{listens, client(stuck), client(stuck), client(socketTo(aPeer, minute))}, ""},
		"somebody_forgot_it":      {[]tcpSocket{listens, client(stuck), client(idle(stuck, 10*time.Minute)), client(socketTo(aPeer, 300*ms))}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeTable(t, 64)
			var want []string
			if tt.want != "" {
				want = []string{tt.want}
			}
			assert.Equal(t, want, f.lookAt(tt.all...))
		})
	}
}

func TestWhatWaitsToBeSentAgainAfterACutIsNotTooLarge(t *testing.T) {
	f := newFakeTable(t, 64)
	stuck := large(unanswered(aPeer, 6, 20*time.Second))
	stuck.sent = 5 * time.Second
	good := socketTo(aPeer, 300*ms)
	assert.Equal(t, []string{aTarget + " ok"}, f.lookAt(stuck, stuck, good), "it may get through when it is sent again")
	assert.Empty(t, f.lookAt(stuck, stuck, good))
	stuck.sent = 3 * time.Second
	assert.Len(t, f.lookAt(stuck, stuck, good), 1, "it was, and did not")
	f.lookAt(stuck, stuck)
	assert.Equal(t, []string{aTarget + " ok"}, f.lookAt(stuck, stuck, good), "nothing came in between")
}

func TestPeersOfIPv6AreNamedByTheirAddress(t *testing.T) {
	f := newFakeTable(t, 64)
	assert.Equal(t, []string{"connections:[2001:db8::2]:80 ok"}, f.lookAt(socketTo("[2001:db8::2]:80", 0)))
}

func TestWhenAPeerIsToldOf(t *testing.T) {
	f := newFakeTable(t, 64)
	good, bad := socketTo(aPeer, 0), unanswered(aPeer, 3, interval)
	ok := []string{aTarget + " ok"}
	timeout := []string{aTarget + " unacknowledged: 1 connection to it gets no acknowledgement for 2.0 s"}

	assert.Equal(t, ok, f.lookAt(good), "at the first look")
	for range 2 {
		for range okEvery - 1 {
			assert.Empty(t, f.lookAt(good))
		}
		assert.Equal(t, ok, f.lookAt(good), "each fifth")
	}
	assert.Empty(t, f.lookAt(good))
	for range 7 {
		assert.Equal(t, timeout, f.lookAt(bad), "each time")
	}
	assert.Empty(t, f.lookAt(), "of no connection nothing")
	assert.Empty(t, f.lookAt(socketTo(aPeer, minute)), "nor of an idle one")
	assert.Equal(t, ok, f.lookAt(good), "as soon as it is well again")
	assert.Empty(t, f.lookAt(good))
	assert.Empty(t, f.lookAt())
	assert.Empty(t, f.lookAt(good), "who comes and goes is not told of each time")
	for range okEvery {
		f.lookAt()
	}
	assert.Empty(t, f.states, "forgotten")
	assert.Equal(t, ok, f.lookAt(good))
}

func TestIntervalIsTheTimeUntilItIsToldAgain(t *testing.T) {
	f := newFakeTable(t, 64)
	f.all = []tcpSocket{socketTo(aPeer, 0)}
	assert.Equal(t, 10*time.Second, f.Look()[0].Interval)
	f.all = []tcpSocket{unanswered(aPeer, 3, interval)}
	assert.Equal(t, interval, f.Look()[0].Interval)
}

func TestPeersBeyondTheLimitAreLeftOut(t *testing.T) {
	f := newFakeTable(t, 3)
	var all []tcpSocket
	for i := range 9 {
		for range 10 - i {
			all = append(all, socketTo(fmt.Sprintf("10.0.0.%d:80", i+1), 0))
		}
	}
	few := unanswered("10.0.1.1:80", 3, interval)
	alike := socketTo("10.0.0.0:80", 0)
	all = append(all, few, alike, alike, alike, alike, alike, alike, alike, alike, alike, alike)
	want := []string{
		"connections:10.0.1.1:80 unacknowledged: 1 connection to it gets no acknowledgement for 2.0 s",
		"connections:10.0.0.0:80 ok", "connections:10.0.0.1:80 ok",
	}
	assert.Equal(t, want, f.lookAt(all...), "silent ones first, then the busiest")
	slices.Reverse(all)
	assert.Equal(t, want[:1], f.lookAt(all...), "in whatever order the kernel lists them")
	for i := range all {
		if all[i].remote == few.remote {
			all[i] = socketTo("10.0.1.1:80", 0)
		}
	}
	assert.Equal(t, []string{"connections:10.0.1.1:80 ok"}, f.lookAt(all...), "who is well again is not left out")
	for range 20 {
		f.lookAt(all...)
	}
	assert.LessOrEqual(t, len(f.states), 3*okEvery)
	told := f.log.FilterLevelExact(zap.WarnLevel).All()
	require.Len(t, told, 1)
	assert.Contains(t, told[0].Message, "local_connections::max_peers")
}

func TestWhatCannotBeReadIsToldOnce(t *testing.T) {
	f := newFakeTable(t, 64)
	f.err = errors.New("no netlink here")
	for range 3 {
		assert.Empty(t, f.lookAt(socketTo(aPeer, 0)))
	}
	require.Equal(t, 1, f.log.Len())
	f.err, f.more = nil, true
	for range 3 {
		f.lookAt(socketTo(aPeer, 0))
	}
	require.Equal(t, 2, f.log.Len())
	assert.EqualValues(t, maxSockets, f.log.All()[1].ContextMap()["sockets"])
}
