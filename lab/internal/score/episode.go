// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// step is a verdict as it stood from At on.
type step struct {
	Verdict
	of *ledger.Injection // nil: said in clean time
}

// episode is the life of a verdict, from its detection to its clearing.
type episode struct {
	entity  string
	steps   []*step   // at least one
	cleared time.Time // zero while it holds
	// sure is the confidence at the clearing. A verdict that only grows surer is
	// not revised by an event.
	sure float64
}

// episodes joins events to episodes and gives each step to the injection that
// it can be about. Lone clearings, whose verdict is older than the run, are
// left out; events of other kinds are counted.
func episodes(injections []*ledger.Injection, verdicts []Verdict, other map[string]int) []*episode {
	sorted := slices.Clone(verdicts)
	slices.SortFunc(sorted, inOrder)
	windows := windowsOf(injections)
	var all []*episode
	open, before := map[string]*episode{}, map[string]*episode{}
	for i := range sorted {
		v := &sorted[i]
		key := v.key()
		e := open[key]
		if e == nil && v.Event != contract.EventFailureDetected {
			e = sameIncident(open, v)
		}
		switch v.Event {
		case contract.EventFailureDetected, contract.EventFailureRevised:
			if e == nil || v.Event == contract.EventFailureDetected {
				before[key] = e
				e = &episode{entity: key}
				open[key] = e
				all = append(all, e)
			}
			s := &step{Verdict: *v}
			s.of = about(windows, s, e)
			e.steps = append(e.steps, s)
		case contract.EventFailureCleared:
			if e != nil {
				last, at := before[e.entity], e.steps[0].At
				if delete(before, e.entity); last != nil && v.At.Equal(at) {
					last.clear(v) // one failure followed on another of the same in one instant
					continue
				}
				e.clear(v)
				delete(open, e.entity)
			}
		default:
			other[v.Event]++
		}
	}
	return all
}

// clear ends the verdict.
func (e *episode) clear(v *Verdict) {
	e.cleared = v.At
	last := e.steps[len(e.steps)-1]
	if e.sure = last.Confidence; v.Class == last.Class {
		e.sure = v.Confidence
	}
}

// key is what the events of one failure have in common: who was judged, else
// the culprit, as long as that is not revised.
func (v *Verdict) key() string {
	if v.Entity != "" {
		return v.Entity
	}
	return strings.Join([]string{v.Culprit.Type, v.Culprit.Name, v.Culprit.Service, v.Culprit.Instance}, "\x00")
}

// Open counts the failures that were detected and not cleared.
func Open(verdicts []Verdict) int {
	n := 0
	for _, e := range episodes(nil, verdicts, map[string]int{}) {
		if e.cleared.IsZero() {
			n++
		}
	}
	return n
}

// sameIncident finds the episode of a verdict that names no entity and whose
// culprit was revised: nothing but its incident is left of it. Of several it is
// the latest that began no earlier than the revision says, since a revision
// may date a failure back and never forward.
func sameIncident(open map[string]*episode, v *Verdict) *episode {
	if v.Incident == "" || v.Entity != "" {
		return nil
	}
	var found *episode
	for _, e := range open {
		first := &e.steps[0].Verdict
		if first.Entity == "" && first.Incident == v.Incident && !first.Since.Before(v.Since) &&
			(found == nil || cmp.Or(first.At.Compare(found.steps[0].At), cmp.Compare(e.entity, found.entity)) > 0) {
			found = e
		}
	}
	return found
}

// names is worth more than all else that speaks for an injection together.
const names = 16

// about finds the injection that a step belongs to: the one that it names, else
// the one that the episode was about before, else what is going on, else what
// ended less than settle ago and was followed by none. Of faults that share a
// culprit, as when an exhaustion ends in a crash, the class decides.
func about(windows []window, s *step, e *episode) *ledger.Injection {
	var before *ledger.Injection
	if len(e.steps) > 0 {
		before = e.steps[len(e.steps)-1].of
	}
	var best *ledger.Injection
	bestRank := -1
	for i := range windows {
		in := windows[i].in
		within := !s.At.Before(in.Start) && !s.At.After(windows[i].until)
		if !within && in != before {
			continue
		}
		rank := 0
		if in.Kind == ledger.Fault {
			rank++
			if level(in, s.Culprit) >= 0 {
				rank += names
				if in.Class == s.Class {
					rank += 8
				}
			}
		}
		if in == before {
			rank += 4
		}
		if within && !s.At.After(in.End) {
			rank += 2
		}
		if rank >= bestRank { // of equals the later, which comes last
			best, bestRank = in, rank
		}
	}
	if len(e.steps) > 0 && before == nil && bestRank < names {
		return nil // it was false before anything happened, and still names nobody who is at fault
	}
	return best
}

// inOrder is a total order, so that the order of the lines does not matter.
func inOrder(a, b Verdict) int {
	kind := func(v Verdict) int {
		return slices.Index([]string{contract.EventFailureDetected, contract.EventFailureRevised, contract.EventFailureCleared}, v.Event)
	}
	return cmp.Or(
		a.At.Compare(b.At), cmp.Compare(a.Entity, b.Entity), cmp.Compare(a.Revision, b.Revision), cmp.Compare(kind(a), kind(b)),
		compareCulprits(a.Culprit, b.Culprit), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Subclass, b.Subclass),
		cmp.Compare(a.Confidence, b.Confidence), cmp.Compare(a.Incident, b.Incident), cmp.Compare(a.Role, b.Role),
		a.Since.Compare(b.Since), cmp.Compare(a.Event, b.Event))
}

func compareCulprits(a, b ledger.Culprit) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Service, b.Service), cmp.Compare(a.Instance, b.Instance))
}

// firstNamed and lastNamed are the first and the last step that name a class,
// or nil.
func (e *episode) firstNamed() *step {
	for _, s := range e.steps {
		if named(s.Class) {
			return s
		}
	}
	return nil
}

func (e *episode) lastNamed() *step {
	for _, s := range slices.Backward(e.steps) {
		if named(s.Class) {
			return s
		}
	}
	return nil
}
