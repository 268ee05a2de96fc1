// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// row is the score of one scenario, or of a class as a whole.
type row struct {
	name    string
	class   verdict.Class
	n       int
	right   int // class 60 s after the end, of whomever
	first   int // class of the first verdict
	culprit int // right class, and one of the right culprits
	exact   int
	during  int // while it lasted: right, or open where it cannot be told
	unknown int
	nothing int
	wrong   map[string]int
	others  int // accused besides
	delays  []time.Duration
	seen    []time.Duration
	worst   *episode
}

// summary is the score of a run.
type summary struct {
	classes     []*row
	scenarios   []*row
	confounders []*row
	skipped     int
	cleanTime   time.Duration
	cleanFalse  []string
	cleanOpen   int
	claims      claims
}

func summarize(done []episode) *summary {
	s := &summary{claims: claims{bySaid: map[verdict.Class]*bin{}}}
	rows := map[string]*row{}
	get := func(list *[]*row, name string, class verdict.Class) *row {
		if r := rows[name]; r != nil {
			return r
		}
		r := &row{name: name, class: class, wrong: map[string]int{}}
		rows[name] = r
		*list = append(*list, r)
		return r
	}
	for i := range done {
		ep := &done[i]
		if ep.Skipped {
			s.skipped++
			continue
		}
		s.clean(ep)
		s.claims.add(ep)
		if ep.Class == verdict.ClassNone {
			get(&s.confounders, ep.Scenario, "").confound(ep)
			get(&s.classes, "confounders", "").confound(ep)
			continue
		}
		name, whole := ep.Scenario, string(ep.Class)
		switch {
		case ep.Hidden:
			name, whole = name+" (hidden)", "hidden"
		case ep.OneSided:
			name, whole = name+" (one side)", whole+" (one side)"
		}
		get(&s.scenarios, name, ep.Class).add(ep)
		get(&s.classes, whole, ep.Class).add(ep)
	}
	order := func(rows []*row) {
		sort.Slice(rows, func(i, j int) bool {
			if rows[i].class != rows[j].class {
				return rows[i].class < rows[j].class
			}
			return rows[i].name < rows[j].name
		})
	}
	order(s.classes)
	order(s.scenarios)
	order(s.confounders)
	return s
}

func (s *summary) clean(ep *episode) {
	s.cleanTime += ep.CleanTime
	s.cleanOpen += ep.CleanOpen
	for _, f := range ep.CleanFalse {
		s.cleanFalse = append(s.cleanFalse, fmt.Sprintf("episode %d: %s", ep.Number, f))
	}
}

// good says whether the answer after the end is right.
func (ep *episode) good() bool {
	c := ep.Final.Class
	if ep.Hidden {
		return c == ep.Class || c == verdict.ClassNone || c == verdict.ClassUnknown || c == ep.Passes
	}
	return c == ep.Class && ep.Final.Culprit
}

func (r *row) add(ep *episode) {
	r.n++
	switch c := ep.Final.Class; c {
	case ep.Class:
		r.right++
		if ep.Final.Culprit {
			r.culprit++
		}
		if ep.Exact {
			r.exact++
		}
	case verdict.ClassUnknown:
		r.unknown++
	case verdict.ClassNone:
		r.nothing++
	default:
		r.wrong[string(c)]++
	}
	if ep.First.Class == ep.Class {
		r.first++
	}
	d := ep.During
	if d.Class == ep.Class || (ep.OneSided || ep.Hidden) && (d.Class == verdict.ClassUnknown || d.Class == verdict.ClassNone || d.Confidence <= 0.75) {
		r.during++
	}
	r.others += len(ep.Others)
	if ep.Delay >= 0 {
		r.delays = append(r.delays, ep.Delay)
		r.seen = append(r.seen, ep.DelaySeen)
	}
	if !ep.good() && (r.worst == nil || badness(ep) > badness(r.worst)) {
		r.worst = ep
	}
}

func badness(ep *episode) int {
	b := len(ep.Others)
	switch ep.Final.Class {
	case verdict.ClassNone, verdict.ClassUnknown:
	default:
		b += 3
	}
	return b
}

func (r *row) confound(ep *episode) {
	r.n++
	for _, o := range ep.Others {
		_, class, _ := strings.Cut(o, ": ")
		class, _, _ = strings.Cut(class, " (")
		r.wrong[class]++
	}
	if len(ep.Others) > 0 {
		r.others++
		if r.worst == nil || badness(ep) > badness(r.worst) {
			r.worst = ep
		}
	}
	if ep.Unknown > 0 {
		r.unknown++
	}
}

// score is the share of right answers; for confounders of silence.
func (r *row) score() float64 {
	if r.class == verdict.ClassNone {
		return 1 - float64(r.others)/float64(r.n)
	}
	if strings.HasSuffix(r.name, "(hidden)") || r.name == "hidden" {
		wrong := 0
		for _, n := range r.wrong {
			wrong += n
		}
		return 1 - float64(wrong)/float64(r.n)
	}
	return float64(r.culprit) / float64(r.n)
}

func (s *summary) print(w io.Writer, seed uint64) {
	fmt.Fprintf(w, "%-34s %5s %6s %6s %6s %6s %6s %5s %5s %6s %6s %6s %6s %6s  %s\n", "fault", "n", "class", "first", "during", "culpr.", "exact", "unkn.", "none", "others",
		"p50 s", "p95 s", "ev.50", "ev.95", "wrong class")
	for i, rows := range [...][]*row{s.classes, s.scenarios} {
		if i > 0 {
			fmt.Fprintln(w)
		}
		for _, r := range rows {
			if r.name != "confounders" {
				r.print(w)
			}
		}
	}
	fmt.Fprintf(w, "\n%-34s %5s %11s %9s  %s\n", "confounder", "n", "with class", "unknown", "classes")
	for _, r := range append(s.confounders, s.total()...) {
		fmt.Fprintf(w, "%-34s %5d %11d %9d  %s\n", r.name, r.n, r.others, r.unknown, counts(r.wrong))
	}
	hours := s.cleanTime.Hours()
	fmt.Fprintf(w, "\nbefore the injections: %.0f fleet-hours, %d verdicts with a class, %d unknown; %d episodes found nobody to hit\n", hours, len(s.cleanFalse), s.cleanOpen, s.skipped)
	for _, f := range s.cleanFalse[:min(3, len(s.cleanFalse))] {
		fmt.Fprintf(w, "  %s\n", f)
	}
	s.claims.print(w)
	s.worst(w, seed)
}

func (s *summary) total() []*row {
	for _, r := range s.classes {
		if r.name == "confounders" {
			return []*row{r}
		}
	}
	return nil
}

func (r *row) print(w io.Writer) {
	pc := func(n int) string { return fmt.Sprintf("%.0f%%", 100*float64(n)/float64(r.n)) }
	fmt.Fprintf(w, "%-34s %5d %6s %6s %6s %6s %6s %5s %5s %6d %6s %6s %6s %6s  %s\n", r.name, r.n, pc(r.right), pc(r.first), pc(r.during), pc(r.culprit), pc(r.exact), pc(r.unknown), pc(r.nothing), r.others,
		quantile(r.delays, 0.5), quantile(r.delays, 0.95), quantile(r.seen, 0.5), quantile(r.seen, 0.95), counts(r.wrong))
}

func counts(m map[string]int) string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = fmt.Sprintf("%s %d", name, m[name])
	}
	return strings.Join(out, ", ")
}

func quantile(ds []time.Duration, q float64) string {
	if len(ds) == 0 {
		return "-"
	}
	sort.Slice(ds, func(i, j int) bool { return ds[i] < ds[j] })
	return fmt.Sprintf("%.1f", ds[int(q*float64(len(ds)-1))].Seconds())
}

// worst shows where to look first.
func (s *summary) worst(w io.Writer, seed uint64) {
	rows := append(append([]*row(nil), s.scenarios...), s.confounders...)
	sort.SliceStable(rows, func(i, j int) bool { return rows[i].score() < rows[j].score() })
	fmt.Fprintln(w)
	for _, r := range rows[:min(5, len(rows))] {
		ep := r.worst
		if ep == nil {
			break
		}
		fmt.Fprintf(w, "worst: %s, %.0f %% right; such as --seed %d --episode %d -v:%s\n", r.name, 100*r.score(), seed, ep.Number, " "+ep.What)
		if ep.Final.Class != "" {
			fmt.Fprintf(w, "    %s of %s (%.2f): %s\n", ep.Final.Class, ep.Final.Name, ep.Final.Confidence, ep.Reason)
		}
		for _, o := range ep.Others[:min(4, len(ep.Others))] {
			fmt.Fprintf(w, "    also %s\n", o)
		}
	}
}
