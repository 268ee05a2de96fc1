// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

// Callers that go by a service's name do not tell who of it gave them no answer. Where
// a cut lies between them and some of its instances, it is these, and they do not hang:
// what is asked of them does not arrive, or their answers do not. The others may just
// not have been asked meanwhile, for who asks them may be behind the cut himself.

// keepApart tells those who answer nobody that a cut lies between them and all who
// complain of their service.
func (c *cutState) keepApart(e *Engine) {
	if c.slow {
		return
	}
	for _, n := range e.suspects {
		if n.cutOff == nil && n.cut == nil && n.episode.stalls && c.explains(n.episode, e.now) && c.partsFromAll(n) {
			n.cutOff = c
			e.mark(n)
		}
	}
}

// cutFails says whether the calls to n's service that get no answer are those to
// another instance, which a cut keeps from all who complain.
func (e *Engine) cutFails(n *entity) bool {
	for _, c := range e.cuts {
		if c.slow || !c.stands(e.now) && !c.heals(e.now) {
			continue
		}
		for _, i := range n.service.instances {
			if i != n && !i.left && i.host != nil && c.partsFromAll(i) {
				return true
			}
		}
	}
	return false
}

// partsFromAll says whether the cut lies between n and all who got no answer of its
// service since that began to fail, not before the cut, and none of them had one of n.
func (c *cutState) partsFromAll(n *entity) bool {
	whole := n.service.whole
	since := whole.calls.firstFail
	if since < c.began.Add(-hidesFrom) {
		return false
	}
	parts := false
	for _, views := range [...][]*view{whole.views, n.views} {
		for _, w := range views {
			if w.lastBad < since {
				continue
			}
			if !c.predicts(&sight{from: w.from, to: n.host, caller: w.caller, target: n}) {
				return false
			}
			if v := n.seenBy(w.caller); w.caller != nil && v != nil && v.lastMet > since.Add(stallLeast) {
				return false
			}
			parts = true
		}
	}
	return parts
}

// nameAcross says whether a link ends in a service of which an instance is beyond a cut
// that somebody was told of, seen from where the link begins: who calls by the name may
// have been sent there, on a connection that it keeps.
func (e *Engine) nameAcross(f *foundCut) bool {
	far, from := f.far.entity, f.near.host
	if far == nil || far.kind != kindService {
		return false
	}
	if f.near.entity != nil {
		from = f.near.entity.host
	}
	for _, c := range e.cuts {
		if c.slow || c.entity.verdict == nil || !c.lately(e.now) || c.sameAs(&f.cut) {
			continue
		}
		for _, i := range far.service.instances {
			if !i.left && i.host != nil && c.predicts(&sight{from: from, to: i.host, caller: f.near.entity, target: i}) {
				return true
			}
		}
	}
	return false
}
