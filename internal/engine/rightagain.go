// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// When a byzantine answers right again.

// rightAgain says whether answers have been right for long enough.
func (e *Engine) rightAgain(n *entity) bool {
	if !e.probesAgain(n) || n.errsSince() != 0 || n.vouching.dissents > 0 || n.vouching.staleFor > 0 || !n.errsNoMore(e) {
		return false
	}
	for i := range n.facts {
		if f := &n.facts[i]; f.Kind == report.FactBackwards || f.Kind == report.FactEquivocated || f.Kind == report.FactForged {
			if e.now.Sub(f.At) < e.params.RecoveryCalls {
				return false
			}
		}
	}
	if s := n.calls; s != nil && s.lastWrong != 0 && e.now.Sub(s.lastWrong) < e.params.RecoveryCalls {
		return false
	}
	return true
}

// stillWrong says whether answers of n, on whom v is, were wrong a moment ago. To
// take v back takes longer; meanwhile an answer that looks well may be taken for one.
func (e *Engine) stillWrong(n *entity, v *verdict.Verdict) bool {
	if v.Culprit.Type == verdict.CulpritVersion && n.version != "" && n.version != v.Culprit.Name {
		return false // it runs another
	}
	slack := n.told().Slack()
	if n.calls != nil {
		slack = max(slack, n.calls.told.Slack())
	}
	return e.now.Sub(e.lastWrong(n)) < rightFor+slack
}

// lastWrong is when an answer of n was wrong last, as far as is known. What shows less
// often than an answer may wait for it counts as long as it stands.
func (e *Engine) lastWrong(n *entity) clock.Time {
	last := n.erredAt()
	if n.errsSince() != 0 {
		last = max(last, n.erredLast())
	}
	if n.conduct.convicts() {
		return e.now
	}
	if v := &n.vouching; v.dissents > 0 {
		if n.beatsEvery() > rightFor {
			return e.now
		}
		last = max(last, v.at)
	}
	for _, ps := range n.probes {
		switch {
		case !e.current(ps) || ps.outcome != report.OutcomeWrongAnswer:
		case ps.interval > rightFor:
			return e.now
		default:
			last = max(last, ps.at)
		}
	}
	for i := range n.facts {
		f := &n.facts[i]
		switch f.Kind {
		case report.FactBackwards, report.FactEquivocated, report.FactForged: // shows once a scrape, or a beat
			last = max(last, min(e.now, f.At.Add(n.apart(f.Kind, e.params.RecoveryCalls))))
		case report.FactIntegrity:
			last = max(last, f.At)
		}
	}
	if n.calls != nil {
		last = max(last, n.calls.lastWrong)
	}
	return last
}

// apart is how long lay between the last two facts of a kind that were not told at once, at
// most atMost, which it is if there is but one: until the next is due, the last one stands.
func (n *entity) apart(kind report.FactKind, atMost time.Duration) time.Duration {
	var last, before clock.Time
	for i := range n.facts {
		if f := &n.facts[i]; f.Kind == kind {
			last = max(last, f.At)
		}
	}
	for i := range n.facts {
		if f := &n.facts[i]; f.Kind == kind && last.Sub(f.At) > stat.OneBatch {
			before = max(before, f.At)
		}
	}
	if before == 0 {
		return atMost
	}
	return min(last.Sub(before), atMost)
}

// rightFor without a wrong answer makes the next one that looks well be taken for
// right.
const rightFor = 3 * time.Second
