// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sends is one on which so many packets were sent, again, and came twice.
func sends(s tcpSocket, sent, again, twice uint32) tcpSocket {
	s.local, s.traffic = netip.MustParseAddr("10.0.0.1"), traffic{sent, again, twice}
	return s
}

func TestWhichShareOfWhatIsSentGetsLost(t *testing.T) {
	listens := tcpSocket{localPort: 8080, state: stateListen}
	to := socketTo(aPeer, 300*ms)
	client := to
	client.remote, client.localPort = netip.MustParseAddrPort("10.0.0.2:50001"), 8080
	for name, tt := range map[string]struct {
		socket      tcpSocket
		sent, again uint32 // in the meantime
		twice       uint32
		want        string
	}{
		"a_third":                 {to, 60, 20, 0, aTarget + " 0.33"},
		"of_answers":              {client, 60, 20, 0, "connections:10.0.0.1:8080 0.33 from 10.0.0.2"},
		"not_what_came_twice":     {to, 60, 20, 16, ""},
		"not_a_few":               {to, 60, 8, 0, ""},
		"not_of_few":              {to, 12, 7, 0, ""},
		"not_where_nothing_is":    {to, 60, 0, 0, ""},
		"not_what_answers_count_": {client, 60, 0, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeTable(t, 64)
			// What was lost before the first look was lost at any time.
			f.lookAt(listens, sends(tt.socket, 1000, 900, 0))
			f.all = []tcpSocket{listens, sends(tt.socket, 1000+tt.sent, 900+tt.again, tt.twice)}
			got := ""
			for _, p := range f.Look() {
				if r := p.Result; r.Loss > 0 {
					assert.Equal(t, interval, p.Interval)
					got = strings.TrimSuffix(p.Target+" "+strings.TrimSpace(strings.Join([]string{twoDigits(r.Loss), from(r.From)}, " ")), " ")
				}
			}
			assert.Equal(t, tt.want, got)
		})
	}
}

func twoDigits(x float64) string {
	return "0." + string(rune('0'+int(x*10))) + string(rune('0'+int(x*100)%10))
}

func from(a string) string {
	if a == "" {
		return ""
	}
	return "from " + a
}

func TestConnectionsThatComeAndGoCount(t *testing.T) {
	f := newFakeTable(t, 64)
	f.lookAt()
	f.all = []tcpSocket{sends(socketTo(aPeer, 300*ms), 40, 15, 0)}
	require.Len(t, f.Look(), 2, "one that is new")
	f.all[0].traffic = traffic{20, 10, 0}
	assert.NotEmpty(t, f.Look(), "another has its place")
	for range 20 {
		f.lookAt()
	}
	assert.Empty(t, f.losses.sent)
	assert.Empty(t, f.losses.to)
}

func TestLossIsTold(t *testing.T) {
	w := newWay(t)
	w.server(9001)
	for range 8 {
		w.talk(9001, 100)
	}
	l := w.looker(time.Second)
	loss := func(d time.Duration) (most float64) {
		for began := time.Now(); time.Since(began) < d; time.Sleep(time.Second) {
			for _, p := range l.look() {
				most = max(most, p.Result.Loss)
			}
		}
		return most
	}
	assert.Zero(t, loss(4*time.Second))
	w.drops("statistic", "--mode", "random", "--probability", "0.35")
	share := loss(12 * time.Second)
	t.Logf("%.2f", share)
	assert.Greater(t, share, 0.2)
}

// Who connects again from the same port is another: its counts begin anew, and may have
// come further than those of the one before.
func TestAnotherInTheSamePlaceIsNotCountedOn(t *testing.T) {
	f := newFakeTable(t, 64)
	f.lookAt()
	f.lookAt(sends(socketTo(aPeer, 300*ms), 1000, 9, 0))
	f.all = []tcpSocket{sends(socketTo(aPeer, 300*ms), 1010, 2, 0)}
	for _, p := range f.Look() {
		assert.Zero(t, p.Result.Loss, "two of a thousand packets were lost")
	}
}
