// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// maxProblems bounds how many bad lines are listed.
const maxProblems = 50

// tally gathers runs. Each is judged by itself, because the clocks, names and
// baselines of two shards have nothing to do with each other.
type tally struct {
	r      Result
	delays map[string]*delays
	leave  struct{ end, recovery []time.Duration }
	first  []claim
	final  []claim
}

type delays struct {
	faults                                          int
	start, evidence, rightFromStart, rightFromFirst []time.Duration
}

func newTally() *tally {
	t := &tally{delays: map[string]*delays{}}
	t.r.BothSides, t.r.OneSided = newMoments(), newMoments()
	t.r.Events = map[string]int{}
	t.r.Spans.ByName, t.r.Spans.WrongTags = map[string]*SpanRecall{}, map[string]int{}
	t.r.False = map[string]False{
		"confounders": {ByName: map[string]int{}},
		"clean":       {ByName: map[string]int{}},
	}
	return t
}

func newMoments() Moments {
	one := func() Moment {
		return Moment{Classes: map[string]*Count{}, Confusion: map[string]map[string]int{}, SubclassTable: map[string]map[string]int{}}
	}
	return Moments{First: one(), After30: one(), After60: one()}
}

func (t *tally) add(injections []ledger.Injection, verdicts []Verdict, spans []Span, calls []ledger.Call, arrivals []ledger.Arrival) {
	ins := make([]*ledger.Injection, len(injections))
	for i := range injections {
		ins[i] = &injections[i]
	}
	slices.SortFunc(ins, func(a, b *ledger.Injection) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID))
	})
	arrived := map[string]time.Time{}
	for _, a := range arrivals {
		if at, ok := arrived[a.ID]; !ok || a.At.Before(at) {
			arrived[a.ID] = a.At
		}
	}
	all := episodes(ins, verdicts, t.r.Events)
	windows := windowsOf(ins)
	recovered := recoveries(windows, calls)
	for _, in := range ins {
		switch {
		case in.Failed != "":
			t.r.NotMade++
		case in.Kind == ledger.Confounder:
			t.r.Confounders++
		case in.Kind == ledger.Fault && in.Hidden:
			t.hidden(heard(in, all))
		case in.Kind == ledger.Fault:
			t.fault(in, heard(in, all), arrived[in.ID], recovered[in])
		}
	}
	t.falseClasses(windows, all)
	t.claims(all)
	t.spans(windows, all, spans, calls)
}

// saying is what one episode said about one fault.
type saying struct {
	episode *episode
	steps   []*step
}

func heard(in *ledger.Injection, all []*episode) []saying {
	var out []saying
	for _, e := range all {
		s := saying{episode: e}
		for _, st := range e.steps {
			if st.of == in {
				s.steps = append(s.steps, st)
			}
		}
		if len(s.steps) > 0 {
			out = append(out, s)
		}
	}
	return out
}

// firstClass is the earliest step that names a class, or any if none does. Of
// those at one instant the one nearest to the truth counts: they were said as
// one.
func firstClass(in *ledger.Injection, says []saying) *step {
	var best *step
	for _, s := range says {
		for _, st := range s.steps {
			if best == nil || named(st.Class) && !named(best.Class) {
				best = st
				continue
			}
			if named(st.Class) != named(best.Class) {
				continue
			}
			if c := st.At.Compare(best.At); c < 0 || c == 0 && closer(in, st, best) {
				best = st
			}
		}
	}
	return best
}

// at is the verdict on a fault as it stood at a time: among those on a right
// culprit, named before unknown, the most specific and then the latest; only
// without one of these, what was said of others.
func at(in *ledger.Injection, says []saying, t time.Time) *step {
	var best *step
	for _, s := range says {
		var now *step
		for _, st := range s.steps {
			if !st.At.After(t) {
				now = st
			}
		}
		if now != nil && (best == nil || closer(in, now, best)) {
			best = now
		}
	}
	return best
}

// closer says whether a speaks more to the point than b. It does not look at
// whether their classes are right, which would be marking one's own paper.
func closer(in *ledger.Injection, a, b *step) bool {
	if named(a.Class) != named(b.Class) {
		return named(a.Class)
	}
	la, lb := level(in, a.Culprit), level(in, b.Culprit)
	if la != lb {
		return lb < 0 || la >= 0 && la < lb
	}
	return a.At.After(b.At)
}

// fault scores a fault that can be seen.
func (t *tally) fault(in *ledger.Injection, says []saying, arrived, recovered time.Time) {
	t.r.Faults++
	m := &t.r.BothSides
	if in.OneSided {
		m = &t.r.OneSided
	}
	first := firstClass(in, says)
	m.First.count(in, first, first != nil && !first.At.After(in.End))
	m.After30.count(in, at(in, says, in.End.Add(settle/2)), false)
	last := at(in, says, in.End.Add(settle))
	if !m.After60.count(in, last, false) {
		t.miss(in, last)
	}
	var right *step
	for _, s := range says {
		for _, st := range s.steps {
			if st.Class == in.Class && level(in, st.Culprit) >= 0 && (right == nil || st.At.Before(right.At)) {
				right = st
			}
		}
	}
	for _, key := range slices.Compact([]string{in.Class, join(in.Class, in.Subclass)}) {
		d := t.delays[key]
		if d == nil {
			d = &delays{}
			t.delays[key] = d
		}
		d.add(in, first, right, arrived)
	}
	t.stay(in, says, recovered)
}

func (d *delays) add(in *ledger.Injection, first, right *step, arrived time.Time) {
	d.faults++
	note := func(st *step, start, evidence *[]time.Duration) {
		if st == nil || !named(st.Class) {
			return
		}
		*start = append(*start, st.At.Sub(in.Start))
		if !arrived.IsZero() {
			*evidence = append(*evidence, st.At.Sub(arrived))
		}
	}
	note(first, &d.start, &d.evidence)
	note(right, &d.rightFromStart, &d.rightFromFirst)
}

// stay notes when the last verdict on a fault left.
func (t *tally) stay(in *ledger.Injection, says []saying, recovered time.Time) {
	var cleared time.Time
	named := false
	for _, s := range says {
		if s.episode.firstNamed() == nil || s.episode.steps[len(s.episode.steps)-1].of != in {
			continue // it became another fault's
		}
		named = true
		if s.episode.cleared.IsZero() {
			t.r.Leave.Never++
			return
		}
		if s.episode.cleared.After(cleared) {
			cleared = s.episode.cleared
		}
	}
	switch {
	case !named:
	case cleared.Before(in.End):
		t.r.Leave.Early++
	default:
		t.leave.end = append(t.leave.end, cleared.Sub(in.End))
		t.leave.recovery = append(t.leave.recovery, cleared.Sub(recovered))
	}
}

func (t *tally) hidden(says []saying) {
	h := &t.r.Hidden
	h.Faults++
	if len(says) == 0 {
		h.Silent++
		return
	}
	in := says[0].steps[0].of
	switch st := firstClass(in, says); {
	case !named(st.Class):
		h.Unknown++
	case st.Class == in.Class && level(in, st.Culprit) >= 0:
		h.Right++
	default:
		h.Wrong++
		t.miss(in, st)
	}
}

// count adds a fault's verdict, reached during the fault or not, and says
// whether it was right.
func (m *Moment) count(in *ledger.Injection, st *step, during bool) bool {
	class := m.Classes[in.Class]
	if class == nil {
		class = &Count{}
		m.Classes[in.Class] = class
	}
	right := class.add(in, st, during)
	m.add(in, st, during)
	got, sub := silent, silent
	if st != nil {
		got, sub = st.Class, join(st.Class, st.Subclass)
	}
	cell(m.Confusion, in.Class, got)
	cell(m.SubclassTable, join(in.Class, in.Subclass), sub)
	return right
}

func (c *Count) add(in *ledger.Injection, st *step, during bool) bool {
	c.Faults++
	if st == nil {
		c.Silent++
		return false
	}
	allowed := in.OneSided && during && (st.Class == unknown || st.Confidence <= unsure)
	if !named(st.Class) {
		c.Unknown++
	} else {
		c.Answered++
		if l := level(in, st.Culprit); l >= 0 {
			c.CulpritRight++
			if l == 0 {
				c.CulpritBest++
			}
		}
		if st.Class == in.Class {
			c.RightNamed++
			if st.Subclass == in.Subclass {
				c.RightSub++
			}
		}
	}
	right := allowed || st.Class == in.Class
	if right {
		c.Right++
	}
	return right
}

func (t *tally) miss(in *ledger.Injection, st *step) {
	got := silent
	if st != nil {
		got = fmt.Sprintf("%s of %s (%.2f)", join(st.Class, st.Subclass), said(st.Culprit), st.Confidence)
	}
	want := silent
	if in.Kind == ledger.Fault && !in.Hidden {
		want = join(in.Class, in.Subclass)
		if len(in.Culprits) > 0 {
			want += " of " + said(in.Culprits[0])
		}
	}
	t.r.Missed = append(t.r.Missed, Miss{Injection: in.ID, Name: in.Name, Want: want, Got: got})
}

func said(c ledger.Culprit) string {
	for _, name := range []string{c.Name, c.Instance, c.Service} {
		if name != "" {
			return strings.TrimSpace(c.Type + " " + name)
		}
	}
	return cmp.Or(c.Type, "nobody")
}

func join(class, subclass string) string {
	if subclass == "" {
		return class
	}
	return class + "/" + subclass
}

func cell(table map[string]map[string]int, row, column string) {
	if table[row] == nil {
		table[row] = map[string]int{}
	}
	table[row][column]++
}
