// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// page is a Markdown document in the making.
type page struct{ strings.Builder }

func (p *page) linef(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// row writes one row of a table; the first one of a table is its head.
func (p *page) row(head bool, cells ...string) {
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(strings.ReplaceAll(c, "|", "\\|"), "\n", " ")
	}
	p.linef("| %s |", strings.Join(cells, " | "))
	if head {
		p.linef("|%s", strings.Repeat("---|", len(cells)))
	}
}

func percent(part, whole int) string {
	if whole == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %% (%d/%d)", 100*share(part, whole), part, whole)
}

func (q Quantiles) String() string {
	if q.N == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f / %.1f (%d)", q.Median, q.P95, q.N)
}

// Markdown is r as tables for people.
func (r Result) Markdown() string {
	p := &page{}
	p.linef("%d faults that can be seen, %d hidden ones, %d confounders; %d injections could not be made.\n", r.Faults, r.Hidden.Faults, r.Confounders, r.NotMade)
	p.moments("Both sides seen", &r.BothSides)
	p.moments("Seen from one side", &r.OneSided)
	p.delays(&r)
	p.quiet(&r)
	p.spanTable(&r.Spans)
	p.calibration("first class named", &r.First)
	p.calibration("last class named", &r.Final)
	if len(r.Missed) > 0 {
		p.linef("## Not right\n")
		p.row(true, "injection", "name", "wanted", "said")
		for _, m := range r.Missed {
			p.row(false, m.Injection, m.Name, m.Want, m.Got)
		}
		p.linef("")
	}
	if len(r.Problems) > 0 {
		p.linef("## Input that could not be read\n")
		for _, problem := range r.Problems {
			p.linef("- %s", problem)
		}
		if r.MoreProblem > 0 {
			p.linef("- and %d more", r.MoreProblem)
		}
	}
	return p.String()
}

func (p *page) moments(title string, m *Moments) {
	if m.First.Faults == 0 {
		return
	}
	p.linef("## %s\n", title)
	p.row(true, "when", "class", "faults", "right of all", "answered", "class right when answered", "subclass too", "culprit right", "most specific one", "unknown", "silent")
	list := []struct {
		name string
		m    *Moment
	}{{"first verdict", &m.First}, {"30 s after", &m.After30}, {"60 s after", &m.After60}}
	for _, one := range list {
		p.count(one.name, "all", &one.m.Count)
		for _, class := range slices.Sorted(maps.Keys(one.m.Classes)) {
			p.count("", class, one.m.Classes[class])
		}
	}
	p.linef("")
	for _, one := range list {
		p.confusion("Class, "+one.name, one.m.Confusion)
	}
	p.confusion("Subclass, 60 s after", m.After60.SubclassTable)
}

func (p *page) count(when, class string, c *Count) {
	p.row(false, when, class, strconv.Itoa(c.Faults), percent(c.Right, c.Faults), percent(c.Answered, c.Faults), percent(c.RightNamed, c.Answered),
		percent(c.RightSub, c.Answered), percent(c.CulpritRight, c.Answered), percent(c.CulpritBest, c.Answered), strconv.Itoa(c.Unknown), strconv.Itoa(c.Silent))
}

// confusion lists what was said of each class; a full matrix of subclasses
// would be wider than a page.
func (p *page) confusion(title string, table map[string]map[string]int) {
	p.row(true, title, "said")
	for _, want := range slices.Sorted(maps.Keys(table)) {
		got := table[want]
		keys := slices.Sorted(maps.Keys(got))
		slices.SortStableFunc(keys, func(a, b string) int { return got[b] - got[a] })
		for i, key := range keys {
			keys[i] = fmt.Sprintf("%s %d", key, got[key])
		}
		p.row(false, want, strings.Join(keys, ", "))
	}
	p.linef("")
}

func (p *page) delays(r *Result) {
	if len(r.Delays) > 0 {
		p.linef("## Delay: median / p95 in seconds (faults)\n")
		p.row(true, "class", "faults", "from the start", "from the first evidence", "right, from the start", "right, from the first evidence")
		for _, key := range slices.Sorted(maps.Keys(r.Delays)) {
			d := r.Delays[key]
			p.row(false, key, strconv.Itoa(d.Faults), d.FromStart.String(), d.FromEvidence.String(), d.RightFromStart.String(), d.RightFromEvidence.String())
		}
		p.linef("")
	}
	p.linef("Verdicts left after the end: %s; after recovery: %s; %d left while the fault lasted, %d never left.\n", r.Leave.AfterEnd, r.Leave.AfterRecovery, r.Leave.Early, r.Leave.Never)
}

func (p *page) quiet(r *Result) {
	p.linef("## False classes\n")
	p.row(true, "while", "false classes", "hours", "per hour", "unknown", "which")
	for _, key := range []string{"confounders", "clean"} {
		f := r.False[key]
		var names []string
		for _, name := range slices.Sorted(maps.Keys(f.ByName)) {
			names = append(names, fmt.Sprintf("%s %d", name, f.ByName[name]))
		}
		p.row(false, key, strconv.Itoa(f.Count), fmt.Sprintf("%.2f", f.Hours), fmt.Sprintf("%.2f", f.PerHour), strconv.Itoa(f.Unknown), strings.Join(names, ", "))
	}
	v, h := r.Verdicts, r.Hidden
	p.linef("\n%d verdicts in all; %d stayed unknown, %d were unknown first; %d named somebody whom the fault does not concern.", v.All, v.NeverNamed, v.UnknownFirst, v.WrongCulprit)
	p.linef("Hidden faults: %d; silence %d, unknown %d, named rightly %d, wrongly %d.\n", h.Faults, h.Silent, h.Unknown, h.Right, h.Wrong)
}

func (p *page) spanTable(s *Spans) {
	p.linef("## Spans\n")
	p.row(true, "figure", "value")
	p.row(false, "recall, from 3 s before the verdict on", percent(s.FromRight, s.FromVerdict))
	p.row(false, "of those that failed", percent(s.FailedRight, s.Failed))
	p.row(false, "of those that were slow", percent(s.SlowRight, s.Slow))
	p.row(false, "of a byzantine's answers", percent(s.AnswersRight, s.Answers))
	p.row(false, "recall, whole fault", percent(s.HurtRight, s.Hurt))
	p.row(false, "precision", percent(s.TaggedHurt, s.Tagged))
	p.row(false, "carry unknown", percent(s.Unknown, s.Seen))
	p.linef("")
	p.row(true, "fault", "failed spans", "recall", "slow spans", "recall")
	for _, name := range slices.Sorted(maps.Keys(s.ByName)) {
		k := s.ByName[name]
		p.row(false, name, strconv.Itoa(k.Failed), percent(k.FailedRight, k.Failed), strconv.Itoa(k.Slow), percent(k.SlowRight, k.Slow))
	}
	p.linef("")
	p.wrongTags(s.WrongTags)
}

// wrongTagsShown are as many as a reader looks at; the JSON has them all.
const wrongTagsShown = 15

func (p *page) wrongTags(count map[string]int) {
	if len(count) == 0 {
		return
	}
	names := slices.SortedFunc(maps.Keys(count), func(a, b string) int { return cmp.Or(count[b]-count[a], strings.Compare(a, b)) })
	p.row(true, "a tag on spans that no fault hurt", "spans")
	for _, name := range names[:min(len(names), wrongTagsShown)] {
		p.row(false, name, strconv.Itoa(count[name]))
	}
	p.linef("")
}

func (p *page) calibration(title string, c *Calibration) {
	p.linef("## Confidence: %s\n", title)
	p.linef("Brier score %.3f, expected calibration error %.3f, %d verdicts.\n", c.Brier, c.ECE, c.Verdicts)
	p.row(true, "confidence", "verdicts", "mean", "came true")
	for i := range c.Bins {
		if b := &c.Bins[i]; b.Verdicts > 0 {
			p.row(false, fmt.Sprintf("%.1f–%.1f", b.From, b.From+0.1), strconv.Itoa(b.Verdicts), fmt.Sprintf("%.3f", b.Confidence), fmt.Sprintf("%.3f", b.Right))
		}
	}
	p.linef("")
}
