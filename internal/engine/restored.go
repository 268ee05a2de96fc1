// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// A restart of the engine is no recovery: who was failing before is failing until
// those who said so are heard again.

// The stored form of what fails.
type (
	storedFailures struct {
		Rows      int              `json:"rows"` // size of the table of weights: findings of another one are not read
		Others    []storedOther    `json:"others,omitempty"`
		Incidents []storedIncident `json:"incidents,omitempty"`
	}
	// storedEpisode is an episode with a verdict.
	storedEpisode struct {
		Verdict *verdict.Verdict `json:"verdict,omitempty"`
		Cause   uint8            `json:"cause,omitempty"`
		Bad     []int            `json:"bad,omitempty"`
		Began   clock.Time       `json:"began,omitempty"`
		Probed  bool             `json:"probed,omitempty"`
		Found   []storedFinding  `json:"found,omitempty"`
	}
	storedFinding struct {
		Row      int        `json:"row"`
		Strength float64    `json:"strength"`
		At       clock.Time `json:"at"`
		Text     string     `json:"text"`
	}
	// storedOther is one with a verdict that is no instance: a service, one known
	// by its address, or what is cut.
	storedOther struct {
		Service report.ServiceID `json:"service"`
		Address string           `json:"address,omitempty"`
		Cut     *storedCut       `json:"cut,omitempty"`
		storedEpisode
	}
	storedCut struct {
		Near  storedSide `json:"near"`
		Far   storedSide `json:"far"`
		Slow  bool       `json:"slow,omitempty"`
		Lossy bool       `json:"lossy,omitempty"`
		Began clock.Time `json:"began"`
		Score float64    `json:"score"`
		Sure  float64    `json:"sure"`
		Share float64    `json:"share"`
		Paths int        `json:"paths"`
		Of    int        `json:"of"`
	}
	storedSide struct {
		Zone   string `json:"zone,omitempty"`
		Here   bool   `json:"here,omitempty"`
		Host   string `json:"host,omitempty"`
		Entity uint64 `json:"entity,omitempty"` // key
	}
	storedIncident struct {
		Incident verdict.Incident `json:"incident"`
		Last     clock.Time       `json:"last,omitempty"`
	}
)

func (n *entity) storeEpisode() storedEpisode {
	if n.verdict == nil || n.episode == nil {
		return storedEpisode{}
	}
	p := n.episode
	st := storedEpisode{
		Verdict: n.verdict, Cause: uint8(n.heldCause), Began: p.began, Probed: len(n.probes) > 0 || p.probed,
	}
	for g, bad := range p.bad {
		if bad {
			st.Bad = append(st.Bad, g)
		}
	}
	for k := range p.found {
		if f := &p.found[k]; f.strength > 0 && belief.Evidence(k).HalfLife() > 0 {
			st.Found = append(st.Found, storedFinding{k, f.strength, f.at, f.text})
		}
	}
	return st
}

func (e *Engine) storeFailures() storedFailures {
	st := storedFailures{Rows: int(belief.NumEvidence)}
	for _, n := range e.suspects {
		if n.kind == kindInstance || n.verdict == nil {
			continue
		}
		o := storedOther{Service: n.src.Service, storedEpisode: n.storeEpisode()}
		if n.kind == kindExternal {
			o.Address = n.address
		}
		if n.cut != nil {
			o.Cut = n.cut.store()
		}
		st.Others = append(st.Others, o)
	}
	for _, inc := range e.incidents {
		kept := inc.Incident
		kept.Members = slices.Clone(kept.Members)
		st.Incidents = append(st.Incidents, storedIncident{kept, inc.last})
	}
	return st
}

func (c *cutState) store() *storedCut {
	side := func(s *side) storedSide {
		st := storedSide{Zone: s.zone, Here: s.here != nil}
		if s.host != nil {
			st.Host = s.host.name
		}
		if s.entity != nil {
			st.Entity = s.entity.key
		}
		return st
	}
	f := &c.found
	return &storedCut{
		Near: side(&c.near), Far: side(&c.far), Slow: c.slow, Lossy: c.lossy, Began: c.began,
		Score: f.score, Sure: f.sure, Share: f.share, Paths: f.paths, Of: f.of,
	}
}

// restoreFailures takes up what failed, and the incidents, when the instances are
// known.
func (e *Engine) restoreFailures(st *storedState) {
	back := max(st.Saved.Sub(e.now), 0)
	for i := range st.Incidents {
		in := &st.Incidents[i]
		in.Incident.Opened = in.Incident.Opened.Add(-back)
		if in.Incident.Resolved != 0 || len(e.incidents) >= e.params.MaxIncidents {
			continue
		}
		e.incidents = append(e.incidents, &incident{Incident: in.Incident, open: map[*entity]*verdict.Verdict{}, last: e.now})
	}
	for i := range st.Instances {
		in := &st.Instances[i]
		if n := e.reg.byKey[report.NewSource(in.Source).Key]; n != nil {
			in.setBack(back)
			e.restoreEpisode(n, &in.storedEpisode, st.Rows)
		}
	}
	for i := range st.Others {
		o := &st.Others[i]
		o.setBack(back)
		if o.Cut != nil {
			o.Cut.Began = o.Cut.Began.Add(-back)
		}
		if n := e.restoreOther(o); n != nil {
			e.restoreEpisode(n, &o.storedEpisode, st.Rows)
		}
	}
}

// setBack dates a verdict earlier. A clock that was set back while nobody was here would
// have the failure begin in the future, and what it hurts not be tagged until then.
func (st *storedEpisode) setBack(by time.Duration) {
	if v := st.Verdict; v != nil {
		v.Since, v.Decided = v.Since.Add(-by), v.Decided.Add(-by)
	}
}

func (e *Engine) restoreOther(o *storedOther) *entity {
	switch {
	case o.Verdict == nil:
		return nil
	case o.Cut != nil:
		return e.restoreCut(o.Cut)
	case o.Address != "":
		n := e.external(o.Address)
		n.alive, n.answered = true, true
		return n
	case o.Service.Name != "":
		n := e.wholeService(e.serviceOf(o.Service))
		n.alive, n.answered = true, true
		return n
	}
	return nil
}

func (e *Engine) restoreCut(st *storedCut) *entity {
	side := func(st storedSide) (s side, ok bool) {
		s.zone, s.host = st.Zone, e.host(st.Host)
		if st.Here {
			s.here = e.here
		}
		if st.Entity != 0 {
			if s.entity = e.reg.byKey[st.Entity]; s.entity == nil {
				return s, false
			}
		}
		return s, true
	}
	near, ok := side(st.Near)
	far, too := side(st.Far)
	if !ok || !too || near.anywhere() || len(e.cuts) >= maxCutStates {
		return nil
	}
	f := foundCut{
		cut: cut{near: near, far: far, lossy: st.Lossy}, score: st.Score, sure: st.Sure, share: st.Share, paths: st.Paths, of: st.Of,
		since: st.Began, bad: e.now,
	}
	c := &cutState{cut: f.cut, slow: st.Slow, found: f, at: e.now, began: st.Began, before: true}
	c.entity = e.cutEntity(c)
	c.entity.cut = c
	e.cuts = append(e.cuts, c)
	return c.entity
}

// cutBefore says whether n is seen over a way that was cut before the engine was
// started: that it was ever open is known from then.
func (e *Engine) cutBefore(w *view, n *entity) bool {
	for _, c := range e.cuts {
		if c.before && c.predicts(&sight{from: w.from, to: n.host, caller: w.caller, target: n}) {
			return true
		}
	}
	return false
}

func (e *Engine) restoreEpisode(n *entity, st *storedEpisode, rows int) {
	v := st.Verdict
	if v == nil || belief.Cause(st.Cause) >= belief.NumCauses || n.verdict != nil {
		return
	}
	p := n.episodeOf(e)
	p.began, p.onset, p.latest, p.restored, p.probed = min(st.Began, e.now), v.Since, e.now, e.now, st.Probed
	for _, g := range st.Bad {
		if g >= 0 && g < int(belief.NumGroups) {
			p.bad[g] = true
		}
	}
	for _, f := range st.Found {
		if rows == int(belief.NumEvidence) && f.Row >= 0 && f.Row < rows && belief.Evidence(f.Row).HalfLife() > 0 {
			p.found[f.Row] = finding{strength: stat.Clamp(f.Strength, 0, 1), at: min(f.At, e.now), text: f.Text}
		}
	}
	held := *v
	n.verdict, n.heldCause, n.leading = &held, belief.Cause(st.Cause), v.Class
	i := slices.IndexFunc(e.incidents, func(inc *incident) bool { return inc.ID == v.Incident })
	if i < 0 { // stored before incidents were
		if len(e.incidents) >= e.params.MaxIncidents {
			e.dropIncident()
		}
		i = len(e.incidents)
		e.incidents = append(e.incidents, &incident{
			Incident: verdict.Incident{ID: v.Incident, Opened: v.Since, Class: v.Class, Culprit: v.Culprit, Reason: v.Reason, Members: []string{n.name()}},
			open:     map[*entity]*verdict.Verdict{},
		})
	}
	e.incidents[i].open[n] = &held
}

// heardSince says whether those who spoke against n before a restart were heard
// again since, or are not to be expected any more.
func (e *Engine) heardSince(n *entity, p *episode, replaced bool) bool {
	if p.restored == 0 || replaced {
		return true
	}
	if p.bad[belief.GroupHeartbeat] && !slices.ContainsFunc(n.streams, func(s *stream) bool { return s.real != neverHeard }) {
		return false
	}
	if p.probed && len(n.probes) == 0 && (p.bad[belief.GroupProbe] || p.bad[belief.GroupRuntime] || p.bad[belief.GroupIntegrity]) {
		return false
	}
	if p.bad[belief.GroupCallers] || p.bad[belief.GroupIntegrity] && !p.probed {
		s := n.calls
		if s == nil && n.service != nil && n.service.whole != nil {
			s = n.service.whole.calls
		}
		return s != nil || e.now.Sub(p.restored) >= e.params.RecoveryCalls
	}
	return true
}
