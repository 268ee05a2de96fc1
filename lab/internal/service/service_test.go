// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

func TestCommandsWithBadArgumentsSayWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{control.Wrong, "fraction", nil},
		{control.Wrong, "fraction", []string{"1.5"}},
		{control.Slow, "duration", []string{"fast"}},
		{control.Slow, "fraction", []string{"1s", "half"}},
		{control.RetryStorm, "number", []string{"-1"}},
		{"fly", "unknown command", nil},
	} {
		_, err := newFaults().do(c.name, c.args)
		assert.ErrorContains(t, err, c.want, c.name)
	}
}

func TestResetMakesHonestAgain(t *testing.T) {
	f := newFaults()
	undone := false
	f.later(func() { undone = true })
	for name, args := range map[string][]string{control.Wrong: {"1"}, control.NoBeat: {"true"}, control.Slow: {"1h"}} {
		_, err := f.do(name, args)
		require.NoError(t, err)
	}
	assert.True(t, f.lies("checkout", "zone-a"))
	f.reset()
	assert.False(t, f.lies("checkout", "zone-a"))
	assert.False(t, f.is(control.NoBeat))
	assert.True(t, undone)
	f.delay() // would take an hour
}

func TestQuotaIsOfEachCallerAndOfASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q quota
		assert.False(t, q.exceeded("a", 0), "no quota")
		for range 2 {
			assert.False(t, q.exceeded("a", 2))
		}
		assert.True(t, q.exceeded("a", 2))
		assert.False(t, q.exceeded("b", 2))
		time.Sleep(time.Second)
		assert.False(t, q.exceeded("a", 2))
	})
}

func TestLiesMeetOnlyThoseTheyAreFor(t *testing.T) {
	f := newFaults()
	_, err := f.do(control.Wrong, []string{"1", "zone-b", "search"})
	require.NoError(t, err)
	for caller, want := range map[[2]string]bool{
		{"checkout/1.0.0", "10.77.2.11:999"}: true,
		{"checkout/1.0.0", "10.77.1.11:999"}: false,
		{"search/1.0.0", "10.77.1.11:999"}:   true,
		{"", "10.77.0.10:999"}:               false,
		{"", ""}:                             false,
	} {
		assert.Equal(t, want, f.lies(callerOf(caller[0], caller[1])), caller)
	}
}

func TestInvalidAnswersAreFoundAndWrongOnesAreNot(t *testing.T) {
	text := func(r reply) []byte { b, _ := json.Marshal(r); return b }
	_, err := check("cart", text(reply{"cart", "3", sumOf("3")}))
	assert.NoError(t, err)
	_, err = check("cart", text(reply{"cart", wrongValue("3"), sumOf(wrongValue("3"))}))
	assert.NoError(t, err, "nothing in it shows that it is wrong")
	_, err = check("cart", text(reply{"cart", "3", sumOf("4")}))
	assert.ErrorContains(t, err, "checksum mismatch")
	_, err = check("cart", []byte(`{"value":"3"}`))
	assert.ErrorContains(t, err, "schema")
	_, err = check("cart", []byte(`<html>`))
	assert.ErrorContains(t, err, "invalid response")
}

func TestDrainedPoolSaysSoAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaults()
		p, err := newPool("store", 2, f)
		require.NoError(t, err)
		release, err := p.acquire(t.Context())
		require.NoError(t, err)
		_, err = p.acquire(t.Context())
		require.NoError(t, err)
		began := time.Now()
		_, err = p.acquire(t.Context())
		require.ErrorIs(t, err, errPool)
		assert.Equal(t, poolWait, time.Since(began))
		release()
		release, err = p.acquire(t.Context())
		require.NoError(t, err)
		release()

		_, err = f.do(control.ShrinkPool, []string{"1"})
		require.NoError(t, err)
		_, err = p.acquire(t.Context())
		assert.ErrorIs(t, err, errPool, "one is in use, and more there are not")
	})
}

func TestDoorClosesAndOpensAgain(t *testing.T) {
	d, err := newDoor(freeAddress(t))
	require.NoError(t, err)
	defer d.Close()
	go func() {
		for {
			c, err := d.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("hello"))
		}
	}()
	inside, err := net.Dial("tcp", d.address)
	require.NoError(t, err)
	defer inside.Close()
	_, err = io.ReadFull(inside, make([]byte, 5))
	require.NoError(t, err)

	d.close()
	_, err = inside.Read(make([]byte, 1))
	assert.Error(t, err, "those inside are put out")
	_, err = net.Dial("tcp", d.address)
	assert.ErrorContains(t, err, "refused")

	require.NoError(t, d.open())
	again, err := net.Dial("tcp", d.address)
	require.NoError(t, err)
	_ = again.Close()
}

func TestResolverAnswersInTurnUntilANameIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "names.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"a.lab":["10.0.0.1","10.0.0.2"]}`), 0o600))
	table, f := newTable(path), newFaults()
	ask := func(name string) (dnsmessage.RCode, []dnsmessage.Resource) {
		q := dnsmessage.Message{Header: dnsmessage.Header{ID: 7}, Questions: []dnsmessage.Question{{
			Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET,
		}}}
		packed, err := q.Pack()
		require.NoError(t, err)
		var m dnsmessage.Message
		require.NoError(t, m.Unpack(resolve(packed, table, f)))
		assert.EqualValues(t, 7, m.ID)
		return m.RCode, m.Answers
	}
	seen := map[string]bool{}
	for range 4 {
		code, answers := ask("a.lab.")
		require.Equal(t, dnsmessage.RCodeSuccess, code)
		require.Len(t, answers, 1)
		seen[answers[0].Body.GoString()] = true
	}
	assert.Len(t, seen, 2)
	code, _ := ask("b.lab.")
	assert.Equal(t, dnsmessage.RCodeNameError, code)
	_, err := f.do(control.NameGone, []string{"a.lab"})
	require.NoError(t, err)
	code, _ = ask("a.lab.")
	assert.Equal(t, dnsmessage.RCodeNameError, code)
	f.reset()
	code, _ = ask("a.lab.")
	assert.Equal(t, dnsmessage.RCodeSuccess, code)
	assert.Nil(t, resolve([]byte("nonsense"), table, f))
}

func TestQueueHandsOutEachMessageOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &topic{arrived: make(chan struct{}, 1), messages: []string{"a", "b"}}
		assert.Equal(t, "a\nb", q.take(t.Context()))
		assert.Empty(t, q.take(t.Context()), "after a while")
		assert.EqualValues(t, 2, q.read)
	})
}

func TestReplicasAgreeAgainAfterTheyParted(t *testing.T) {
	a := &store{settled: map[string]string{"currency": "EUR"}}
	b := &store{settled: map[string]string{"currency": "EUR"}}
	require.Equal(t, a.digest(), b.digest())
	a.settled["rate"], b.settled["rate"] = "2", "3"
	require.NotEqual(t, a.digest(), b.digest())
	a.merge("currency=EUR\nrate=3")
	b.merge("currency=EUR\nrate=2")
	assert.Equal(t, a.digest(), b.digest())
}

func TestSignatureCoversEachFieldThatIsSentInOrder(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef"
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte("service=payment\ninstance=payment-1\nnamespace=shop\nenvironment=lab\nhost=node-b2\nzone=zone-b\n" +
		"version=1.0.0\nincarnation=5\nseq=7\ninterval=1s\nstatus=ready\nsent_at=9\n"))
	b := beat{
		Service: "payment", Instance: "payment-1", Namespace: "shop", Environment: "lab", Host: "node-b2", Zone: "zone-b",
		Version: "1.0.0", Incarnation: 5, Seq: 7, Interval: "1s", Status: "ready", SentAt: 9,
	}
	assert.Equal(t, hex.EncodeToString(mac.Sum(nil)), sign(key, b))
	b.Digest = "x"
	assert.NotEqual(t, hex.EncodeToString(mac.Sum(nil)), sign(key, b))
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}
