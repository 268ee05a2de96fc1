// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// fewest clean spans of an operation whose p99 means anything.
const fewest = 100

type (
	traceID = [16]byte
	spanID  = [8]byte
)

// operation is what one clean p99 is for.
type operation struct{ service, name string }

// touch is a trace that has to do with a fault.
type touch struct {
	window int
	trace  traceID
}

// hurt is how a fault hurt a span.
type hurt int

const (
	unhurt hurt = iota
	answer      // of a byzantine, and neither failed nor slow
	slow
	failed
)

// harm knows which spans faults hurt. A fault hurts a span that lies in its
// window and in a trace that has to do with its culprit, if the span failed; if
// it was slower than the clean p99, began before the fleet had recovered and was
// the culprit's own, crossed what was cut, or waited for one of these; or if it is
// an answer of the convicted. Who answers wrongly, and in time, makes nobody else slow.
//
// A fault that was taken back hurts on: connections that have backed off, queues
// that are full and callers that try again fail and delay what is begun then. The
// fleet has recovered when the last call failed, the same moment from which the
// leaving of verdicts is measured. What is slow after that is one of the hundred
// that always are.
type harm struct {
	windows   []window // of faults
	recovered []time.Time
	tree      tree
	fleet     whereabouts
	p99       map[operation]time.Duration
	touched   map[touch]bool
	crossed   map[touchedSpan]bool // calls through what was cut
	waited    map[touchedSpan]bool // those calls, spans of the culprit itself, failed calls to it, and those that waited for them
	refusers  map[refuser]bool     // who turned the client away that is to blame
	answers   map[touchedSpan]bool // client spans of wrong answers, and those whose server is the culprit
}

type touchedSpan struct {
	window int
	trace  traceID
	span   spanID
}

func newHarm(windows []window, spans []Span, calls []ledger.Call) *harm {
	t := treeOf(spans)
	recovered := recoveries(windows, calls)
	h := &harm{
		tree: t, fleet: whereaboutsOf(t), p99: cleanP99(windows, recovered, spans), touched: map[touch]bool{},
		crossed: map[touchedSpan]bool{}, waited: map[touchedSpan]bool{}, answers: map[touchedSpan]bool{},
		refusers: map[refuser]bool{},
	}
	for _, w := range windows {
		if w.in.Kind == ledger.Fault && w.in.Failed == "" {
			h.windows, h.recovered = append(h.windows, w), append(h.recovered, recovered[w.in])
		}
	}
	h.learnRefusers(calls)
	answered := map[inTrace]bool{} // calls whose server told of them
	for i := range spans {
		h.learn(&spans[i], answered)
	}
	front := fronts(t, h.fleet, calls)
	for i := range calls {
		h.learnCall(&calls[i], front[calls[i].Callee], answered)
	}
	h.beside()
	h.linger()
	return h
}

// fronts are the services that answer in the place of one that is called and tells of
// nothing itself: who stands behind a balancer. Where nobody is left there, a call to
// the balancer fails for want of them.
func fronts(t tree, fleet whereabouts, calls []ledger.Call) map[string][]string {
	called := map[inTrace]string{}
	for i := range calls {
		if c := &calls[i]; c.OK && len(fleet.of[c.Callee]) == 0 {
			trace, _ := id[traceID](c.Trace)
			span, _ := id[spanID](c.Span)
			called[inTrace{trace, span}] = c.Callee
		}
	}
	out := map[string][]string{}
	for i := range t.spans {
		s := &t.spans[i]
		callee, ok := called[inTrace{s.Trace, s.Parent}]
		if ok && s.Server && !slices.Contains(out[callee], s.Service) {
			out[callee] = append(out[callee], s.Service)
		}
	}
	return out
}

func (h *harm) learn(s *Span, answered map[inTrace]bool) {
	parent := h.tree.parent(s)
	served := s.Server && parent != nil && parent.Client // who takes a message off a queue lets nobody wait
	for j := range h.windows {
		w := &h.windows[j]
		if served && isCut(w.in) && w.holds(parent.Start, parent.end()) {
			answered[inTrace{parent.Trace, parent.ID}] = true
			if crosses(w.in, h.fleet.end(parent), h.fleet.end(s)) {
				h.cross(j, parent)
			}
		}
		if !w.holds(s.Start, s.end()) {
			continue
		}
		if concerns(w.in, s.Service) {
			h.touched[touch{j, s.Trace}] = true
		}
		if h.isCulprit(j, s, parent) {
			h.waits(j, s)
		}
		if convicted(w.in, s) {
			h.answers[touchedSpan{j, s.Trace, s.ID}] = true
			h.answers[touchedSpan{j, s.Trace, s.Parent}] = true
		}
	}
}

func (h *harm) learnCall(c *ledger.Call, behind []string, answered map[inTrace]bool) {
	trace, ok := id[traceID](c.Trace)
	if !ok {
		return
	}
	span, _ := id[spanID](c.Span)
	s := h.tree.span(trace, span)
	for j := range h.windows {
		w := &h.windows[j]
		lacks := !c.OK && slices.ContainsFunc(behind, func(service string) bool { return concerns(w.in, service) })
		if !w.holds(c.Start, c.Start.Add(c.Duration)) || !concerns(w.in, c.Service) && !concerns(w.in, c.Callee) && !lacks {
			continue
		}
		h.touched[touch{j, trace}] = true
		if s == nil {
			continue
		}
		switch {
		case isCut(w.in):
			if !answered[inTrace{trace, span}] && mayCross(w.in, h.fleet.end(s), h.fleet.callees(c.Callee, s.Address), c.OK) {
				h.cross(j, s)
			}
		case w.in.Culprits != nil && w.in.Culprits[0].Type == "client":
			if c.Service == serviceOf(w.in.Culprits[0]) && h.refusers[refuser{j, c.Callee}] {
				h.waits(j, s)
			}
		case lacks || concerns(w.in, c.Callee) && (!c.OK || len(h.fleet.of[c.Callee]) == 0): // who is gone, or never traced, tells nothing itself
			h.waits(j, s)
		}
		if c.Wrong && w.in.Class == "byzantine" {
			h.answers[touchedSpan{j, trace, span}] = true
		}
	}
}

// id reads a trace or span id in hex.
func id[T traceID | spanID](text string) (T, bool) {
	var out T
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(out) {
		return out, false
	}
	switch p := any(&out).(type) {
	case *traceID:
		copy(p[:], raw)
	case *spanID:
		copy(p[:], raw)
	}
	return out, true
}

// waits notes that a span, and all above it that were under way for most of the time that
// it took, waited for the culprit of window j. A call that was made besides, and whose end
// nobody waited for, made nobody late. A client has its answer before its server's span ends.
func (h *harm) waits(j int, s *Span) {
	for call := s; s != nil && !h.waited[touchedSpan{j, s.Trace, s.ID}]; {
		h.waited[touchedSpan{j, s.Trace, s.ID}] = true
		p := h.tree.parent(s)
		switch {
		case p != nil && p.Client && s.Server:
			call = p
		case p != nil && p.end().Before(call.Start.Add(call.Duration/2)):
			return
		}
		s = p
	}
}

// cross notes that a call went through what is cut in window j.
func (h *harm) cross(j int, call *Span) {
	h.crossed[touchedSpan{j, call.Trace, call.ID}] = true
	h.waits(j, call)
}

// felt says whether the fault of window j could make a span slow. A part of a
// call that crossed, such as its connecting, crossed as well.
func (h *harm) felt(j int, s *Span) bool {
	if h.waited[touchedSpan{j, s.Trace, s.ID}] {
		return true
	}
	call := h.tree.parent(s)
	return call != nil && call.Instance == s.Instance && !s.Server && h.crossed[touchedSpan{j, s.Trace, s.Parent}]
}

// isCulprit says whether a span is of the culprit itself, at the level that the
// account names first.
func (h *harm) isCulprit(j int, s, parent *Span) bool {
	in := h.windows[j].in
	if len(in.Culprits) == 0 {
		return true
	}
	c := in.Culprits[0]
	switch c.Type {
	case "instance":
		return s.Instance == c.Instance
	case "service":
		return s.Service == serviceOf(c)
	case "version":
		return s.Service == serviceOf(c) && ofRelease(c, s)
	case "client": // its calls to those who turn it away, as they see them; learnCall knows its own end
		return s.Server && parent != nil && parent.Client && parent.Service == serviceOf(c) && h.refusers[refuser{j, s.Service}]
	case "link":
		return false
	case "zone", "node": // who is cut off works as ever
		return in.Class != "network_partition" && h.fleet.end(s).named(c.Name)
	}
	return concerns(in, s.Service)
}

// ofRelease says whether a span may come from the release that a culprit names.
func ofRelease(c ledger.Culprit, s *Span) bool {
	return s.Version == "" || strings.HasSuffix(c.Name, s.Version)
}

// convicted says whether a span is an answer of the byzantine itself, at the
// level that the account names first.
func convicted(in *ledger.Injection, s *Span) bool {
	if in.Class != "byzantine" || !s.Server || len(in.Culprits) == 0 {
		return false // what others say in its name makes none of its answers wrong
	}
	c := in.Culprits[0]
	service := serviceOf(c)
	switch {
	case service == "" && c.Instance == "", service != "" && service != s.Service:
		return false
	case c.Instance != "":
		return c.Instance == s.Instance
	}
	return c.Type != "version" || ofRelease(c, s)
}

// by says how the fault of a window hurt a span.
func (h *harm) by(j int, s *Span) hurt {
	w := &h.windows[j]
	if !w.holds(s.Start, s.end()) {
		return unhurt
	}
	if h.touched[touch{j, s.Trace}] {
		if s.Failed {
			return failed
		}
		if p99, ok := h.p99[operation{s.Service, s.Operation}]; ok && s.Duration > p99 && (w.in.Class != "byzantine" || h.answers[touchedSpan{j, s.Trace, s.ID}]) && !s.Start.After(h.recovered[j]) && h.felt(j, s) {
			return slow
		}
	}
	if !s.Start.After(w.in.End) && h.answers[touchedSpan{j, s.Trace, s.ID}] {
		return answer
	}
	return unhurt
}

// spans scores the tags.
func (t *tally) spans(windows []window, all []*episode, spans []Span, calls []ledger.Call) {
	h := newHarm(windows, spans, calls)
	since := make([]time.Time, len(h.windows)) // of the verdict; zero if there was none
	for j := range h.windows {
		in := h.windows[j].in
		if st := firstClass(in, heard(in, all)); st != nil && named(st.Class) {
			since[j] = st.At.Add(-tagWait)
		}
	}
	r := &t.r.Spans
	for i := range spans {
		s := &spans[i]
		if ofUnmade(windows, s) {
			continue
		}
		r.Seen++
		how, after, right := unhurt, false, false
		name := ""
		for j := range h.windows {
			by := h.by(j, s)
			if by == unhurt {
				continue
			}
			how = max(how, by)
			name = h.windows[j].in.Name
			after = after || !since[j].IsZero() && !s.end().Before(since[j])
			in := h.windows[j].in
			right = right || s.Tag != nil && s.Tag.Class == in.Class && level(in, s.Tag.Culprit) >= 0
		}
		if how == unhurt && h.untold(s) {
			continue
		}
		r.add(s, how, after, right)
		if how == unhurt && s.Tag != nil && named(s.Tag.Class) {
			r.WrongTags[wrongTag(windows, s)]++
		}
		if how != unhurt && after {
			r.kind(name).add(how, right)
		}
	}
}

// wrongTag names the tag of a span that no fault hurt, with what was done meanwhile.
func wrongTag(windows []window, s *Span) string {
	meanwhile := "nothing"
	for i := range windows {
		if windows[i].in.Start.Before(s.end()) {
			meanwhile = windows[i].in.Name
		}
	}
	return fmt.Sprintf("%s: %s/%s of %s %s", meanwhile, s.Tag.Class, s.Tag.Subclass, s.Tag.Culprit.Type, s.Tag.Culprit.Name)
}

// untold says whether nobody can tell if a span that felt a fault was slow: how long
// those of its kind take in clean time is not known.
func (h *harm) untold(s *Span) bool {
	if _, known := h.p99[operation{s.Service, s.Operation}]; known || s.Failed {
		return false
	}
	for j := range h.windows {
		if h.windows[j].holds(s.Start, s.end()) && h.felt(j, s) {
			return true
		}
	}
	return false
}

// ofUnmade says whether a span falls into the time of an injection that could not
// be made as it should: nobody knows what that hurt.
func ofUnmade(windows []window, s *Span) bool {
	return slices.ContainsFunc(windows, func(w window) bool {
		return w.in.Failed != "" && w.holds(s.Start, s.end())
	})
}

func (r *Spans) kind(name string) *SpanRecall {
	if r.ByName[name] == nil {
		r.ByName[name] = &SpanRecall{}
	}
	return r.ByName[name]
}

func (r *SpanRecall) add(how hurt, right bool) {
	one := 0
	if right {
		one = 1
	}
	switch how {
	case failed:
		r.Failed++
		r.FailedRight += one
	case slow:
		r.Slow++
		r.SlowRight += one
	default:
		r.Answers++
		r.AnswersRight += one
	}
}

func (r *Spans) add(s *Span, how hurt, after, right bool) {
	one := func(yes bool) int {
		if yes {
			return 1
		}
		return 0
	}
	if s.Tag != nil {
		if named(s.Tag.Class) {
			r.Tagged++
			r.TaggedHurt += one(how != unhurt)
		} else {
			r.Unknown++
		}
	}
	if how == unhurt {
		return
	}
	r.Hurt++
	r.HurtRight += one(right)
	if !after {
		return
	}
	r.FromVerdict++
	r.FromRight += one(right)
	r.SpanRecall.add(how, right)
}

// rank is the smallest of sorted values that at least a share q does not
// exceed.
func rank(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted), max(1, int(math.Ceil(q*float64(len(sorted))))))-1]
}
