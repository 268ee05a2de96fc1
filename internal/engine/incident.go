// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// incident is a set of verdicts that belong together.
type incident struct {
	verdict.Incident
	open map[*entity]*verdict.Verdict
	last clock.Time // when its latest verdict ended
}

const (
	// mergeWithin is the time between the onsets of failures that may be one.
	mergeWithin = 3 * time.Minute
	// reopenWithin: the same culprit failing again so soon is the same incident.
	reopenWithin = 5 * time.Minute
	// resolveAfter is how long an incident stays open after its last verdict.
	resolveAfter = 15 * time.Second
	maxMembers   = 32
)

// openIncident puts a new verdict into the incident that it belongs to: one
// about the same culprit, about somebody that it calls or is called by, about its
// host, or about those of its site that fell silent with it; else a new one.
func (e *Engine) openIncident(n *entity, v *verdict.Verdict) {
	for _, inc := range e.incidents {
		if inc.Resolved == 0 && inc.takes(n, v) {
			v.Incident = inc.ID
			inc.open[n] = v
			inc.member(n)
			e.emitIncident(contract.EventIncidentUpdated, inc, n, v)
			return
		}
	}
	if len(e.incidents) >= e.params.MaxIncidents {
		e.dropIncident()
	}
	inc := &incident{
		Incident: verdict.Incident{ID: incidentID(v), Opened: e.now, Class: v.Class, Culprit: v.Culprit, Reason: v.Reason},
		open:     map[*entity]*verdict.Verdict{n: v},
	}
	inc.member(n)
	v.Incident = inc.ID
	e.incidents = append(e.incidents, inc)
	e.emitIncident(contract.EventIncidentOpened, inc, n, v)
}

// dropIncident makes room: the oldest of those that are over, else of those about
// passers-by, else of all, is followed no longer. Whoever was told of it is told so.
func (e *Engine) dropIncident() {
	victim, worth := 0, 3
	for i, inc := range e.incidents {
		w := 0
		for n := range inc.open {
			if w = max(w, 1); n.settled {
				w = 2
				break
			}
		}
		if w < worth {
			victim, worth = i, w
		}
	}
	inc := e.incidents[victim]
	e.incidents = append(e.incidents[:victim], e.incidents[victim+1:]...)
	e.stats.ForgottenIncidents++
	inc.Resolved = e.now
	e.emitIncident(contract.EventIncidentResolved, inc, nil, nil)
}

// incidentID is derived from what the incident is, so that a replay gives the
// same one.
func incidentID(v *verdict.Verdict) string {
	h := report.Hash(v.Culprit.Service.Key(), string(v.Culprit.Type))
	h = report.Hash(h, v.Culprit.Name)
	return fmt.Sprintf("%016x", report.Hash(h, fmt.Sprint(int64(v.Since))))
}

func (i *incident) takes(n *entity, v *verdict.Verdict) bool {
	if i.Culprit == v.Culprit && v.Since.Sub(max(i.last, i.Opened)) < reopenWithin {
		return true
	}
	for m, other := range i.open {
		if apart := v.Since.Sub(other.Since); apart > mergeWithin || apart < -mergeWithin {
			continue
		}
		if m.dependsOn(n) || n.dependsOn(m) || oneServer(m, n) && other.Class == v.Class || fellSilentTogether(m, n, other, v) || m.kind == kindInstance && n.kind == kindInstance && m.src.Host != "" && m.src.Host == n.src.Host && m.service != n.service && bothSilent(m, n) {
			return true
		}
	}
	return false
}

// dependsOn says whether n calls m or, where callers name only services, m's
// service.
func (n *entity) dependsOn(m *entity) bool {
	for _, ed := range n.callees {
		if ed.callee == m || m.service != nil && ed.callee == m.service.whole {
			return true
		}
	}
	return false
}

// oneServer says whether two without telemetry are one server, which some call by its
// name and others by its address, or at two of its ports.
func oneServer(m, n *entity) bool {
	if m.kind != kindExternal || n.kind != kindExternal {
		return false
	}
	if slices.Contains(m.addresses, n.address) || slices.Contains(n.addresses, m.address) {
		return true
	}
	host := hostPart(m.address)
	return host != "" && host == hostPart(n.address)
}

// clearAddresses clears what was said of n, a server, by its addresses: it goes on
// by the name that others call it by.
func (e *Engine) clearAddresses(n *entity, v *verdict.Verdict) {
	if n.kind != kindExternal {
		return
	}
	for _, a := range n.addresses {
		by := e.reg.byKey[externalKey(a)]
		if by == nil || by == n || by.verdict == nil || by.verdict.Class != v.Class && by.verdict.Class != verdict.ClassUnknown {
			continue
		}
		e.clear(by, "it is "+n.name())
		if by.episode != nil {
			e.endEpisode(by)
		}
	}
}

// hostPart is the name or IP of an address, "" of one that is each host's own.
func hostPart(address string) string {
	at := strings.LastIndexByte(address, ':')
	if at < 0 || strings.Contains(address, "@") {
		return ""
	}
	host := address[:at]
	if host == "localhost" || host == "[::1]" || strings.HasPrefix(host, "127.") {
		return ""
	}
	return host
}

func bothSilent(m, n *entity) bool {
	return m.episode != nil && n.episode != nil && m.episode.silent() && n.episode.silent()
}

// fellSilentTogether says whether two of one site, feeder or cell were heard for the
// last time within the usual time between two signs: whatever takes that away takes
// all of it.
func fellSilentTogether(m, n *entity, a, b *verdict.Verdict) bool {
	if m.kind != kindInstance || n.kind != kindInstance || m.src.Group == "" || m.src.Group != n.src.Group || !bothSilent(m, n) {
		return false
	}
	apart := a.Since.Sub(b.Since)
	return max(apart, -apart) <= max(m.usualGap(), n.usualGap())+deliveredWithin
}

// usualGap is the longest of the usual times between n's regular signs of life.
func (n *entity) usualGap() (gap time.Duration) {
	for _, s := range n.streams {
		gap = max(gap, s.gaps.Interval)
	}
	return gap
}

// deliveredWithin is by how much signs that were sent at once may come apart.
const deliveredWithin = 2 * time.Second

func (i *incident) member(n *entity) {
	name := n.name()
	at := sort.SearchStrings(i.Members, name)
	if at < len(i.Members) && i.Members[at] == name || len(i.Members) >= maxMembers {
		return
	}
	members := make([]string, 0, len(i.Members)+1) // events hold the old slice
	members = append(append(append(members, i.Members[:at]...), name), i.Members[at:]...)
	i.Members = members
}

// joinIncident replaces n's verdict in its incident after a revision.
func (e *Engine) joinIncident(n *entity, v *verdict.Verdict) {
	for _, inc := range e.incidents {
		if inc.ID == v.Incident {
			before := inc.open[n]
			inc.open[n] = v
			if inc.Culprit == v.Culprit && (before == nil || before.Class != v.Class) {
				inc.Class, inc.Reason = v.Class, v.Reason
				e.emitIncident(contract.EventIncidentUpdated, inc, n, v)
			}
			return
		}
	}
}

func (e *Engine) leaveIncident(n *entity, v *verdict.Verdict) {
	for _, inc := range e.incidents {
		if inc.ID == v.Incident {
			delete(inc.open, n)
			inc.last = e.now
			return
		}
	}
}

// resolveIncidents ends those whose verdicts have all gone, and forgets old
// ones.
func (e *Engine) resolveIncidents() {
	if e.frozen {
		return // nobody would be told
	}
	kept := e.incidents[:0]
	for _, inc := range e.incidents {
		if inc.Resolved == 0 && len(inc.open) == 0 && e.now.Sub(inc.last) >= resolveAfter {
			inc.Resolved = e.now
			e.emitIncident(contract.EventIncidentResolved, inc, nil, nil)
		}
		if inc.Resolved == 0 {
			kept = append(kept, inc)
		}
	}
	clear(e.incidents[len(kept):])
	e.incidents = kept
}

func (e *Engine) emitIncident(kind string, inc *incident, n *entity, v *verdict.Verdict) {
	now := inc.Incident
	ev := verdict.Event{Kind: kind, Entity: inc.Culprit.Name, Incident: &now, Verdict: v}
	if n != nil {
		ev.Source = n.described()
	}
	switch kind {
	case contract.EventIncidentOpened:
		ev.Body = fmt.Sprintf("incident %s: %s of %s: %s", inc.ID, inc.Class, inc.Culprit.Name, inc.Reason)
	case contract.EventIncidentUpdated:
		ev.Body = fmt.Sprintf("incident %s: %s of %s: %s", inc.ID, v.Class, v.Culprit.Name, v.Reason)
	case contract.EventIncidentResolved:
		ev.Body = fmt.Sprintf("incident %s: %s of %s is over after %s", inc.ID, inc.Class, inc.Culprit.Name, inWords(inc.Resolved.Sub(inc.Opened)))
	}
	e.emit(ev)
}
