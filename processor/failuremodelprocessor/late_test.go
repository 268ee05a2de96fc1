// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// roles returns the roles of a batch's spans, "" of those without a class, where spans
// of 10 ms are usual.
func roles(t *testing.T, h held, td func(time.Duration) ptrace.Traces) map[byte]string {
	b := newBench(t, func(c *Config) { c.Annotate.Wait = 0 })
	b.learn(td(10 * time.Millisecond))
	b.snapshot.Store(verdict.NewSnapshot(t0, []*verdict.Verdict{h.verdict}, []verdict.Target{h.target}))
	p, sink := b.traces(t)
	require.NoError(t, p.ConsumeTraces(context.Background(), td(time.Second)))
	out := map[byte]string{}
	for id, s := range spansOf(sink.AllTraces()) {
		role, _ := s.Attributes().Get(contract.FailureRole)
		out[id] = role.Str()
	}
	return out
}

func well(s ptrace.Span) {
	s.Attributes().PutStr("server.address", "payment")
	s.Attributes().PutInt("server.port", 8080)
}

func TestWhoseFailureMakesACallLate(t *testing.T) {
	calls := func(d time.Duration) ptrace.Traces {
		td := batch("checkout", "c-1", span(1, 1, 0, ptrace.SpanKindClient, well, took(d)))
		addSpans(td, "payment", "payment-1", span(2, 2, 0, ptrace.SpanKindServer, took(d)))
		return td
	}
	hurt, spared := map[byte]string{1: contract.RoleVictim, 2: contract.RoleCulprit}, map[byte]string{1: "", 2: ""}
	dead := of(verdict.ClassCrash, "payment", "payment-1", paymentAddress)
	assert.Equal(t, spared, roles(t, dead, calls), "who is gone keeps nobody waiting who is answered")
	dead.verdict.Subclass = "hang"
	assert.Equal(t, hurt, roles(t, dead, calls))
	dead.target.Calm = t0.Add(-time.Hour)
	assert.Equal(t, spared, roles(t, dead, calls), "it seems to be over")
	dead.target.Calm = t0.Add(time.Hour)
	assert.Equal(t, hurt, roles(t, dead, calls), "they began before")
	short := of(verdict.ClassExhaustion, "payment", "payment-1", paymentAddress)
	assert.Equal(t, hurt, roles(t, short, calls))
	short.target.Calm = t0.Add(-time.Hour)
	assert.Equal(t, hurt, roles(t, short, calls), "it still takes far too long")
	short.verdict.Subclass = "disk"
	assert.Equal(t, spared, roles(t, short, calls), "who has no room left says so, and nobody waits")
	short.verdict.Subclass = "oom_kill"
	assert.Equal(t, spared, roles(t, short, calls), "who is killed is gone, too")
	liar := of(verdict.ClassByzantine, "payment", "payment-1", paymentAddress)
	liar.verdict.Subclass = "wrong_answer"
	assert.Equal(t, map[byte]string{1: ""}, roles(t, liar, func(d time.Duration) ptrace.Traces {
		return batch("payment", "payment-1", span(1, 1, 0, ptrace.SpanKindClient, with("server.address", "ledger"), took(d)))
	}), "who answers wrongly does so in time")
}

// A span that took a little longer than usual is hurt by one who is short of something,
// as long as that is seen.
func TestMerelyLateSpanIsSparedOnceNothingSpeaksForTheFailure(t *testing.T) {
	short := of(verdict.ClassExhaustion, "payment", "payment-1", paymentAddress)
	calls := func(d time.Duration) ptrace.Traces {
		return batch("payment", "payment-1", span(1, 1, 0, ptrace.SpanKindServer, took(min(d, 17*time.Millisecond))))
	}
	assert.Equal(t, map[byte]string{1: contract.RoleCulprit}, roles(t, short, calls))
	short.target.Calm = t0.Add(-time.Hour)
	assert.Equal(t, map[byte]string{1: ""}, roles(t, short, calls))
}

// What got over a cut had to be sent again; what took less longer went another way.
func TestCallThatWentWellDuringACutIsHurtIfItWaitedForAPacketToBeSentAgain(t *testing.T) {
	calls := func(late time.Duration) func(time.Duration) ptrace.Traces {
		return func(d time.Duration) ptrace.Traces {
			return batch("checkout", "c-1", span(1, 1, 0, ptrace.SpanKindClient, well, took(min(d, late))))
		}
	}
	assert.Equal(t, map[byte]string{1: contract.RoleVictim}, roles(t, cut("complete"), calls(300*time.Millisecond)))
	assert.Equal(t, map[byte]string{1: ""}, roles(t, cut("complete"), calls(17*time.Millisecond)))
	assert.Equal(t, map[byte]string{1: contract.RoleVictim}, roles(t, cut("slow_link"), calls(17*time.Millisecond)))
}

// Who waited for nothing, or not for as long as it is late, is late by something else.
func TestLateSpanIsHurtByACallThatItWaitedFor(t *testing.T) {
	payment := of(verdict.ClassCrash, "payment", "payment-1", paymentAddress)
	calls := func(failed time.Duration) func(time.Duration) ptrace.Traces {
		return func(d time.Duration) ptrace.Traces {
			call := toPayment
			if d < time.Second {
				call = well
			}
			td := batch("checkout", "c-1", span(1, 2, 1, ptrace.SpanKindClient, call, took(min(d, failed))))
			addSpans(td, "cart", "cart-1", span(1, 5, 9, ptrace.SpanKindServer, took(d))) // asked besides, and longer under way
			return td
		}
	}
	assert.Equal(t, contract.RoleVictim, roles(t, payment, calls(900*time.Millisecond))[5])
	assert.Empty(t, roles(t, payment, calls(time.Millisecond))[5], "a call that is refused at once delays nobody")
}

// What began after the last that spoke for a failure waits for more of it: a late span as
// well as an answer of one who was wrong.
func TestWhatWentWellAfterTheLastEvidenceIsHurtOnlyIfMoreFollows(t *testing.T) {
	late := func(d time.Duration) ptrace.Traces {
		return batch("payment", "payment-1", span(1, 1, 0, ptrace.SpanKindServer, took(d)))
	}
	for class, subclass := range map[verdict.Class]verdict.Subclass{verdict.ClassCrash: verdict.SubclassHang, verdict.ClassByzantine: verdict.SubclassErrorResponse} {
		for name, c := range map[string]struct {
			spoke, later clock.Time
			want         string
		}{
			"before and since":  {t0.Add(-time.Hour), t0.Add(time.Hour), contract.RoleCulprit},
			"before":            {t0.Add(-time.Hour), t0.Add(-time.Hour), ""},
			"nobody could tell": {0, 0, contract.RoleCulprit},
		} {
			b := newBench(t, nil)
			b.learn(late(10 * time.Millisecond))
			h := of(class, "payment", "payment-1", paymentAddress)
			h.verdict.Subclass, h.target.Spoke = subclass, c.spoke
			b.snapshot.Store(verdict.NewSnapshot(t0, []*verdict.Verdict{h.verdict}, []verdict.Target{h.target}))
			p, sink := b.traces(t)
			require.NoError(t, p.ConsumeTraces(context.Background(), late(time.Second)))
			if c.spoke != 0 {
				require.Zero(t, sink.SpanCount(), "%s: %s", subclass, name)
			}
			h.target.Spoke = c.later
			b.snapshot.Store(verdict.NewSnapshot(t0, []*verdict.Verdict{h.verdict}, []verdict.Target{h.target}))
			if c.want == "" {
				b.pass(3 * time.Second) // its time is up
			} else {
				b.pass(time.Second)
			}
			eventually(t, "released", func() bool { return sink.SpanCount() == 1 })
			assertRole(t, spansOf(sink.AllTraces())[1], c.want)
		}
	}
}

// The kernel's word of what ended a process comes a moment after its end.
func TestSpanWaitsUntilItsVerdictHasSettled(t *testing.T) {
	b := newBench(t, nil)
	hasty := of(verdict.ClassCrash, "payment", "payment-1", paymentAddress)
	hasty.verdict.Decided = t0
	b.snapshot.Store(verdict.NewSnapshot(t0, []*verdict.Verdict{hasty.verdict}, []verdict.Target{hasty.target}))
	p, sink := b.traces(t)
	require.NoError(t, p.ConsumeTraces(context.Background(), batch("payment", "payment-1", span(1, 1, 0, ptrace.SpanKindServer, failed))))
	require.Zero(t, sink.SpanCount())
	better := of(verdict.ClassExhaustion, "payment", "payment-1", paymentAddress)
	b.snapshot.Store(verdict.NewSnapshot(t0, []*verdict.Verdict{better.verdict}, []verdict.Target{better.target}))
	b.pass(settles)
	eventually(t, "released", func() bool { return sink.SpanCount() == 1 })
	class, _ := spansOf(sink.AllTraces())[1].Attributes().Get(contract.FailureClass)
	assert.Equal(t, string(verdict.ClassExhaustion), class.Str())
}

// Who asked too much of one that is told to be overloaded is found out a little later.
func TestWhatIsTurnedAwayWaitsForWhoAskedTooMuch(t *testing.T) {
	for subclass, wait := range map[verdict.Subclass]time.Duration{verdict.SubclassOverload: 2 * settles, verdict.SubclassDisk: settles} {
		b := newBench(t, nil)
		hasty := of(verdict.ClassExhaustion, "payment", "payment-1", paymentAddress)
		hasty.verdict.Decided, hasty.verdict.Subclass = t0, subclass
		b.snapshot.Store(verdict.NewSnapshot(t0, []*verdict.Verdict{hasty.verdict}, []verdict.Target{hasty.target}))
		p, sink := b.traces(t)
		require.NoError(t, p.ConsumeTraces(context.Background(), batch("payment", "payment-1", span(1, 1, 0, ptrace.SpanKindServer, failed))))
		b.pass(wait - time.Millisecond)
		time.Sleep(20 * time.Millisecond)
		require.Zero(t, sink.SpanCount(), subclass)
		b.pass(time.Millisecond)
		eventually(t, "released", func() bool { return sink.SpanCount() == 1 })
	}
}

func TestWhatFailsIsHurtHoweverCalmItSeems(t *testing.T) {
	short := of(verdict.ClassExhaustion, "payment", "payment-1", paymentAddress)
	short.target.Calm = t0.Add(-time.Hour)
	assert.Equal(t, map[byte]string{1: "payment-1"}, decided(t, []held{short}, batch("payment", "payment-1", span(1, 1, 0, ptrace.SpanKindServer, failed))))
}

func TestClientThatAsksTooMuchIsTheCulprit(t *testing.T) {
	h := of(verdict.ClassExhaustion, "payment", "payment-1", paymentAddress)
	h.verdict.Subclass, h.verdict.Culprit = "quota", verdict.Culprit{Type: verdict.CulpritClient, Name: "checkout", Service: report.ServiceID{Name: "checkout"}}
	assert.Equal(t, map[byte]string{1: contract.RoleCulprit, 2: contract.RoleVictim, 3: ""}, roles(t, h, func(d time.Duration) ptrace.Traces {
		td := batch("checkout", "c-1", span(1, 1, 0, ptrace.SpanKindClient, well, took(d)))
		addSpans(td, "payment", "payment-1", span(2, 2, 0, ptrace.SpanKindServer, took(d)),
			span(3, 3, 0, ptrace.SpanKindClient, with("server.address", "ledger"), took(d))) // what it asks of others is not the client's
		return td
	}))
}

// A client that asks for one request as often as it used to for five takes longer for it,
// though none of its calls is refused or late.
func TestLateRequestOfAClientThatAsksTooMuchIsItsOwn(t *testing.T) {
	h := of(verdict.ClassExhaustion, "payment", "payment-1", paymentAddress)
	h.verdict.Subclass, h.verdict.Culprit = "quota", verdict.Culprit{Type: verdict.CulpritClient, Name: "checkout", Service: report.ServiceID{Name: "checkout"}}
	requests := func(d time.Duration) ptrace.Traces {
		td := batch("checkout", "c-1", span(1, 1, 9, ptrace.SpanKindServer, took(d)), span(2, 2, 0, ptrace.SpanKindServer, failed),
			span(3, 3, 0, ptrace.SpanKindClient, with("server.address", "ledger"), took(d)))
		addSpans(td, "web", "w-1", span(1, 9, 0, ptrace.SpanKindClient, with("server.address", "checkout"), took(d)), span(4, 4, 0, ptrace.SpanKindServer, took(d)))
		return td
	}
	assert.Equal(t, map[byte]string{1: contract.RoleCulprit, 9: contract.RoleVictim, 2: "", 3: "", 4: ""}, roles(t, h, requests),
		"what fails does so for another reason, and others have nothing to do with it")
	h.target.Calm = t0.Add(-time.Hour)
	assert.Equal(t, map[byte]string{1: "", 9: "", 2: "", 3: "", 4: ""}, roles(t, h, requests), "nobody is turned away any more")
}

func TestLatePartOfALateCallIsHurtWithIt(t *testing.T) {
	h := of(verdict.ClassExhaustion, "payment", "payment-1", paymentAddress)
	assert.Equal(t, map[byte]string{1: contract.RoleVictim, 2: contract.RoleVictim, 3: "", 4: contract.RoleVictim}, roles(t, h, func(d time.Duration) ptrace.Traces {
		return batch("checkout", "c-1", span(1, 4, 0, ptrace.SpanKindServer, took(d)), span(1, 1, 4, ptrace.SpanKindClient, well, took(d)),
			span(1, 2, 1, ptrace.SpanKindInternal, took(d)), span(1, 3, 4, ptrace.SpanKindInternal, took(d/2)))
	}))
}

func TestAnswerUnderANameBehindWhichNobodyElseStandsIsTheConvicts(t *testing.T) {
	byName := batch("checkout", "c-1", span(1, 1, 0, ptrace.SpanKindClient, well))
	liar := of(verdict.ClassByzantine, "payment", "payment-1", paymentAddress)
	liar.verdict.Subclass = "wrong_answer"
	assert.Equal(t, map[byte]string{1: ""}, decided(t, []held{liar}, byName), "an honest one may have given it")
	liar.target.Alone = []string{paymentAddress}
	byName = batch("checkout", "c-1", span(1, 1, 0, ptrace.SpanKindClient, well))
	assert.Equal(t, map[byte]string{1: "payment-1"}, decided(t, []held{liar}, byName))
}

// The span of the one who answered is often told after that of the one who asked.
func TestAnswerUnderASharedNameWaitsForTheSpanOfWhoGaveIt(t *testing.T) {
	b := newBench(t, nil)
	liar := of(verdict.ClassByzantine, "payment", "payment-1", paymentAddress)
	liar.verdict.Subclass = "wrong_answer"
	b.snapshot.Store(verdict.NewSnapshot(t0, []*verdict.Verdict{liar.verdict}, []verdict.Target{liar.target}))
	p, sink := b.traces(t)
	require.NoError(t, p.ConsumeTraces(context.Background(), batch("checkout", "c-1", span(1, 1, 0, ptrace.SpanKindClient, well),
		span(2, 2, 0, ptrace.SpanKindClient, well), span(3, 3, 0, ptrace.SpanKindClient, with("server.address", "ledger")))))
	require.Equal(t, 1, sink.SpanCount(), "who is called by another name has nothing to do with it")
	td := batch("payment", "payment-1", span(1, 4, 1, ptrace.SpanKindServer))
	addSpans(td, "payment", "payment-2", span(2, 5, 2, ptrace.SpanKindServer))
	require.NoError(t, p.ConsumeTraces(context.Background(), td))
	b.pass(3 * time.Second)
	eventually(t, "released", func() bool { return sink.SpanCount() == 5 })
	assertRole(t, spansOf(sink.AllTraces())[1], contract.RoleVictim)
	assertRole(t, spansOf(sink.AllTraces())[2], "")
}

func TestLateAnswerOfAConvictIsItsAnswer(t *testing.T) {
	liar := of(verdict.ClassByzantine, "payment", "payment-1", paymentAddress)
	liar.verdict.Subclass, liar.target.Alone = "wrong_answer", []string{paymentAddress}
	calls := func(d time.Duration) ptrace.Traces {
		return batch("checkout", "c-1", span(1, 1, 0, ptrace.SpanKindClient, well, took(d)))
	}
	assert.Equal(t, map[byte]string{1: contract.RoleVictim}, roles(t, liar, calls))
	liar.target.Right = true
	assert.Equal(t, map[byte]string{1: ""}, roles(t, liar, calls))
}

func TestDoubtfulAnswersLeaveRoomForWhatFailed(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Annotate.MaxWaiting = 2 })
	b.doubt()
	p, sink := b.traces(t)
	answer := func(id byte) ptrace.Traces {
		return batch("payment", "payment-1", span(id, id, 0, ptrace.SpanKindServer))
	}
	require.NoError(t, p.ConsumeTraces(context.Background(), answer(1)))
	require.NoError(t, p.ConsumeTraces(context.Background(), answer(2)))
	require.Equal(t, 1, sink.SpanCount(), "half of the room is full")
	require.NoError(t, p.ConsumeTraces(context.Background(), batch("checkout", "c-1", span(3, 3, 0, ptrace.SpanKindServer, failed))))
	require.Equal(t, 1, sink.SpanCount())
}

func TestAnswerOfWhoMaySoonBeConvictedWaits(t *testing.T) {
	b := newBench(t, nil)
	b.doubt(paymentAddress)
	p, sink := b.traces(t)
	td := batch("payment", "payment-1", span(1, 1, 0, ptrace.SpanKindServer), span(1, 5, 1, ptrace.SpanKindInternal))
	addSpans(td, "payment", "payment-2", span(2, 2, 0, ptrace.SpanKindServer))
	addSpans(td, "checkout", "c-1", span(3, 3, 0, ptrace.SpanKindClient, well), span(4, 4, 0, ptrace.SpanKindClient, with("server.address", "ledger")))
	require.NoError(t, p.ConsumeTraces(context.Background(), td))
	require.Equal(t, 3, sink.SpanCount(), "answers of others, and what is none, go at once")
	b.convict(verdict.ClassByzantine)
	b.pass(time.Second)
	eventually(t, "released", func() bool { return sink.SpanCount() == 4 })
	assertRole(t, spansOf(sink.AllTraces())[1], contract.RoleCulprit)
	assertRole(t, spansOf(sink.AllTraces())[2], "")
	b.pass(3 * time.Second)
	eventually(t, "under a name that others may share, too", func() bool { return sink.SpanCount() == 5 })

	b.doubt(paymentAddress)
	require.NoError(t, p.ConsumeTraces(context.Background(), batch("payment", "payment-1", span(6, 6, 0, ptrace.SpanKindServer))))
	require.Equal(t, 5, sink.SpanCount())
	b.pass(3 * time.Second)
	eventually(t, "none waits for ever", func() bool { return sink.SpanCount() == 6 })
	assertRole(t, spansOf(sink.AllTraces())[6], "")
}

// A request fails for the failed call below it, which is often told after another that was
// merely late.
func TestFailureIsNotPutDownToWhatWasOnlyLateBeforeWhatFailedIsTold(t *testing.T) {
	const ms = time.Millisecond
	cart := of(verdict.ClassExhaustion, "cart", "cart-1", "cart:80")
	payment := of(verdict.ClassExhaustion, "payment", "payment-1", paymentAddress)
	toCart := func(d time.Duration) ptrace.Traces {
		return batch("checkout", "c-1", span(1, 3, 2, ptrace.SpanKindClient, with("server.address", "cart"), func(s ptrace.Span) { s.Attributes().PutInt("server.port", 80) }, took(d)))
	}
	for name, c := range map[string]struct {
		late      time.Duration // of the two seconds that the request took
		failsElse bool
		want      string
	}{
		"what failed is told after it":                {190 * ms, true, "payment-1"},
		"what failed is told after one that was long": {1100 * ms, true, "payment-1"},
		"it took most of the time":                    {1100 * ms, false, "cart-1"},
		"it took a little of it":                      {190 * ms, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			b.learn(toCart(10 * ms))
			b.snapshot.Store(verdict.NewSnapshot(t0, []*verdict.Verdict{cart.verdict, payment.verdict}, []verdict.Target{cart.target, payment.target}))
			p, sink := b.traces(t)
			require.NoError(t, p.ConsumeTraces(context.Background(), toCart(c.late)))
			require.NoError(t, p.ConsumeTraces(context.Background(), batch("web", "w-1", span(1, 1, 0, ptrace.SpanKindServer, failed, took(2*time.Second)))))
			if c.failsElse {
				require.NoError(t, p.ConsumeTraces(context.Background(), batch("checkout", "c-1", span(1, 4, 2, ptrace.SpanKindClient, toPayment, took(10*ms)))))
			}
			b.pass(4 * time.Second)
			eventually(t, "released", func() bool { _, ok := spansOf(sink.AllTraces())[1]; return ok })
			culprit, _ := spansOf(sink.AllTraces())[1].Attributes().Get(contract.FailureCulpritName)
			assert.Equal(t, c.want, culprit.Str())
		})
	}
}
