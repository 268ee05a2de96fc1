// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Lines of a log in which somebody says that a request failed. Where spans carry
// no status, and answers that are wrong carry a good one, they are all that tells.
// Many write such lines all day, so a kind of line counts only if it is new: so
// many requests were served without it that it cannot be chance that it comes now.

// erring is one kind of line of one entity, and its current run: the time from
// the first to the last of it between which it never stayed away for long.
type erring struct {
	kind    uint64
	text    string
	traces  [4]uint64 // requests that wrote it last: each counts once
	next    int
	count   float64    // requests of the run that wrote it
	from    uint64     // answers, servedStats.total, when the run began
	upTo    uint64     // and when the line came last
	without float64    // answers before the run that did not write it
	usual   float64    // requests that wrote it in earlier runs that were no failure
	first   clock.Time // engine time, of the run
	last    clock.Time
	began   clock.Time // event time of the first
	blamed  bool
}

// errorLines are the kinds of lines of one entity. Of more than maxErring the one
// that came longest ago is forgotten.
type errorLines struct{ kinds []erring }

const (
	maxErring = 16 // kinds of lines of one entity
	// newFrom is from which −log10 of a probability on a line is new, and newFull
	// which says all.
	newFrom = 2.0
	newFull = 4.0
	// erringMany requests must have written it, over errorsFor; in a share of
	// erringFull of all it counts in full.
	erringMany = 5.0
	erringFull = 0.5
	// erringMost is the share from which on a run is no habit of it, whoever
	// failed to notice.
	erringMost = 0.5
	// stayedAway is the probability below which it is no chance that a line did
	// not come again. Requests of one kind come in runs.
	stayedAway = 1e-6
	// erringFresh is how long a line stands that has not come again.
	erringFresh = 30 * time.Second
)

// firstErred remembers who was first, by its own clock, to say of a request that it
// failed: those after it may repeat in words of their own what they were answered.
type firstErred struct {
	trace uint64
	at    clock.Time
	who   *entity // nil: somebody who quotes another
	kind  uint64
}

// maxErred is how many such lines are kept to be joined with others of their request.
const maxErred = 1024

// errorLine takes in a line that says that a request failed.
func (e *Engine) errorLine(l *report.ErrorLine) {
	n := e.instance(l.Source)
	if n == nil || e.now.Sub(l.At) > staleCalls {
		return
	}
	if l.Quoted {
		n.blamesOthers(e, float64(max(l.Count, 1)))
	}
	if l.Trace == 0 {
		return
	}
	if l.Quoted {
		e.erredFirst(firstErred{trace: l.Trace, at: l.At})
		return
	}
	if n.served.total == 0 || n.served.coded > n.served.total/2 {
		return // of how many is not known; or its answers tell by a code whether they failed
	}
	k := n.erringOf(l.Kind)
	if k.has(l.Trace) {
		return
	}
	if k.count > 0 && k.over(n) {
		k.end()
	}
	if k.count == 0 {
		k.first, k.began, k.from = e.now, l.At, n.served.total
		k.without = float64(n.served.total - k.upTo)
		k.text = l.Text
	}
	k.last, k.upTo = e.now, n.served.total
	// What it always writes says nothing of who was first.
	if k.without >= erringMany && !e.erredFirst(firstErred{l.Trace, l.At, n, l.Kind}) {
		return
	}
	k.traces[k.next%len(k.traces)] = l.Trace
	k.next++
	k.count++
	if k.surprise(n) >= newFrom {
		e.suspect(n)
	}
}

// erredFirst says whether f is the first that is known to say of its request that
// it failed. Who was taken for it before no longer is.
func (e *Engine) erredFirst(f firstErred) bool {
	if e.erred == nil {
		e.erred = make([]firstErred, maxErred)
	}
	slot := &e.erred[f.trace%maxErred]
	switch {
	case slot.trace != f.trace:
	case slot.who == f.who:
		return true
	case f.at >= slot.at:
		return false
	case slot.who != nil && slot.who.errors != nil:
		for i := range slot.who.errors.kinds {
			if k := &slot.who.errors.kinds[i]; k.kind == slot.kind {
				k.count = max(k.count-1, 0)
			}
		}
	}
	*slot = f
	return true
}

// erringOf returns what is known of a kind of line.
func (n *entity) erringOf(kind uint64) *erring {
	if n.errors == nil {
		n.errors = &errorLines{}
	}
	s, oldest := n.errors, 0
	for i := range s.kinds {
		k := &s.kinds[i]
		if k.kind == kind {
			return k
		}
		if k.last < s.kinds[oldest].last {
			oldest = i
		}
	}
	if len(s.kinds) < maxErring {
		s.kinds = append(s.kinds, erring{kind: kind})
		return &s.kinds[len(s.kinds)-1]
	}
	s.kinds[oldest] = erring{kind: kind}
	return &s.kinds[oldest]
}

func (k *erring) has(trace uint64) bool {
	for _, t := range k.traces {
		if t == trace {
			return true
		}
	}
	return false
}

// share is the share of the answers of the run, 0-1, that wrote the line.
func (k *erring) share(n *entity) float64 { return k.count / k.answers(n) }

// answers is how many answers the run has had.
func (k *erring) answers(n *entity) float64 {
	return max(float64(n.served.total-k.from), k.count, 1)
}

// over says whether the line has stayed away for so many answers that it is no
// chance.
func (k *erring) over(n *entity) bool {
	in := max(float64(k.upTo-k.from), k.count)
	share := min((k.count+1)/(in+2), 0.95)
	return float64(n.served.total-k.upTo)*-math.Log(1-share) >= -math.Log(stayedAway)
}

// end closes the run. One in which some requests wrote the line, and others went
// well, teaches that it is usual.
func (k *erring) end() {
	if in := max(float64(k.upTo-k.from), k.count, 1); !k.blamed && k.count/in < erringMost {
		k.usual += k.count
	}
	k.count, k.blamed, k.traces = 0, false, [len(k.traces)]uint64{}
}

// surprise is −log10 of the probability that all requests that wrote the line come
// this late, if it had been as likely before.
func (k *erring) surprise(n *entity) float64 {
	in := k.answers(n)
	before := min(k.without, float64(k.from)/(k.usual+1))
	return k.count * math.Log10((in+before)/in)
}
