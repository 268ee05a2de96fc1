// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"cmp"
	"encoding/binary"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// scratch is what reading one batch of spans needs; it is reused, so that
// nothing is allocated for the healthy. Its memories of callees and kinds of
// spans outlive a batch and make the next one cheaper.
type scratch struct {
	x   *Extractor
	now clock.Time
	bl  *engine.Baselines
	out *report.Batch
	v   view

	src     *report.Source // of the current resource
	spans   ptrace.ResourceSpans
	ends    spansEnd // of the current scope
	served  report.Served
	facts   uint32 // kinds of facts already told of the current resource
	calling bool   // a span of a call that the current resource made has been seen

	callees [memoSize]*callee
	kinds   [memoSize]kindMemo
	shapes  [memoSize]shapeMemo
	batch   uint32 // counts batches, to tell what is of this one

	calls     [callSlots]callSlot
	heard     []hearsay
	threshold uint64 // hops of traces below it are told
	hops      int
	samples   int

	doors [doorSlots]doorTold // doors.go: told lately
	queue string              // queues.go: to which a message was sent last

	searches   int            // lastcall.go: in this batch
	lastBlamed pcommon.SpanID // the latest call that was found
}

const (
	memoSize  = 512
	callSlots = 1024
	callProbe = 8
	// Beyond so many spans in a batch only every sampleEvery-th trace teaches
	// the baselines: the shape of a distribution is known by then.
	samplesInFull = 1024
	sampleEvery   = 8
)

// kindMemo remembers the key of one kind of span.
type kindMemo struct {
	name    string
	peer    *callee
	service uint64
	shape   uint64
	kind    ptrace.SpanKind
	batch   uint32
	key     uint64
	tail    *stat.Tail
}

// callSlot remembers where in the batch calls of one kind are counted.
type callSlot struct {
	src     *report.Source
	callee  *callee
	outcome report.Outcome
	batch   uint32
	at      int32
}

// Traces adds to b what spans show: calls, served calls, durations, and ends of
// calls to be joined. now is the time on the engine's clock. It returns which
// spans failed or are far slower than usual: their places in td, in order, not
// counting those that Faultline itself emitted. td is only read and not kept.
func (x *Extractor) Traces(td ptrace.Traces, now clock.Time, bl *engine.Baselines, b *report.Batch) (odd []int32) {
	sc := x.scratch.Get().(*scratch)
	sc.begin(x, now, bl, b)
	resources := td.ResourceSpans()
	place := int32(0)
	for i := range resources.Len() {
		rs := resources.At(i)
		sc.resource(x.Source(rs.Resource()))
		sc.spans = rs
		scopes := rs.ScopeSpans()
		for j := range scopes.Len() {
			ss := scopes.At(j)
			if Own(ss.Scope()) {
				continue
			}
			sc.ends = endOfSpans(ss.Scope().Name())
			spans := ss.Spans()
			for k := range spans.Len() {
				if sc.span(spans.At(k)) {
					odd = append(odd, place)
				}
				place++
			}
		}
		if sc.served.OK+sc.served.Failed > 0 && sc.src != nil && sc.src.Key != 0 {
			b.Served = append(b.Served, sc.served)
			sc.hostDoors(rs.Resource().Attributes())
			if !sc.calling {
				sc.passing(rs)
			}
		}
	}
	sc.hear()
	sc.end()
	x.scratch.Put(sc)
	return odd
}

func newScratch() *scratch { return &scratch{} }

func (sc *scratch) begin(x *Extractor, now clock.Time, bl *engine.Baselines, b *report.Batch) {
	sc.x, sc.now, sc.bl, sc.out = x, now, bl, b
	sc.batch++
	sc.threshold, sc.hops, sc.samples, sc.searches = x.gate.threshold(now), 0, 0, 0
}

func (sc *scratch) end() {
	sc.x.gate.told(sc.hops, sc.threshold)
	sc.bl, sc.out, sc.src, sc.served, sc.spans = nil, nil, nil, report.Served{}, ptrace.ResourceSpans{}
	sc.v = view{}
}

func (sc *scratch) resource(src *report.Source) {
	sc.src, sc.facts, sc.calling, sc.lastBlamed = src, 0, false, pcommon.SpanID{}
	sc.served = report.Served{Source: src}
}

// span takes in one span and says whether it failed or is anomalously slow.
func (sc *scratch) span(span ptrace.Span) (odd bool) {
	kind := span.Kind()
	errored := span.Status().Code() == ptrace.StatusCodeError
	client := kind == ptrace.SpanKindClient || kind == ptrace.SpanKindProducer
	outcome, failed := report.OutcomeOK, errored
	var peer *callee
	passedOn, said, says := false, meaning(0), ""
	if hasCodes(kind) || errored {
		v := &sc.v
		*v = view{}
		v.read(span.Attributes())
		var id calleeID
		if client {
			id = v.calleeID(sc.src)
		}
		errored = errored || v.failedSilently(span, kind)
		if v.odd(errored, kind) {
			var t texts
			outcome, failed, t = v.judge(span, kind, errored)
			if client {
				outcome = v.aim(&id, sc.src, outcome, &t)
			} else if failed && sc.couldNotUse(span, &t) {
				outcome = report.OutcomeWrongAnswer // by another
			} else if errored {
				sc.overhear(span, kind, &t)
			}
			said, says = t.says, t.said
			passedOn = said&ofAnother != 0 || sc.v.relayed()
			sc.ownWant(span, kind, &t)
		}
		if client {
			peer = sc.callee(&id)
			if outcome == report.OutcomeCanceled || outcome == report.OutcomeReset {
				_, tail := sc.kind(span, kind, peer)
				outcome = gaveUp(span, outcome, said, tail)
			}
		}
	}
	trace := traceHash(span.TraceID())
	last := sc.past(span.EndTimestamp())
	d, timed := duration(span)
	counted := -1
	switch kind {
	case ptrace.SpanKindClient, ptrace.SpanKindProducer:
		sc.calling = true
		if outcome == report.OutcomeOK && sc.ends != atAnswer {
			outcome = sc.ends.outcome(span.Name())
		}
		if kind == ptrace.SpanKindProducer && !failed {
			sc.sent(last)
		}
		if !peer.none && outcome != report.OutcomeUnset {
			counted = sc.call(peer, outcome, sc.past(span.StartTimestamp()), last)
			sc.out.Calls[counted].Took += underWay(d)
			// Messaging is no request and response, and databases send no spans.
			if trace <= sc.threshold && kind == ptrace.SpanKindClient && (peer.Address != "" || sc.v.rpcService != "") && sc.v.system == "" &&
				(outcome.Answered() || lost(outcome) || outcome == report.OutcomeOther) {
				sc.hop(report.Hop{Span: hopKey(trace, span.SpanID()), Source: sc.src, Callee: peer.Callee, Lost: lost(outcome), Duration: d, At: last, Began: clock.Time(span.StartTimestamp())})
			}
		}
	case ptrace.SpanKindConsumer:
		fault := uint64(0)
		if failed && !passedOn && said&(saysDecode|saysIntegrity) == 0 && (outcome == report.OutcomeServerError || outcome == report.OutcomeOther) &&
			!sc.waited(span, kind) && !sc.failedUnnamed(span) {
			fault = trace
		}
		sc.consumed(span, last, fault)
	case ptrace.SpanKindServer:
		if sc.v.neverAnswered(outcome) {
			break // and no sign that an answer was to come
		}
		if failed {
			sc.served.Failed++
			if passedOn || outcome == report.OutcomeUnavailable {
				sc.served.Passed++
			}
			wants := said.wantsAnother(sc.v.http)
			switch {
			case sc.waited(span, kind):
				sc.served.Waited++
			case outcome != report.OutcomeServerError && outcome != report.OutcomeOther || passedOn:
			case sc.failedUnnamed(span):
				wants = true
			default:
				sc.served.Faults++
				sc.doubts(span, last)
			}
			if wants {
				if sc.served.Wants++; sc.served.Says == "" {
					sc.served.Says = cmp.Or(line(says), http.StatusText(int(sc.v.http)))
				}
			}
		} else {
			sc.served.OK++
			if sc.v.http >= 100 || sc.v.grpc >= 0 {
				sc.served.Coded++
			}
			sc.answered(outcome)
		}
		sc.served.Last = max(sc.served.Last, last)
		sc.served.Took += underWay(d)
		sc.door()
		if parent := span.ParentSpanID(); trace <= sc.threshold && !parent.IsEmpty() && sc.src != nil && sc.src.Key != 0 {
			sc.hop(report.Hop{Span: hopKey(trace, parent), Server: true, Failed: failed, Source: sc.src, Duration: d, At: last, Began: clock.Time(span.StartTimestamp())})
		}
	}
	if failed {
		return true
	}
	if !timed {
		return false
	}
	key, tail := sc.kind(span, kind, peer)
	if kind == ptrace.SpanKindServer {
		sc.asked(key)
	}
	if sc.samples < samplesInFull || trace%sampleEvery == 0 {
		sc.samples++
		sc.out.Spans = append(sc.out.Spans, report.SpanSample{Key: key, Duration: d})
	}
	if !tail.Slow(d) {
		return outcome == report.OutcomeOverloaded // turned away, if no failure of the server
	}
	if counted >= 0 {
		sc.out.Calls[counted].Slow++
	} else if kind == ptrace.SpanKindServer {
		sc.served.Slow++
	}
	return true
}

// underWay is for how long a call counts as under way: a stream that was open for
// hours says at its end nothing of now.
func underWay(d time.Duration) time.Duration { return min(d, time.Minute) }

// waited says whether a call that failed took far longer than such calls usually
// do. It waited for something, if only for a connection of which no span tells: that
// is no wrong answer in time.
func (sc *scratch) waited(span ptrace.Span, kind ptrace.SpanKind) bool {
	d, ok := duration(span)
	if !ok {
		return false
	}
	_, tail := sc.kind(span, kind, nil)
	return tail.Slow(d) || tail == nil && d >= waitedLong
}

// waitedLong is long for an answer where nobody knows how long its kind takes.
const waitedLong = time.Second

// lost says whether the caller gave up waiting: what it asked for may have arrived.
func lost(o report.Outcome) bool {
	return o == report.OutcomeTimeout || o == report.OutcomeNoAnswer
}

// past is an event's time on the engine's scale; now if it tells none. A sender
// whose clock is ahead must not make its calls the latest for ever.
func (sc *scratch) past(t pcommon.Timestamp) clock.Time {
	if t == 0 || t > pcommon.Timestamp(sc.now) {
		return sc.now
	}
	return clock.Time(t)
}

// callee finds the callee in the scratch's own memory, else in the shared one.
func (sc *scratch) callee(id *calleeID) *callee {
	h := id.sum()
	slot := &sc.callees[h%memoSize]
	if c := *slot; c != nil && c.hash == h && c.id == *id {
		return c
	}
	*slot = sc.x.callee(h, id)
	return *slot
}

// kind returns the key of the kind of span, and what is known of it.
func (sc *scratch) kind(span ptrace.Span, kind ptrace.SpanKind, peer *callee) (uint64, *stat.Tail) {
	name := span.Name()
	service := serviceKey(sc.src)
	h, shape := mix(service, uint64(kind)), uint64(0)
	if peer != nil {
		shape = sc.shape(sc.v.statement)
		h ^= peer.hash ^ shape
	}
	h = mixString(h, name)
	m := &sc.kinds[h%memoSize]
	if m.service != service || m.kind != kind || m.peer != peer || m.name != name || m.shape != shape || m.batch == 0 {
		peerName := ""
		if peer != nil {
			peerName = peer.peer
		}
		key := keyOfStatement(report.SpanKey(service, cut(name, maxName), int32(kind), peerName), shape)
		if len(name) > maxName {
			return key, sc.bl.Of(key) // not worth its memory
		}
		*m = kindMemo{name: name, peer: peer, service: service, shape: shape, kind: kind, key: key}
	}
	if m.batch != sc.batch {
		m.tail, m.batch = sc.bl.Of(m.key), sc.batch
	}
	return m.key, m.tail
}

// spanKey is the key of the kind of span, as kind has it.
func spanKey(src *report.Source, span ptrace.Span, peer string, shape uint64) uint64 {
	return keyOfStatement(report.SpanKey(serviceKey(src), cut(span.Name(), maxName), int32(span.Kind()), peer), shape)
}

func serviceKey(src *report.Source) uint64 {
	if src == nil {
		return 0
	}
	return src.ServiceKey
}

// call counts a call and returns where in the batch. In a batch that calls very
// many callees some are not added up: they cost room and are not lost.
func (sc *scratch) call(c *callee, outcome report.Outcome, first, last clock.Time) int {
	h := mix(c.hash, serviceKey(sc.src)+uint64(outcome))
	if sc.src != nil {
		h = mix(h, sc.src.Key)
	}
	var free *callSlot
	for i := range uint64(callProbe) {
		s := &sc.calls[(h+i)%callSlots]
		if s.batch != sc.batch {
			free = s
			break
		}
		if s.src == sc.src && s.callee == c && s.outcome == outcome {
			sum := &sc.out.Calls[s.at]
			sum.Count++
			sum.First = min(sum.First, first)
			sum.Started = max(sum.Started, first)
			sum.Last = max(sum.Last, last)
			sum.Done = min(sum.Done, last)
			return int(s.at)
		}
	}
	if free != nil {
		*free = callSlot{src: sc.src, callee: c, outcome: outcome, batch: sc.batch, at: int32(len(sc.out.Calls))}
	}
	sc.out.Calls = append(sc.out.Calls, report.Calls{
		Caller: sc.src, Callee: c.Callee, Outcome: outcome, Count: 1, First: first, Started: first, Last: last, Done: last,
	})
	return len(sc.out.Calls) - 1
}

// ownWant tells, once for each resource and kind, what a failed span says of
// its own process: it has no descriptor, thread, port or pooled connection left;
// in an exception of its own, no disk or memory either. What a callee answered is
// its want, and no matter who repeats it.
func (sc *scratch) ownWant(span ptrace.Span, kind ptrace.SpanKind, t *texts) {
	says := t.says
	if kind == ptrace.SpanKindClient || kind == ptrace.SpanKindProducer || says&(saysTheirDisk|saysTheirMemory|saysRequest|saysGuess) != 0 {
		says &^= saysDisk | saysMemory // the callee's own words, perhaps
	}
	if says&(saysDescriptors|saysThreads|saysPool|saysPorts|saysDisk|saysMemory) == 0 || sc.src == nil || sc.src.Key == 0 || sc.quotes(span) {
		return
	}
	for _, want := range [...]struct {
		says meaning
		kind report.FactKind
	}{
		{saysDescriptors, report.FactNoDescriptor},
		{saysThreads, report.FactNoThread},
		{saysPool, report.FactPoolEmpty},
		{saysPorts, report.FactNoPort},
		{saysDisk, report.FactDiskFull},
		{saysMemory, report.FactOutOfMemory},
	} {
		if says&want.says == 0 || want.says == saysPorts && (t.says&aboutCall&^saysConnectFailed != 0 || strings.Contains(t.said, "::")) || sc.facts>>want.kind&1 != 0 {
			continue
		}
		sc.facts |= 1 << want.kind
		sc.out.Facts = append(sc.out.Facts, report.Fact{
			Source: sc.src, Kind: want.kind, At: sc.past(span.EndTimestamp()), Text: line(t.said),
		})
	}
}

func traceHash(id pcommon.TraceID) uint64 {
	return mix(mix(0, binary.LittleEndian.Uint64(id[:8])), binary.LittleEndian.Uint64(id[8:]))
}

// hopKey names a call: both its ends know the trace and the client's span.
func hopKey(trace uint64, client pcommon.SpanID) uint64 {
	return mix(trace, binary.LittleEndian.Uint64(client[:]))
}
