// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// signKind is a kind of regular sign of life.
type signKind uint8

const (
	signBeat signKind = iota
	signTelemetry
)

// stream is one kind of sign of one entity, seen by one observer. Times are on
// the observer's awake clock.
type stream struct {
	entity   *entity
	observer *observer
	kind     signKind
	gaps     stat.Accrual
	index    int // in Engine.watched

	last     time.Duration    // latest sign, or the end of a freeze
	real     time.Duration    // latest sign
	lastSeq  uint64           // observer's count at the latest record
	lastAt   time.Duration    // its awake clock then
	starts   int              // observer.starts then
	declared bool             // the interval was told, not estimated
	due      time.Duration    // silence from which on it is overdue, see deadline
	asked    time.Duration    // silence at which that was computed anew; 0 while it is heard
	longest  [2]time.Duration // longest gaps so far, while the interval is not known
	seen     uint32           // signs so far
	kept     uint32           // of them, those that came about when they were due

	away away          // backlog.go
	late time.Duration // of the beat that is taken in: how much later than usual it came

	broken  clock.Time // engine time at which the latest break in its rhythm ended
	token   uint64     // incarnation at the latest sign
	seq     uint64     // sender's own count at the latest sign
	sent    clock.Time // when that was sent by its sender's clock, 0 if not told
	replays replays    // replay.go
	came    uint64     // replay.go: which of the latest 64 counts did, the newest lowest
	voice   voice      // ownword.go
	clock   clockState
	dueAt   clock.Time // of a scheduled check
	grace   time.Duration
	failed  bool // its latest word of how it went is that it failed
	overdue bool
	since   clock.Time // engine time at which it became overdue
	gone    bool       // overdue, and by its own fault: see checkObservers
}

// brokenFrom is the gap, in intervals, that is more than a beat that was lost.
const brokenFrom = 2.5

const (
	estimateAfter  = 4    // gaps until an interval is estimated
	sameExport     = 0.25 // of the interval: signs closer than this are one
	shortestExport = 500 * time.Millisecond
	deadlineEvery  = 64 // signs between computing the deadline anew
	telemetrySlack = 2  // telemetry is late more easily than heartbeats
)

// stream returns n's stream of a kind at an observer, new if need be: in the place of the one
// that was not heard for longest, where there are maxStreamsEach. It is nil where all of
// these go on: so many tell enough, and each would lose what it has learned to the next.
func (e *Engine) stream(n *entity, o *observer, kind signKind) *stream {
	for _, s := range n.streams {
		if s.observer == o && s.kind == kind {
			return s
		}
	}
	if len(n.streams) >= maxStreamsEach {
		oldest := 0
		for i, s := range n.streams {
			if s.heardAt() < n.streams[oldest].heardAt() {
				oldest = i
			}
		}
		e.stats.ForgottenStreams++
		if e.now.Sub(n.streams[oldest].heardAt()) < stillWatched {
			return nil
		}
		e.unwatch(n.streams[oldest])
		n.streams = slices.Delete(n.streams, oldest, oldest+1)
	}
	s := &stream{entity: n, observer: o, kind: kind, index: len(e.watched)}
	e.watched = append(e.watched, s)
	n.streams = append(n.streams, s)
	return s
}

const (
	// maxStreamsEach is how many streams of one entity are followed: one for each observer and kind of sign.
	maxStreamsEach = 16
	// stillWatched is how long after its last sign a stream gives way to no other.
	stillWatched = time.Minute
)

func (e *Engine) unwatch(s *stream) {
	end := len(e.watched) - 1
	e.watched[s.index] = e.watched[end]
	e.watched[s.index].index = s.index
	e.watched[end] = nil
	e.watched = e.watched[:end]
}

func (e *Engine) beat(b *report.Beat) {
	n := e.instance(b.Source)
	o := e.observer(b.Observer)
	if n == nil || o == nil {
		return
	}
	at := e.place(o, &b.Stamp)
	if e.impostor(n, b) {
		return
	}
	s := e.stream(n, o, signBeat)
	if s == nil {
		return
	}
	if b.Stamp.Seq != 0 && b.Stamp.Seq <= s.lastSeq && at <= s.lastAt && s.starts == o.starts {
		return // duplicated or overtaken in transport
	}
	s.lastSeq, s.lastAt, s.starts = b.Stamp.Seq, at, o.starts
	if e.repeated(s, b) {
		if s.saysMore(b) && e.ownWord(n, s, b, b.Incarnation) {
			s.sent = b.SentAt
			e.status(n, s, b)
		}
		return
	}
	if s.declares(b) {
		s.gaps.Rescale(b.Interval)
		s.declared = true
		s.deadline(e)
	}
	s.dueAt, s.grace = b.Due, b.Grace
	token := b.Incarnation
	if token == 0 {
		token = n.src.Incarnation
	}
	own := !b.Ends() || e.ownWord(n, s, b, token)
	s.late = s.clock.late(b, max(at-s.last, s.away.gap)+s.gaps.Interval)
	e.caughtUp(s, b, token)
	e.sign(s, at, token, b.Seq)
	s.voice.hear(b, e.now)
	s.sent = b.SentAt
	if b.BootID != "" {
		n.bootID = b.BootID
	}
	e.clock(s, b)
	e.vouch(n, o, b)
	if own {
		e.status(n, s, b)
	}
}

func (e *Engine) telemetry(g *report.Sign) {
	n := e.instance(g.Source)
	if n == nil {
		return
	}
	s := e.stream(n, e.self, signTelemetry)
	if s == nil {
		return
	}
	n.signedAt = max(n.signedAt, min(g.Dated, e.now))
	at := e.self.awake()
	token := g.Source.Incarnation
	if n.beatsTell() {
		token = 0 // its heartbeats tell one start from the next, in their own terms
	}
	if s.seen > 0 && at-s.last < max(shortestExport, time.Duration(sameExport*float64(s.gaps.Interval))) {
		return
	}
	e.sign(s, at, token, 0)
}

// beatsTell says whether n's heartbeats carry incarnations.
func (n *entity) beatsTell() bool {
	for _, s := range n.streams {
		if s.kind == signBeat && s.token != 0 {
			return true
		}
	}
	return false
}

// place puts a stamp on its observer's clock. What carries none was seen by the
// engine's own process, now.
func (e *Engine) place(o *observer, st *report.Stamp) time.Duration {
	if o == e.self {
		return o.awake()
	}
	return o.at(st, e.now)
}

// sign takes in one sign of life.
func (e *Engine) sign(s *stream, at time.Duration, token, seq uint64) {
	n := s.entity
	n.alive, n.heard = true, e.now
	if n.host != nil {
		n.host.heard(n, e.now)
	}
	gap := at - s.last
	if s.seen == 0 {
		s.first(e, at, token, seq)
		e.begin(n, token)
		return
	}
	if gap < 0 {
		return // overtaken
	}
	if s.gaps.Interval == 0 && !s.declared {
		s.estimate(gap)
	}
	if s.gaps.Interval > 0 && gap > time.Duration(brokenFrom*float64(s.gaps.Interval)) {
		s.broken = e.now
		if s.kind == signBeat && (token == 0 || token == s.token) {
			n.resumed = e.now
			if n.host != nil {
				n.host.resumed = e.now
			}
		}
	}
	restarted := token != 0 && s.token != 0 && token != s.token && n.startedAs(token, e.now)
	if restarted || e.absent(s, gap) {
		e.returned(s, gap, token, seq)
	}
	if !restarted && !n.failedFor(gap) { // neither says how regular a process is while it is well
		s.keepsWord(gap)
		s.gaps.Add(gap)
		if s.kind == signBeat && s.gaps.Interval > 0 && float64(s.kept) >= keptMostly*float64(s.seen) {
			e.habit(s, gap)
		}
	}
	s.last, s.real, s.token = at, at, token
	if seq != 0 || restarted {
		s.seq = seq
	}
	s.seen++
	if s.seen%deadlineEvery == 0 || s.seen < deadlineEvery && s.seen%8 == 0 {
		s.deadline(e)
	}
	s.overdue, s.gone, s.asked = false, false, 0
	if n.left && (n.announced == 0 || e.now.Sub(n.announced) >= leavingTime) {
		e.comeBack(n)
	}
	e.begin(n, token)
	if restarted && float64(gap) > keptWithin*float64(s.gaps.Interval) {
		n.incarnations[len(n.incarnations)-1].alone = true
	}
	if n.episode != nil {
		e.mark(n)
	}
}

// leavingTime is how long one who announced its stop may still be heard.
const leavingTime = 30 * time.Second

func (s *stream) first(e *Engine, at time.Duration, token, seq uint64) {
	s.last, s.real, s.token, s.seq, s.seen = at, at, token, seq, 1
	s.deadline(e)
}

// estimate learns the interval of a sender that declares none from its first
// gaps: the longest but one, so that a burst at the start does not pass for the
// rhythm. Nor does what waited somewhere and comes at once, unless it goes on like that.
func (s *stream) estimate(gap time.Duration) {
	if gap < shortestExport && s.seen < deadlineEvery {
		return
	}
	if gap > s.longest[0] {
		s.longest[0], gap = gap, s.longest[0]
	}
	s.longest[1] = max(s.longest[1], gap)
	if s.seen >= estimateAfter && s.longest[1] > 0 {
		s.gaps.Rescale(s.longest[1])
	}
}

// keepsWord follows whether the sender comes when it is due. Whose first gap is
// far from what it declares beats at another rhythm than it says.
func (s *stream) keepsWord(gap time.Duration) {
	switch interval := s.gaps.Interval; {
	case interval == 0:
	case float64(gap) <= keptWithin*float64(interval):
		s.kept++
	case s.kept == 0 && s.declared && (gap > brokenWord*interval || s.seen >= brokenSigns):
		s.gaps.Rescale(gap)
		s.declared, s.voice.broke = false, true
	}
}

const (
	keptWithin = 2.5 // intervals
	keptMostly = 0.9 // of the signs: less says nothing of how regular the fleet is
	brokenWord = 5   // intervals: so late the first time, or …
	// … brokenSigns signs of which none came in time.
	brokenSigns = 4
)

// absent says whether a gap is too long to be chance: the sender, or the path,
// was gone.
func (e *Engine) absent(s *stream, gap time.Duration) bool {
	if s.gaps.Interval == 0 {
		return false
	}
	least := time.Duration(e.params.MinSilence * float64(s.gaps.Interval))
	return s.overdue || gap > max(s.due, least) || gap > least && s.entity.cutOff != nil // it was not reached either
}

// deadline computes the silence from which on the stream is overdue: rarer than
// its share of the mistakes that the whole engine may make, and never under
// MinSilence intervals.
func (s *stream) deadline(e *Engine) {
	interval := s.gaps.Interval
	if interval == 0 {
		return
	}
	share := float64(interval) / float64(e.params.MistakeRecurrence) / float64(max(len(e.watched), 1)) / mistakeMargin
	if s.gaps.Learned() < uint32(e.params.ColdGaps) {
		s.due = time.Duration(e.params.ColdSilence * float64(interval))
		if !s.declared { // how regular it is shows in what it has done
			s.due = max(s.due, s.gaps.Deadline(share))
		}
	} else {
		s.due = max(s.gaps.Deadline(share), time.Duration(e.params.MinSilence*float64(interval)))
		if s.kind == signBeat && e.fleet.Learned() >= fleetEnough {
			// What the fleet has shown, one sender may do, though it has not
			// yet: a pause that each has once a month is daily in a fleet.
			s.due = max(s.due, time.Duration(float64(e.fleet.Deadline(share))/float64(e.fleet.Interval)*float64(interval)))
		}
	}
	if s.kind == signTelemetry {
		s.due *= telemetrySlack
	}
}

// fleetEnough is the number of gaps from which on the fleet's tail is believed.
const fleetEnough = 1000

// mistakeMargin: the fitted tail asks for fewer mistakes than are wanted,
// because it gets up to five times as many on links that pause (measured on
// simulated LAN, WAN and cloud traces).
const mistakeMargin = 4

// silence is how long the stream has been silent on its observer's clock.
func (s *stream) silence() time.Duration { return s.observer.awake() - s.last }

// strength is how much the silence says, 0-1: nothing at a probability of 1 %,
// all at one in a million.
func (s *stream) strength(e *Engine) float64 {
	interval := s.gaps.Interval
	if interval == 0 || s.kept == 0 && s.dueAt == 0 {
		return 0 // nobody knows its rhythm
	}
	silence := s.silence()
	if s.dueAt != 0 {
		// A scheduled check is silent by design until it is due.
		if !s.pastDue() {
			return 0
		}
		return 1
	}
	if s.kind == signTelemetry {
		silence /= telemetrySlack
	}
	x := float64(silence) / float64(interval)
	if x < 2 {
		return 0
	}
	if s.gaps.Learned() < uint32(e.params.ColdGaps) {
		return stat.Clamp((x-2)/(e.params.ColdSilence-2), 0, 1)
	}
	return stat.Clamp((s.gaps.Suspicion(silence)-2)/4, 0, 1)
}

// checkSilence looks at every stream; those that became overdue are suspects. It
// counts for each observer whom it hears and who fell silent of late.
func (e *Engine) checkSilence() {
	e.weighLongGaps()
	for _, o := range e.observerList {
		o.fell, o.hears, o.heardSince = 0, 0, 0
	}
	for _, s := range e.watched {
		if !s.overdue && s.due != 0 && s.gaps.Interval != 0 {
			e.look(s, s.silence())
		}
		switch o := s.observer; {
		case s.seen < knownFrom || s.entity.left || s.gone:
		case s.overdue && o.overdueAt == 0 && e.now.Sub(s.since) > commonModeFor:
			s.gone = true
		case s.overdue:
			o.fell++
		default:
			o.hears++
			if o.overdueAt != 0 && s.real > o.overdueAwake {
				o.heardSince++
			}
		}
	}
}

// neverHeard is when a sender was heard that is only known from before a restart.
const neverHeard = time.Duration(math.MinInt64 / 4)

// knownFrom signs make a sender one of those that an observer is known to hear.
const knownFrom = 5

// begin follows the incarnations of n.
func (e *Engine) begin(n *entity, token uint64) {
	fresh, back := n.begin(token, e.now)
	if fresh && n.crowded(e.now) {
		n.twinsAt, back = e.now, true
	}
	if back {
		e.conflict(n, "two processes use the identity "+n.name()+" of "+n.src.Service.Name+" in turn: give each its own service.instance.id")
	}
	if fresh {
		n.startsNow(e.now)
		n.vouching.agreed, n.vouching.dissents, n.vouching.staleFor = 0, 0, 0 // it begins anew
	}
	if fresh && (n.announced != 0 || n.left) && n.verdict == nil && (n.episode == nil || n.episode.planned) {
		e.comeBack(n)
	}
}

// conflict tells, now and then, that several use one identity.
func (e *Engine) conflict(n *entity, text string) {
	if n.conflictAt != 0 && e.now.Sub(n.conflictAt) <= conflictEvery {
		return
	}
	n.conflictAt = e.now
	e.emit(verdict.Event{Kind: contract.EventIdentityConflict, Source: n.src, Entity: n.name(), Body: text})
}

// conflictEvery is the least time between two events of one conflict that goes on.
const conflictEvery = 10 * time.Minute
