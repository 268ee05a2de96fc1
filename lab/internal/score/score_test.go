// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

var epoch = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

func sec(s float64) time.Time { return epoch.Add(time.Duration(s * float64(time.Second))) }

var (
	pay1    = ledger.Culprit{Type: "instance", Name: "pay-1", Service: "pay", Instance: "pay-1"}
	pay     = ledger.Culprit{Type: "service", Name: "pay", Service: "pay"}
	stock   = ledger.Culprit{Type: "service", Name: "stock", Service: "stock"}
	anyPay1 = ledger.Culprit{Type: "instance", Instance: "pay-1"}
)

func kill(from, to float64) ledger.Injection {
	return ledger.Injection{
		ID: "1", Name: "kill", Kind: ledger.Fault, Class: "crash", Subclass: "process_exit",
		Culprits: []ledger.Culprit{anyPay1, pay}, Start: sec(from), End: sec(to),
	}
}

func said1(at float64, event, class string, confidence float64, who ledger.Culprit) Verdict {
	return Verdict{At: sec(at), Event: "failure." + event, Entity: who.Name, Class: class, Confidence: confidence, Culprit: who}
}

func TestFirstVerdictAndRevisionsAreScoredAtTheirTimes(t *testing.T) {
	r := Judge([]ledger.Injection{kill(0, 30)}, []Verdict{
		said1(1, "detected", "unknown", 0.4, pay),
		said1(4, "revised", "network_partition", 0.6, pay),
		said1(70, "revised", "crash", 0.9, pay),
		said1(75, "cleared", "crash", 0.95, pay),
	}, nil, nil, ledger.Arrival{ID: "1", At: sec(2)}, ledger.Arrival{ID: "1", At: sec(1)})
	m := r.BothSides
	assert.Equal(t, map[string]map[string]int{"crash": {"network_partition": 1}}, m.First.Confusion)
	assert.Zero(t, m.After30.Right, "at 60 s it still said partition")
	assert.Equal(t, 1, m.After60.Right)
	assert.Equal(t, 1, m.After60.CulpritRight)
	assert.Zero(t, m.After60.CulpritBest, "the instance was to be named")
	d := r.Delays["crash/process_exit"]
	assert.Equal(t, Quantiles{1, 4, 4}, d.FromStart)
	assert.Equal(t, Quantiles{1, 3, 3}, d.FromEvidence)
	assert.Equal(t, Quantiles{1, 70, 70}, d.RightFromStart)
	assert.Equal(t, Quantiles{1, 45, 45}, r.Leave.AfterEnd)
	assert.Equal(t, 1, r.Verdicts.UnknownFirst)
	assert.InDelta(t, 0.36, r.First.Brier, 1e-12)
	assert.InDelta(t, 0.0025, r.Final.Brier, 1e-12, "of the confidence at the end")
}

func TestOneSidedFaultMayBeUnsureOnlyWhileItLasts(t *testing.T) {
	for name, c := range map[string]struct {
		verdicts    []Verdict
		first, late int
	}{
		"unknown":                     {[]Verdict{said1(3, "detected", "unknown", 0.5, pay)}, 1, 0},
		"unsure and wrong":            {[]Verdict{said1(3, "detected", "network_partition", 0.75, pay)}, 1, 0},
		"sure and wrong":              {[]Verdict{said1(3, "detected", "network_partition", 0.76, pay)}, 0, 0},
		"unsure and wrong afterwards": {[]Verdict{said1(33, "detected", "network_partition", 0.5, pay)}, 0, 0},
		"unsure, then right": {[]Verdict{said1(3, "detected", "network_partition", 0.5, pay),
			said1(40, "revised", "crash", 0.9, pay)}, 1, 1},
		"silent": {nil, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			in := kill(0, 30)
			in.OneSided = true
			r := Judge([]ledger.Injection{in}, c.verdicts, nil, nil)
			assert.Equal(t, c.first, r.OneSided.First.Right)
			assert.Equal(t, c.late, r.OneSided.After60.Right)
			assert.Zero(t, r.BothSides.First.Faults)
		})
	}
}

func TestVerdictOnTheFormerCulpritDuringTheNextFaultIsOfThatFault(t *testing.T) {
	next := ledger.Injection{
		ID: "2", Name: "own_500", Kind: ledger.Fault, Class: "byzantine",
		Culprits: []ledger.Culprit{stock}, Start: sec(50), End: sec(80),
	}
	r := Judge([]ledger.Injection{kill(0, 30), next}, []Verdict{
		said1(1, "detected", "crash", 0.9, pay),
		said1(32, "cleared", "crash", 0.9, pay),
		said1(58, "detected", "byzantine", 0.7, pay),
	}, nil, nil)
	assert.Equal(t, map[string]map[string]int{"crash": {"crash": 1}, "byzantine": {"byzantine": 1}}, r.BothSides.After60.Confusion)
	assert.Equal(t, 1, r.Verdicts.WrongCulprit)
}

// Who was short and is killed has failed twice, and the end of the first is told with the second.
func TestVerdictThatGivesWayToAnotherOfTheSameHasLeft(t *testing.T) {
	short := ledger.Injection{
		ID: "0", Name: "cpu_quota", Kind: ledger.Fault, Class: "resource_exhaustion", Group: "g",
		Culprits: []ledger.Culprit{pay}, Start: sec(0), End: sec(20),
	}
	killed := kill(15, 30)
	killed.Group = "g"
	r := Judge([]ledger.Injection{short, killed}, []Verdict{
		said1(5, "detected", "resource_exhaustion", 0.9, pay),
		said1(25, "detected", "crash", 0.9, pay),
		said1(25, "cleared", "resource_exhaustion", 0.9, pay),
		said1(33, "cleared", "crash", 0.9, pay),
	}, nil, nil)
	assert.Zero(t, r.Leave.Never+r.Leave.Early)
	assert.Equal(t, Quantiles{N: 2, Median: 3, P95: 5}, r.Leave.AfterEnd)
	r = Judge([]ledger.Injection{kill(0, 30)}, []Verdict{
		said1(5, "detected", "crash", 0.9, pay), said1(5, "cleared", "crash", 0.9, pay),
	}, nil, nil)
	assert.Equal(t, 1, r.Leave.Early, "one that was told and taken back in one instant has left, too")
}

func TestFalseClassesAreCountedWhereTheyFall(t *testing.T) {
	deploy := ledger.Injection{ID: "2", Name: "rolling_deploy", Kind: ledger.Confounder, Start: sec(120), End: sec(180)}
	clean := ledger.Injection{ID: "3", Kind: ledger.Clean, Start: sec(240), End: sec(3840)}
	r := Judge([]ledger.Injection{kill(0, 30), deploy, clean}, []Verdict{
		said1(5, "detected", "crash", 0.9, stock),    // wrong culprit
		said1(130, "detected", "crash", 0.8, pay),    // during the deploy
		said1(150, "detected", "unknown", 0.3, pay1), // not a class
		said1(300, "detected", "crash", 0.7, pay),    // clean
		{At: sec(7), Event: "observer.degraded"},
	}, nil, nil)
	assert.Equal(t, 1, r.Verdicts.WrongCulprit)
	assert.Equal(t, 1, r.False["confounders"].ByName["rolling_deploy"])
	assert.Equal(t, 1, r.False["confounders"].Unknown)
	assert.InDelta(t, 120.0/3600, r.False["confounders"].Hours, 1e-9)
	assert.Equal(t, 1, r.False["clean"].Count)
	assert.InDelta(t, 3630.0/3600, r.False["clean"].Hours, 1e-9, "30 s before the deploy, and the clean hour")
	assert.Equal(t, map[string]int{"observer.degraded": 1}, r.Events)
}

func TestHiddenAndUnmadeFaultsAreNotScored(t *testing.T) {
	hidden, unmade := kill(0, 10), kill(200, 210)
	hidden.Hidden, unmade.ID, unmade.Failed = true, "2", "no root"
	r := Judge([]ledger.Injection{hidden, unmade}, []Verdict{said1(201, "detected", "crash", 0.9, stock)}, nil, nil)
	assert.Equal(t, Hidden{Faults: 1, Silent: 1}, r.Hidden)
	assert.Equal(t, 1, r.NotMade)
	assert.Zero(t, r.Faults+r.Verdicts.WrongCulprit+r.False["clean"].Count+r.First.Verdicts)
	tagged := Span{Start: sec(202), Duration: time.Second, Tag: &Tag{Class: "crash", Culprit: stock}}
	r = Judge([]ledger.Injection{unmade}, nil, []Span{tagged}, nil)
	assert.Zero(t, r.Spans.Seen+r.Spans.Tagged, "nobody knows what it hurt")
}

func TestExhaustionThatEndsInACrashIsTwoAnswers(t *testing.T) {
	leak, crash := kill(0, 40), kill(20, 40)
	leak.Class, leak.Subclass, leak.Group = "resource_exhaustion", "memory", "g"
	crash.ID, crash.Group = "2", "g"
	r := Judge([]ledger.Injection{leak, crash}, []Verdict{
		said1(10, "detected", "resource_exhaustion", 0.8, pay1), said1(22, "revised", "crash", 0.9, pay1),
	}, nil, nil)
	assert.Equal(t, 2, r.BothSides.After60.Right)
	assert.Equal(t, 2, r.BothSides.After60.CulpritBest)
}

// spansOf makes clean spans of 1 to 100 ms (so that the p99 is 99 ms) and those
// of a fault.
func spansOf() []Span {
	var out []Span
	for i := range 100 {
		out = append(out, Span{Trace: traceID{1, byte(i)}, ID: spanID{1}, Service: "pay", Operation: "POST /pay", Start: sec(-1000 + float64(i)),
			Duration: time.Duration(i+1) * time.Millisecond})
	}
	right := &Tag{Class: "crash", Culprit: pay1}
	add := func(n byte, service string, at float64, ms int, failed bool, tag *Tag) {
		out = append(out, Span{Trace: traceID{2, n}, ID: spanID{n}, Service: service, Operation: "POST /pay", Start: sec(at),
			Duration: time.Duration(ms) * time.Millisecond, Failed: failed, Tag: tag})
	}
	add(1, "pay", 1, 10, true, nil)     // hurt before the verdict
	add(2, "pay", 3, 10, true, right)   // 2 s before the verdict
	add(3, "pay", 6, 100, false, right) // slow
	out[len(out)-1].Instance = pay1.Instance
	add(8, "pay", 6, 100, false, nil)   // slow, and of a sibling
	add(4, "pay", 7, 99, false, nil)    // not slower than the p99
	add(5, "pay", 8, 10, true, nil)     // missed
	add(6, "stock", 9, 10, true, right) // has nothing to do with it
	add(7, "pay", 200, 10, true, &Tag{Class: "unknown"})
	return out
}

func TestSpanRecallAndPrecision(t *testing.T) {
	r := Judge([]ledger.Injection{kill(0, 30)}, []Verdict{said1(5, "detected", "crash", 0.9, pay1)}, spansOf(), nil)
	s := r.Spans
	assert.Equal(t, 4, s.Hurt)
	assert.Equal(t, 2, s.HurtRight)
	assert.Equal(t, 3, s.FromVerdict)
	assert.Equal(t, 2, s.FromRight)
	assert.Equal(t, []int{2, 1, 1, 1}, []int{s.Failed, s.FailedRight, s.Slow, s.SlowRight})
	assert.InDelta(t, 2.0/3, s.Precision, 1e-12)
	assert.Equal(t, 1, s.Unknown)
}

func TestSlowSpansAreHurtUntilTheFleetHasRecovered(t *testing.T) {
	spans := spansOf()[:100] // the clean ones
	for at, trace := range map[float64]byte{33: 3, 37: 4} {
		spans = append(spans, Span{Trace: traceID{trace}, ID: spanID{1}, Service: "pay", Instance: pay1.Instance, Operation: "POST /pay", Start: sec(at),
			Duration: 100 * time.Millisecond, Tag: &Tag{Class: "crash", Culprit: pay1}})
	}
	calls := []ledger.Call{{Start: sec(34), Duration: time.Second, Service: "shop", Callee: "pay"}} // the last that failed
	s := Judge([]ledger.Injection{kill(0, 30)}, []Verdict{said1(5, "detected", "crash", 0.9, pay1)}, spans, calls).Spans
	assert.Equal(t, []int{2, 1}, []int{s.Tagged, s.TaggedHurt})
	assert.Equal(t, map[string]int{"kill: crash/ of instance pay-1": 1}, s.WrongTags)
	s = Judge([]ledger.Injection{kill(0, 30)}, []Verdict{said1(5, "detected", "crash", 0.9, pay1)}, spans, nil).Spans
	assert.Equal(t, []int{2, 0}, []int{s.Tagged, s.TaggedHurt}, "no call failed after the end")
}

func TestByzantinesAnswersAreHurtEvenWhenFast(t *testing.T) {
	in := kill(0, 30)
	in.Class, in.Culprits = "byzantine", []ledger.Culprit{pay1}
	tag := &Tag{Class: "byzantine", Culprit: pay1}
	spans := []Span{
		{Trace: traceID{1}, ID: spanID{2}, Parent: spanID{1}, Service: "pay", Instance: "pay-1", Server: true, Start: sec(6), Tag: tag},
		{Trace: traceID{1}, ID: spanID{1}, Service: "shop", Start: sec(6), Tag: tag},
		{Trace: traceID{3}, ID: spanID{3}, Service: "shop", Start: sec(7)}, // a wrong answer by the log
		{Trace: traceID{4}, ID: spanID{4}, Service: "pay", Instance: "pay-2", Server: true, Start: sec(8), Tag: tag},
	}
	calls := []ledger.Call{{Trace: "03000000000000000000000000000000", Span: "0300000000000000", Start: sec(7), Service: "shop", Callee: "pay", OK: true, Wrong: true}}
	s := Judge([]ledger.Injection{in}, []Verdict{said1(5, "detected", "byzantine", 0.9, pay1)}, spans, calls).Spans
	assert.Equal(t, []int{3, 2}, []int{s.Answers, s.AnswersRight})
	assert.Equal(t, []int{3, 2}, []int{s.Tagged, s.TaggedHurt})
}

func TestRecoveryIsTheEndOfTheLastHurtCall(t *testing.T) {
	calls := []ledger.Call{{Start: sec(38), Duration: 2 * time.Second, Callee: "pay"}, {Start: sec(41), Callee: "stock"}, {Start: sec(42), Callee: "pay", OK: true}}
	r := Judge([]ledger.Injection{kill(0, 30)}, []Verdict{said1(5, "detected", "crash", 0.9, pay1), said1(52, "cleared", "crash", 0.9, pay1)}, nil, calls)
	assert.Equal(t, Quantiles{1, 12, 12}, r.Leave.AfterRecovery)
}

func TestReliabilityTable(t *testing.T) {
	c := calibrate([]claim{{0.3, true}, {0.35, false}, {1, true}})
	assert.Equal(t, 2, c.Bins[3].Verdicts)
	assert.InDelta(t, 0.325, c.Bins[3].Confidence, 1e-12)
	assert.InDelta(t, 0.5, c.Bins[3].Right, 1e-12)
	assert.Equal(t, 1, c.Bins[9].Verdicts)
	assert.InDelta(t, (0.49+0.1225)/3, c.Brier, 1e-12)
	assert.InDelta(t, 0.175*2/3, c.ECE, 1e-12)
}

func TestOrderOfInputDoesNotMatter(t *testing.T) {
	second := kill(300, 330)
	second.ID, second.Class = "2", "byzantine"
	ins := []ledger.Injection{kill(0, 30), second}
	verdicts := []Verdict{
		said1(3, "detected", "crash", 0.9, pay1), said1(3, "detected", "unknown", 0.5, stock), said1(3, "detected", "crash", 0.7, pay),
		said1(9, "revised", "crash", 0.8, stock), said1(50, "cleared", "crash", 0.8, stock), said1(310, "detected", "byzantine", 0.77, pay1),
	}
	spans := spansOf()
	calls := []ledger.Call{{Start: sec(33), Callee: "pay"}, {Start: sec(31), Callee: "pay"}}
	want, err := Judge(ins, verdicts, spans, calls).JSON()
	require.NoError(t, err)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		i, v, s, c := slices.Clone(ins), slices.Clone(verdicts), slices.Clone(spans), slices.Clone(calls)
		rnd.Shuffle(len(i), func(a, b int) { i[a], i[b] = i[b], i[a] })
		rnd.Shuffle(len(v), func(a, b int) { v[a], v[b] = v[b], v[a] })
		rnd.Shuffle(len(s), func(a, b int) { s[a], s[b] = s[b], s[a] })
		rnd.Shuffle(len(c), func(a, b int) { c[a], c[b] = c[b], c[a] })
		got, err := Judge(i, v, s, c).JSON()
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
	}
}
