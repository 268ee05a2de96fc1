// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package stat

import (
	"math"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// Knee follows whether somebody is beyond what it can do. Up to that, who is asked
// more answers more. Beyond it, the knee, more calls are under way and no more are
// answered: its queue grows. That shows in how many calls end and how long they take,
// without a word from its machine.
//
// Who merely got slower goes on answering all that it is asked: once as many more are
// under way, there are no more of them. Who hangs answers nothing.
type Knee struct {
	ends   [kneeSpans + 1]float64 // calls answered a second in the latest spans, oldest first
	held   [kneeSpans + 1]float64 // calls under way at a time
	behind int                    // in how many of the latest spans it answered less than it was asked
	Since  clock.Time             // since when it is beyond; 0 while it is not
}

const (
	// kneeSpans is in how many spans of a rate on end calls must take longer and longer.
	// Who merely got slower is done with that after two, the first of which it fills in
	// part. Where a queue grows they go on: in the later half by at least kneeGoes of
	// what it was in the first, and kneeSure standard deviations, as times of calls
	// vary as much as they take.
	kneeSpans = 4
	kneeGoes  = 0.5
	// kneeSteady is the least part of that in the last span but one: else it is one span.
	kneeSteady = 0.25
	kneeSure   = 2.5
	// kneeRises is by how much in each at least. kneeFrom is how many times the usual it must
	// come to; below kneeOver times what as many calls usually hold it is over.
	kneeRises = 1.05
	kneeFrom  = 2.5
	kneeOver  = 1.5
	// kneeYields is how much of a rise of what is under way, in relation to what
	// there was, may be answered.
	kneeYields = 0.1
	// kneeMost is how much more may be answered at all.
	kneeMost = 0.5
	// kneeGoesOn is how much of the usual it must answer all the while: else it
	// stands still.
	kneeGoesOn = 0.5
	// kneeBehind is how many times as much must be asked, in relation to the usual, as
	// is answered, beyond chance, of one who answers kneeFull of the usual, where calls
	// give up before their number can grow.
	kneeBehind    = 1.2
	kneeBehindFor = 3 // spans
	kneeFull      = 0.8
)

// Learn takes in a full span of a rate. asked is how many times as often as usual
// callers want something by their own count, 0 if that is not known.
func (k *Knee) Learn(r *Rate, asked float64, now clock.Time) {
	copy(k.ends[:], k.ends[1:])
	copy(k.held[:], k.held[1:])
	k.ends[kneeSpans], k.held[kneeSpans] = r.Now, r.Held
	if r.Known < RateKnown || r.Usual == 0 || r.UsualHeld == 0 {
		return
	}
	chance := kneeSure * math.Sqrt(2/max(r.Now*r.Span.Seconds(), 1))
	if r.Now >= kneeFull*r.Usual && r.Held >= kneeFrom*r.UsualHeld && asked >= (kneeBehind+chance)*r.Now/r.Usual {
		k.behind++
	} else {
		k.behind = 0
	}
	held := r.UsualHeld * max(r.Now/r.Usual, 1) // if a call takes as long as usual: who answers more holds more
	switch beyond := r.Now >= kneeGoesOn*r.Usual && r.Held >= kneeOver*held; {
	case !beyond:
		k.Since = 0
	case k.Since == 0 && (k.grows(r) || k.behind >= kneeBehindFor):
		k.Since = now.Add(-kneeSpans * r.Span)
	}
}

// grows says whether more and more calls are under way, each for longer than those
// before, and hardly more are answered.
func (k *Knee) grows(r *Rate) bool {
	first, last := k.held[0], k.held[kneeSpans]
	if first == 0 || last < 1 || last < kneeFrom*r.UsualHeld {
		return false
	}
	var each [kneeSpans + 1]float64 // s, that a call takes
	for i := range each {
		if k.ends[i] < kneeGoesOn*r.Usual || k.ends[i] == 0 {
			return false
		}
		if each[i] = k.held[i] / k.ends[i]; i > 0 && each[i] < kneeRises*each[i-1] {
			return false
		}
	}
	early, late := each[kneeSpans/2]-each[0], each[kneeSpans]-each[kneeSpans/2]
	chance := each[kneeSpans] * math.Sqrt(2/max(k.ends[kneeSpans]*r.Span.Seconds(), 1))
	if late < max(kneeGoes*early, kneeSure*chance) || each[kneeSpans-1]-each[kneeSpans/2] < kneeSteady*late {
		return false
	}
	return k.ends[kneeSpans]/max(k.ends[0], r.Usual)-1 < min(kneeYields*(last/first-1), kneeMost)
}
