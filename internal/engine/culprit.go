// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// narrow names who is to blame where that is somebody else than the entity that
// was judged: its node, who asks too much of it, or its latest version. Once
// named they stay, as what shows them ends before the failure does.
func (e *Engine) narrow(n *entity, p *episode, v *verdict.Verdict) {
	if old := n.verdict; old != nil && old.Class == v.Class && v.NarrowsTo(old.Culprit.Type) {
		v.Subclass, v.Culprit = old.Subclass, old.Culprit
		return
	}
	if old := n.verdict; old != nil && old.Class == v.Class && old.Culprit.Type == verdict.CulpritNode && v.Subclass == verdict.SubclassOverload {
		v.Subclass, v.Culprit = old.Subclass, old.Culprit // what waited since is late when the machine no longer is short
		return
	}
	switch {
	case v.Subclass == verdict.SubclassNodeDown && p.nodeDown(n) != 0:
		v.Culprit = e.nodeCulprit(n)
	case v.Subclass == verdict.SubclassPorts && p.found[belief.EvFlowsLost].strength > 0:
		v.Culprit = verdict.Culprit{Type: verdict.CulpritNode, Name: n.host.name}
	case v.Class == verdict.ClassExhaustion && p.evicted() && n.host != nil && n.host.name != "":
		v.Culprit = verdict.Culprit{Type: verdict.CulpritNode, Name: n.host.name}
	case v.Subclass == verdict.SubclassCPU && p.crowded && n.host != nil:
		v.Culprit = verdict.Culprit{Type: verdict.CulpritNode, Name: n.host.name}
		if p.crowder != nil {
			v.Culprit = p.crowder.culprit()
		}
	case v.NarrowsTo(verdict.CulpritClient):
		if s := e.pusher(n); s != nil {
			v.Subclass = verdict.SubclassQuota
			v.Culprit = verdict.Culprit{Type: verdict.CulpritClient, Name: s.id.Name, Service: s.id}
		}
	case v.Subclass == verdict.SubclassCrashLoop:
		if version := n.loopingRelease(); version != "" {
			v.Culprit = verdict.Culprit{Type: verdict.CulpritVersion, Name: version, Service: n.src.Service}
		}
	case v.NarrowsTo(verdict.CulpritVersion):
		if version := n.release(e, v.Since); version != "" {
			v.Subclass = verdict.SubclassFaultyRelease
			v.Culprit = verdict.Culprit{Type: verdict.CulpritVersion, Name: version, Service: n.src.Service}
		}
	}
}
