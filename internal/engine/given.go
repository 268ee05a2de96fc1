// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// Who finds that a checksum or a signature does not fit, and says so, is honest, and
// fails its callers for want of an answer that it could use. Whoever gave it that is
// wrong; a line of its log may name him. The same holds of who writes, whenever it fails,
// that a call of its own was refused, answered badly or not at all: many calls show in
// no span and no count.

const (
	// givenErrors is how much of its own making the failures of such a one are.
	givenErrors = 0.1
	// givenLeast is how many such lines there must be for each of its failures: some
	// write one now and then of what strangers send them.
	givenLeast = 0.25
)

// givenWrong says whether n wrote for enough of so many failures that what it was given
// did not check, or that a call of its own failed.
func (e *Engine) givenWrong(n *entity, faults float64) bool {
	lines := n.given.Value(e.now, e.params.CallWindow+n.told().Slack())
	return lines > 0 && lines >= givenLeast*faults
}

// blamesOthers counts lines in which n says that not its own work is why it fails.
func (n *entity) blamesOthers(e *Engine, lines float64) {
	n.given.Add(lines, e.now, e.params.CallWindow+n.told().Slack())
	if n.service != nil && n.service.whole != nil {
		n.service.whole.given.Add(lines, e.now, e.params.CallWindow+n.service.whole.told().Slack())
	}
}

// doesNotCheck takes in a line of n that says that something does not check.
func (e *Engine) doesNotCheck(n *entity, f *report.Fact) {
	count := float64(max(f.Value, 1))
	n.blamesOthers(e, count)
	words := f.Text
	if f.Kind == report.FactDoubts {
		words = f.Whom
	}
	if who := e.giver(n, words); who != nil {
		if who.kind == kindService {
			e.sumUp(who)
		}
		e.wrong(who, who.calls, n, count, f.At)
		who.calls.byOutcome[report.OutcomeWrongAnswer].Add(count, e.now, e.params.CallWindow)
	}
	e.mark(n)
}

// giver is whom n means by words of its own: the one it calls whom they name by the
// longest name, if n calls no other of that name and is answered well, as who fails its
// calls passes on what it was given itself; else nil. It is the service as a whole where n
// calls several of it.
func (e *Engine) giver(n *entity, words string) (who *entity) {
	name := ""
	n.eachCallee(func(ed *edge) bool {
		c := ed.callee
		if c.service == nil || c.service == n.service || e.now.Sub(ed.used) > e.params.RecoveryCalls || len(c.service.id.Name) < len(name) || !namesIn(words, c.service.id.Name) {
			return false
		}
		switch {
		case ed.complains(e):
			who = nil
		case c.service.id.Name != name:
			who = c
		case who != nil && who.service == c.service:
			who = e.wholeService(c.service)
		default:
			who = nil
		}
		name = c.service.id.Name
		return false
	})
	if who != nil && who.calls == nil && who.kind != kindService {
		return nil
	}
	return who
}

// sumUp makes the answers of a service as a whole those of its instances, where they
// alone are called.
func (e *Engine) sumUp(whole *entity) {
	answers, w := 0.0, e.params.CallWindow
	for _, i := range whole.service.instances {
		for _, ed := range i.calledBy {
			answers += ed.ok.Value(e.now, w)
		}
	}
	if whole.calls == nil {
		whole.calls = &callStats{}
	}
	s := whole.calls
	if s.ok.Value(e.now, w) < answers {
		s.ok, s.rights = stat.Fading{}, stat.Fading{}
		s.ok.Add(answers, e.now, w)
		s.rights.Add(answers*float64(wrongWindow)/float64(w), e.now, wrongWindow)
	}
	whole.alive = true
}

// wrong counts answers of n that a caller could not use.
func (e *Engine) wrong(n *entity, s *callStats, caller *entity, count float64, first clock.Time) {
	if e.now.Sub(s.lastWrong) > wrongWindow {
		s.wrongSince = first
	}
	s.lastWrong = e.now
	s.wrongs.Add(count, e.now, wrongWindow)
	if caller != nil {
		s.named(caller.src.Service.Name, count, e.now, e.params.CallWindow)
	}
	e.suspect(n)
}

// namesIn says whether text has a name as a word of its own.
func namesIn(text, name string) bool {
	for at := 0; len(name) >= 3; {
		i := strings.Index(text[at:], name)
		if i < 0 {
			return false
		}
		from, end := at+i, at+i+len(name)
		if (from == 0 || !partOfName(text[from-1])) && (end == len(text) || !partOfName(text[end])) {
			return true
		}
		at = from + 1
	}
	return false
}

func partOfName(c byte) bool {
	return c == '-' || c == '_' || c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'z'
}
