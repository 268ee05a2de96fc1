// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// Whether failures that somebody makes are its own: it may pass on another's, or be short
// of something.

// excuseOf is how much failures that n makes since then, so many of late, are its own,
// 0-1, for all that is known of those that it calls and of what it is short of, and the
// words for that.
func (e *Engine) excuseOf(n *entity, p *episode, since clock.Time, faults float64) (own float64, whose string) {
	own, whose = 1, "its own callees are well"
	switch excuse := p.found[belief.EvCalleeFailing].strength; {
	case excuse > 0:
		own = 1 - excuse
	case e.calleesFailed(n, since.Add(-n.told().Slack())), e.missesSince(n, since), e.lostOne(n, since):
		own = 0.1
	case e.givenWrong(n, faults):
		own, whose = givenErrors, "by its log it failed for want of what others were to give"
	case e.unheard(n):
		own, whose = unheardErrors, "what it calls is not told"
	case e.errsWithAnother(n, since):
		own, whose = togetherErrors, "another service began to fail in the same seconds"
	case e.calleesOf(n) == 0 && n.onlyCounted():
		own, whose = untoldErrors, "what it calls is not told"
	case e.calleesOf(n) == 0:
		own, whose = leafErrors, "it calls nobody that is known"
	}
	if e.isShort(n, p) {
		p.shortAt = e.now
	}
	if p.shortAt != 0 && e.now.Sub(p.shortAt) < shortFor {
		own *= shortErrors
	}
	return own, whose
}

const (
	// shortErrors: who is short of something fails for want of it.
	shortErrors = 0.2
	// shortFor is how long after a shortage failures may still come from it.
	shortFor = 20 * time.Second
)

// isShort says whether something that n needs to answer is short.
func (e *Engine) isShort(n *entity, p *episode) bool {
	for _, kind := range [...]belief.Evidence{belief.EvDiskFull, belief.EvNoDescriptor, belief.EvNoThread, belief.EvPoolEmpty, belief.EvOutOfMemory, belief.EvThrottled, belief.EvMemoryPressure, belief.EvCallersOverloaded, belief.EvToldDiskFull, belief.EvToldMemoryFull} {
		if p.found[kind].strength > 0 {
			return true
		}
	}
	s := e.queueFull(n)
	if s != nil {
		p.note(belief.EvBacklog, 1, e.now, fmt.Sprintf("%.0f messages wait in %s (usually %.0f), and it turns callers away", s.waiting, s.key.name, s.usual))
		p.latest = e.now
	}
	return s != nil
}

// unheardErrors: whose own telemetry does not come may suffer from anybody.
const unheardErrors = 0.2

// unheard says whether n, or an instance of it, usually tells of the calls that
// it answers or makes and does not now.
func (e *Engine) unheard(n *entity) bool {
	if n.kind == kindService {
		for _, i := range n.service.instances {
			if !i.left && e.unheard(i) {
				return true
			}
		}
		return false
	}
	return n.served.total > 0 && e.now.Sub(n.served.seen) > e.params.CallWindow+2*n.served.told.Slack()
}

// untoldErrors: who counts what it answers and nothing else, and whose callers tell
// nothing either, may pass on the failure of anybody.
const untoldErrors = 0.5

// onlyCounted says whether all that is told of n are counts of what it answered, by what
// counts nothing else, and no call to it or to its service.
func (n *entity) onlyCounted() bool {
	if n.kind != kindInstance || !n.served.bare || len(n.calledBy) > 0 {
		return false
	}
	whole := n.service.whole
	return whole == nil || len(whole.calledBy) == 0
}

// leafErrors: who calls nobody may call somebody without telling.
const leafErrors = 0.9

// calleesFail says whether calls of n to others fail at more than a trickle.
func (e *Engine) calleesFail(n *entity) bool {
	return n.eachCallee(func(ed *edge) bool { return ed.more(&ed.failed, e) })
}

// calleesFailed says the same of calls that have failed since a time: what failed
// before n's own failures began and is well again is no reason for them.
func (e *Engine) calleesFailed(n *entity, since clock.Time) bool {
	return n.eachCallee(func(ed *edge) bool { return ed.lastFail >= since && ed.more(&ed.failed, e) })
}

// answeredBadly says whether others answer calls of n with failures, which it may
// repeat in words of its own. A call that gets no connection of its own pool may be
// told as turned away: pool leaves those out.
func (e *Engine) answeredBadly(n *entity, pool bool) bool {
	return n.eachCallee(func(ed *edge) bool {
		if pool {
			w := e.params.CallWindow
			var rest stat.Fading
			rest.Add(ed.answeredBadly.Value(e.now, w)-ed.full.Value(e.now, w), e.now, w)
			return ed.more(&rest, e)
		}
		return ed.more(&ed.answeredBadly, e)
	})
}

// more says whether calls of one kind, all of which failed, are more than a trickle.
func (ed *edge) more(kind *stat.Fading, e *Engine) bool {
	w := e.params.CallWindow
	some := kind.Value(e.now, w)
	return some >= 0.2 && some/(ed.failed.Value(e.now, w)+ed.ok.Value(e.now, w)) > errorsOver/2
}
