// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

import (
	"time"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// window is the time in which an injection can hurt: it ends settle after the
// injection's end, or when the next one begins that was not made with it.
type window struct {
	in    *ledger.Injection
	until time.Time
}

// windowsOf takes injections in order of their start.
func windowsOf(ins []*ledger.Injection) []window {
	out := make([]window, len(ins))
	for i, in := range ins {
		w := window{in, in.End.Add(settle)}
		for _, next := range ins[i+1:] {
			together := in.Group != "" && in.Group == next.Group
			if !together && !next.Start.Before(in.End) && next.Start.Before(w.until) {
				w.until = next.Start
			}
		}
		out[i] = w
	}
	return out
}

// holds says whether something from start to end falls into w at all.
func (w *window) holds(start, end time.Time) bool {
	return !end.Before(w.in.Start) && start.Before(w.until)
}

// concerns says whether a service has to do with an injection. A node, a zone
// or a link may concern all, and so may a culprit whose service is not told.
func concerns(in *ledger.Injection, service string) bool {
	told := false
	for i, c := range in.Culprits {
		if i == 0 && (c.Type == "node" || c.Type == "zone" || c.Type == "link") {
			return true
		}
		if name := serviceOf(c); name != "" {
			if name == service {
				return true
			}
			told = true
		}
	}
	return !told
}

func serviceOf(c ledger.Culprit) string {
	if c.Service == "" && (c.Type == "service" || c.Type == "external" || c.Type == "client") {
		return c.Name
	}
	return c.Service
}

// recoveries are the ends of the last calls that each fault hurt, or of the
// fault if that is later.
func recoveries(windows []window, calls []ledger.Call) map[*ledger.Injection]time.Time {
	out := map[*ledger.Injection]time.Time{}
	for i := range windows {
		out[windows[i].in] = windows[i].in.End
	}
	for i := range calls {
		c := &calls[i]
		if c.OK && !c.Wrong {
			continue
		}
		end := c.Start.Add(c.Duration)
		for j := range windows {
			w := &windows[j]
			if w.holds(c.Start, end) && end.After(out[w.in]) && (concerns(w.in, c.Service) || concerns(w.in, c.Callee)) {
				out[w.in] = end
			}
		}
	}
	return out
}

// covered is how long at least one of the windows that are wanted lasts.
func covered(windows []window, wanted func(*ledger.Injection) bool) time.Duration {
	var sum time.Duration
	var until time.Time
	for i := range windows { // in order of their start
		w := &windows[i]
		if !wanted(w.in) {
			continue
		}
		from := w.in.Start
		if from.Before(until) {
			from = until
		}
		if w.until.After(from) {
			sum += w.until.Sub(from)
			until = w.until
		}
	}
	return sum
}

// falseClasses counts what was said while nothing was broken, and of whom it
// was said wrongly while something was.
func (t *tally) falseClasses(windows []window, all []*episode) {
	confounders, clean := t.r.False["confounders"], t.r.False["clean"]
	for _, e := range all {
		t.r.Verdicts.All++
		if first := e.firstNamed(); first == nil {
			t.r.Verdicts.NeverNamed++
			switch of := e.steps[0].of; {
			case of == nil || of.Kind == ledger.Clean:
				clean.Unknown++
			case of.Kind == ledger.Confounder && of.Failed == "":
				confounders.Unknown++
			}
			continue
		} else if first != e.steps[0] {
			t.r.Verdicts.UnknownFirst++
		}
		counted := map[*ledger.Injection]bool{}
		for _, st := range e.steps {
			of := st.of
			if !named(st.Class) || counted[of] || of != nil && of.Failed != "" {
				continue
			}
			switch {
			case of == nil || of.Kind == ledger.Clean:
				clean.Count++
				clean.ByName["clean"]++
				t.miss(&ledger.Injection{Name: "clean", Kind: ledger.Clean}, st)
			case of.Kind == ledger.Confounder:
				confounders.Count++
				confounders.ByName[of.Name]++
				t.miss(of, st)
			case of.Hidden || level(of, st.Culprit) >= 0 || st.Role == "victim" && st.Culprit == (ledger.Culprit{}):
				continue
			default:
				t.r.Verdicts.WrongCulprit++
			}
			counted[of] = true
		}
	}
	notClean := func(in *ledger.Injection) bool { return in.Kind != ledger.Clean }
	busy := covered(windows, notClean)
	confounders.Hours += (busy - covered(windows, func(in *ledger.Injection) bool {
		return in.Kind == ledger.Fault || in.Failed != ""
	})).Hours()
	if len(windows) > 0 {
		var last time.Time
		for i := range windows {
			end := windows[i].until
			if !notClean(windows[i].in) {
				end = windows[i].in.End // nothing has to settle after nothing
			}
			if end.After(last) {
				last = end
			}
		}
		clean.Hours += (last.Sub(windows[0].in.Start) - busy).Hours()
	}
	t.r.False["confounders"], t.r.False["clean"] = confounders, clean
}
