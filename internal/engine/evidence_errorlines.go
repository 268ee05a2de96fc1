// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// detectErrorLines: it writes of request after request that it failed, which it
// did not before, and nobody behind it said so first.
func detectErrorLines(e *Engine, n *entity, p *episode) {
	if n.errors == nil {
		return
	}
	for i := range n.errors.kinds {
		k := &n.errors.kinds[i]
		lasted := k.last.Sub(k.first)
		share, surprise := k.share(n), k.surprise(n)
		if k.count < erringMany || lasted < errorsFor || surprise < newFrom ||
			k.over(n) || e.now.Sub(k.last) > erringFresh+n.served.told.Slack() {
			continue
		}
		strength := stat.Clamp(surprise/newFull, 0, 1) * stat.Clamp(share/erringFull, 0, 1)
		_, lately := n.served.lately(e)
		excuse, whose := e.excuseOf(n, p, k.began, share*lately)
		if e.calleesOf(n) == 0 && e.othersFail(n) {
			excuse, whose = min(excuse, unheardErrors), "somebody else fails, whom it may call"
		}
		if strength *= excuse; strength < 0.05 || p.found[belief.EvErrorLines].now && p.found[belief.EvErrorLines].strength >= strength {
			continue
		}
		k.blamed = true
		p.blame(belief.EvErrorLines, strength, e.now, fmt.Sprintf("of %.0f answers %.0f wrote an error that is new to it (%q), %.0f before had not, and %s",
			k.answers(n), k.count, k.text, min(k.without, float64(k.from)/(k.usual+1)), whose))
		p.startedBy(k.began)
	}
}

// othersFail says whether anybody but n is in trouble of another kind: one who does
// not tell whom it calls may depend on them.
func (e *Engine) othersFail(n *entity) bool {
	for _, o := range e.suspects {
		if o == n || o.service != nil && o.service == n.service {
			continue
		}
		if o.verdict != nil && o.verdict.Class != verdict.ClassByzantine || o.verdict == nil && o.episode.failing > suspectFrom && !o.episode.bad[belief.GroupIntegrity] {
			return true
		}
	}
	return false
}

// erredAt is when a line that speaks against n was written last, 0 if none was.
func (n *entity) erredAt() (last clock.Time) {
	if n.errors == nil {
		return 0
	}
	for i := range n.errors.kinds {
		if k := &n.errors.kinds[i]; k.blamed {
			last = max(last, k.last)
		}
	}
	return last
}

// errsNoMore says whether the lines that spoke against n have stayed away.
func (n *entity) errsNoMore(e *Engine) bool {
	if n.errors == nil {
		return true
	}
	for i := range n.errors.kinds {
		if k := &n.errors.kinds[i]; k.blamed && (!k.over(n) || e.now.Sub(k.last) < e.params.RecoveryCalls) {
			return false
		}
	}
	return true
}
