// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// Two services that have nothing to do with each other rarely begin to answer wrongly in
// the same seconds. Where they do, both more likely want something that nobody tells
// of, such as a database whose calls write no spans.

const (
	// erredTogether is how far apart their failures may begin, beside what each tells late.
	erredTogether = 5 * time.Second
	// togetherErrors is how much of its own making the failures of such a one are.
	togetherErrors = 0.2
)

// errsWithAnother says whether somebody of another service began to fail when n did, for
// whom nothing else accounts either, and neither calls the other. Whose failures came
// with a new version fails by that.
func (e *Engine) errsWithAnother(n *entity, since clock.Time) bool {
	if n.service == nil || n.release(e, since) != "" {
		return false
	}
	for _, o := range e.suspects {
		from := o.errsSince()
		if o.kind != kindInstance || o.service == nil || o.service == n.service || from == 0 || o.release(e, from) != "" {
			continue
		}
		apart := max(from.Sub(since), since.Sub(from))
		faults := o.faultsLately(e)
		if apart <= erredTogether+max(n.told().Slack(), o.told().Slack()) && faults >= errorsMany/2 &&
			!e.calleesFailed(o, from.Add(-o.told().Slack())) && !e.missesSince(o, from) && !e.lostOne(o, from) && !e.givenWrong(o, faults) &&
			!o.callsServiceOf(n) && !n.callsServiceOf(o) {
			return true
		}
	}
	return false
}

// callsServiceOf says whether n, or another of its service, calls o's service.
func (n *entity) callsServiceOf(o *entity) bool {
	for _, i := range n.service.instances {
		for _, ed := range i.callees {
			if ed.callee.service == o.service {
				return true
			}
		}
	}
	return false
}
