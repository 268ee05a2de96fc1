// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// Who reaches whom? Each view of an entity from a host, and each stream of
// signs to an observer, is a sight: something came back, or nothing did. A cut
// predicts silence for every sight that crosses it and for no other, so the
// sights choose between one that explains many silences and a failure of each
// target by itself (after the reachability hypotheses of the partition studies:
// Alquraan et al., OSDI 2018; Alfatafta et al., OSDI 2020).

// sight is whether something gets from one host to another, as seen lately.
type sight struct {
	from    *hostState
	to      *hostState
	caller  *entity    // who called; nil for probes and signs of life
	target  *entity    // who was called; nil for signs of life, which go to an observer
	named   *entity    // the service that the caller named, where target is one behind its name
	broken  bool       // some could not even connect
	unacked bool       // a kernel tells that nothing is acknowledged
	over    bool       // the latest call on it was answered
	arrived bool       // what was asked in vain arrives there, late
	back    bool       // it was silent once, on end, and answers again: it does not come and go
	told    bool       // agents at both ends tell of it meanwhile: neither is cut off from all
	looked  bool       // of what is not acknowledged: an agent on its machine looks at the target
	late    bool       // something came back, and took long: what comes to the target may wait at its door
	share   float64    // of what got no reply, 0-1
	calls   float64    // that say so
	weight  float64    // 0-3, how much it says
	since   clock.Time // when the silence began
	good    clock.Time // when something last came back
	goodOn  clock.Time // since when something does, on end
	bad     clock.Time // when nothing last came back
	tried   clock.Time // when the latest call to which nothing came back began
	taken   bool       // an explanation has been found
	cut     float64    // nats that it says for a cut against none
	lossy   float64    // nats that it says for a link that loses packets
}

// cut is a hypothesis: nothing, or only a part, gets from one side to the other.
type cut struct {
	near, far side
	lossy     bool    // a part gets through
	prior     float64 // nats
	said      float64 // nats over no cut, without caps
	placed    placing // where it takes those to stand of whom nobody tells
	price     float64 // nats, of that
}

const (
	silentIfCut   = 0.92 // probability of no reply across a cut
	silentIfLossy = 0.30 // across a link that loses packets
	silentIfWell  = 0.03 // anywhere else
	sightCap      = 14.0 // nats that the word of one host may add up to
	acceptedFrom  = 2.0  // nats over no cut at all
	maxCuts       = 8    // found in one pass
	solveEvery    = 250 * time.Millisecond

	priorStands     = -0.5 // it stands already
	priorTarget     = -2.0 // the target itself fails
	priorHost       = -4.0
	priorSource     = -4.0
	priorZone       = -4.5
	priorZoneToZone = -5.0
	priorHostToHost = -5.5
	priorLossy      = -1.0
	priorPlaced     = -1.0 // that a server stands on a certain side, where nobody tells
	priorAway       = -7.0 // that an observer stands in another zone than all that beat to it
	priorHostToOne  = -5.8
	priorAllToAll   = -6.2
	// A caller that is ill itself is late; that it cannot even connect is the
	// network's doing, and then the way to the one that it did not reach is the
	// least that can be cut.
	priorCaller    = -3.0
	priorCallerCut = -7.0
)

// predicts says whether the cut silences a sight. A reply has to come back, so
// the direction does not matter.
func (c *cut) predicts(s *sight) bool {
	if s.told && c.far.anywhere() {
		return false
	}
	if c.near.door {
		return s.target == c.near.entity
	}
	if p, ok := s.leadsTo(); ok && (p.host == nil || c.near.zone != "" && (p.host != c.near.here || !c.far.anywhere())) {
		return c.predictsAt(s, c.placed[p])
	}
	if c.far.anywhere() { // near is cut off from all others
		return c.near.has(s.from, s.caller) != c.near.has(s.to, s.target)
	}
	return c.near.has(s.from, s.caller) && c.far.has(s.to, s.target) ||
		c.near.has(s.to, s.target) && c.far.has(s.from, s.caller)
}

// says is what a sight says for silence of a probability p against well, nats.
func (s *sight) says(p float64) float64 {
	return s.weight * (s.share*math.Log(p/silentIfWell) + (1-s.share)*math.Log((1-p)/(1-silentIfWell)))
}

// found is a cut that the sights speak for.
type foundCut struct {
	cut
	score   float64 // nats over no cut
	sure    float64 // 0-1, among the explanations of the same silences
	since   clock.Time
	bad     clock.Time // latest silence that it explains
	broken  bool       // some could not even connect
	unacked bool       // a kernel tells that nothing is acknowledged
	share   float64    // of what got no reply across it
	probes  int        // of paths, those of probes
	asked   bool       // somebody called or probed in vain, and not only was not heard
	froms   int        // hosts that met with silence
	paths   int        // sights across it that are silent, at least in part
	of      int        // sights across it
	vain    bool       // all could connect: nothing tells that it is the way
	beside  bool       // all could connect, and those beside the far end go on answering
}

// solve finds the cuts that explain the silences, likeliest first. here is where
// the engine stands, of which it may not know the zone. A cut that stands already
// goes on sooner than another begins.
func solve(sights []sight, here *hostState, stands ...*cutState) []foundCut {
	weighSights(sights)
	homes := homesOf(sights, here)
	nowhere := placelessIn(sights, homes)
	places := endsOf(sights, nowhere, here)
	var out []foundCut
	for range maxCuts {
		hypotheses := propose(sights, here)
		if len(hypotheses) == 0 {
			break
		}
		scores := make([]float64, len(hypotheses))
		for i := range hypotheses {
			hypotheses[i].lasts(stands)
			hypotheses[i].place(sights, nowhere, homes, here)
			scores[i] = hypotheses[i].score(places.across(sights, &hypotheses[i]))
		}
		best := likeliest(hypotheses, scores, func(c *cut) []sight { return places.across(sights, c) })
		if scores[best] < acceptedFrom {
			break
		}
		f := foundCut{cut: hypotheses[best], score: scores[best]}
		explained := places.across(sights, &f.cut)
		var total, same float64
		for i := range hypotheses {
			h := &hypotheses[i]
			if twoSided := !f.far.anywhere(); twoSided == !h.far.anywhere() && (twoSided || h.near.kin(&f.near)) {
				same += math.Exp(scores[i] - scores[best]) // lossy or complete, narrower or wider: a cut all the same
			} else if h.overlaps(&f.cut, explained) {
				total += math.Exp(scores[i] - scores[best])
			}
		}
		total += same
		f.sure = same / max(total, same)
		f.take(sights)
		out = append(out, f)
	}
	return out
}

// lasts gives the cut the prior of one that stands already, if it does.
func (c *cut) lasts(stands []*cutState) {
	for _, old := range stands {
		if c.sameAs(&old.cut) {
			c.prior = priorStands
		}
	}
}

// sameAs says whether both lie between the same two sides.
func (c *cut) sameAs(d *cut) bool {
	return c.near == d.near && c.far == d.far || c.near == d.far && c.far == d.near
}

// likeliest is the index of the best hypothesis. A place that is better explained
// by links to some others is none.
func likeliest(hypotheses []cut, scores []float64, across func(*cut) []sight) int {
	for {
		best := 0
		for i := range scores {
			if scores[i] > scores[best] {
				best = i
			}
		}
		if scores[best] < acceptedFrom || !hypotheses[best].isManyLinks(across(&hypotheses[best])) {
			if zone := zoneAround(hypotheses, scores, best); zone != best && !hypotheses[zone].isManyLinks(across(&hypotheses[zone])) {
				return zone
			}
			return best
		}
		scores[best] = math.Inf(-1)
	}
}

// zoneAround is the zone of the machine that is the best hypothesis, if that it is cut off
// is about as likely, and likelier by all that is said, beyond the caps, too: where few
// look, what one of its machines explains is as much as counts. Else it is the best.
func zoneAround(hypotheses []cut, scores []float64, best int) int {
	machine := &hypotheses[best]
	if machine.near.host == nil || !machine.far.anywhere() {
		return best
	}
	for i := range hypotheses {
		h := &hypotheses[i]
		if h.near.zone != "" && h.far.anywhere() && h.near.has(machine.near.host, nil) && !h.lossy && h.said > hypotheses[best].said && scores[i] >= scores[best]-aboutAsLikely {
			best = i
		}
	}
	return best
}

// aboutAsLikely is by how many nats the scores of two hypotheses may differ that are
// told apart by what is said beyond the caps.
const aboutAsLikely = 1.0

// kin says whether two sides are places, or the same entity: a failure of an
// entity is another explanation than a failure of the ways to it.
func (s *side) kin(t *side) bool {
	if s.entity != nil || t.entity != nil {
		return s.entity == t.entity
	}
	return true
}

// weighSights fills in what each sight says. What was seen to be well before the
// first silence began says nothing of now, nor what an observer told of in its last
// report before it fell silent.
func weighSights(sights []sight) {
	began := clock.Time(0)
	var lastWord map[*hostState]clock.Time // of observers that are silent
	for i := range sights {
		s := &sights[i]
		if s.share < 0.5 || s.since == 0 {
			continue
		}
		if began == 0 || s.since < began {
			began = s.since
		}
		if s.caller == nil && s.target == nil {
			if lastWord == nil {
				lastWord = map[*hostState]clock.Time{}
			}
			lastWord[s.from] = s.since
		}
	}
	for i := range sights {
		s := &sights[i]
		last := max(lastWord[s.from], lastWord[s.to])
		if s.share < silentFrom && (s.good < began || last != 0 && s.good <= last) {
			s.weight *= staleWeight
		}
		if s.cut, s.lossy = s.says(silentIfCut), s.says(silentIfLossy); s.back {
			s.lossy = min(s.lossy, 0)
		}
	}
}

// staleWeight is what such a sight still counts: it tells that there is a way at all.
const staleWeight = 0.02

// score is the log-likelihood over no cut at all, of a complete cut or of one
// that lets a part through, whichever is higher. The word of one host counts
// only so much: one sick observer must not outvote the rest.
func (c *cut) score(sights []sight) float64 {
	if c.onlyOneWay(sights) {
		return math.Inf(-1)
	}
	prior := c.prior + c.price
	whole, part := prior, prior+priorLossy
	var hostWhole, hostPart, saidWhole, saidPart float64
	var from *hostState
	add := func() {
		whole += stat.Clamp(hostWhole, -sightCap, sightCap)
		part += stat.Clamp(hostPart, -sightCap, sightCap)
		saidWhole, saidPart = saidWhole+hostWhole, saidPart+hostPart
	}
	for i := range sights {
		s := &sights[i]
		if s.from != from {
			add()
			from, hostWhole, hostPart = s.from, 0, 0
		}
		if !s.taken && c.predicts(s) {
			hostWhole += s.cut
			hostPart += s.lossy
		}
	}
	add()
	c.said = prior + max(saidWhole, saidPart)
	if c.lossy = part > whole; c.lossy && c.losesApart(sights) {
		c.lossy, part = false, math.Inf(-1)
	}
	return max(whole, part)
}

// onlyOneWay says whether a place is met with silence from one other place only
// and reached from another: then it is not cut off, the way between the two is.
func (c *cut) onlyOneWay(sights []sight) bool {
	if !c.far.anywhere() || c.near.entity != nil {
		return false
	}
	var silent, reached [2]any // the first two places
	note := func(places *[2]any, place any) {
		switch {
		case places[0] == nil:
			places[0] = place
		case places[0] != place && places[1] == nil:
			places[1] = place
		}
	}
	for i := range sights {
		s := &sights[i]
		if s.taken || !c.predicts(s) {
			continue
		}
		other := s.from
		if c.near.has(s.from, s.caller) {
			other = s.to
		}
		if other == nil || c.near.zone != "" && other.zone == "" {
			continue // nobody knows where it stands
		}
		var place any = other
		if c.near.zone != "" || c.near.host.zone != "" && other.zone != "" && other.zone != c.near.host.zone {
			place = other.zone
		}
		switch {
		case s.share >= 0.5:
			if note(&silent, place); silent[1] != nil {
				return false
			}
		case s.share < silentFrom && s.weight > goodEnough:
			note(&reached, place)
		}
	}
	return silent[0] != nil && (reached[0] != nil && reached[0] != silent[0] || reached[1] != nil)
}

// goodEnough is the weight from which on a sight shows that a way is open now.
const goodEnough = 0.4

// overlaps says whether two cuts explain one silence.
func (c *cut) overlaps(d *cut, sights []sight) bool {
	for i := range sights {
		if s := &sights[i]; !s.taken && s.share >= 0.5 && c.predicts(s) && d.predicts(s) {
			return true
		}
	}
	return false
}

// take marks what the cut explains and sums it up.
func (f *foundCut) take(sights []sight) {
	var sum, n float64
	var from *hostState
	var over clock.Time // earliest silence that is over: it had a reason of its own
	for i := range sights {
		s := &sights[i]
		if s.taken || !f.predicts(s) {
			continue
		}
		f.of++
		sum += s.share * s.weight
		n += s.weight
		if s.share < silentFrom {
			continue
		}
		s.taken = true
		f.paths++
		f.broken, f.unacked = f.broken || s.broken, f.unacked || s.unacked
		inside := s.caller == nil && f.far.anywhere() && f.near.has(s.from, nil) // an agent there, which looks for others
		f.asked = f.asked || s.target != nil && !inside
		if s.target != nil && s.caller == nil {
			f.probes++
		}
		if s.from != from {
			f.froms++
			from = s.from
		}
		f.bad = max(f.bad, s.bad)
		since := &f.since
		if !f.lossy && s.good > s.bad {
			since = &over
		}
		if *since == 0 || s.since < *since {
			*since = s.since
		}
	}
	if f.since == 0 {
		f.since = over
	}
	if n > 0 {
		f.share = sum / n
	}
}

// silentFrom is the share without a reply from which on a sight asks for an
// explanation.
const silentFrom = 0.12

// propose lists the cuts that could explain the silences left.
func propose(sights []sight, here *hostState) []cut {
	var out []cut
	seen, pairs := map[[2]side]bool{}, 0
	add := func(near, far side, prior float64) {
		key := [2]side{near, far}
		if seen[key] || seen[[2]side{far, near}] {
			return
		}
		seen[key] = true
		out = append(out, cut{near: near, far: far, prior: prior})
	}
	up, apart := machinesUp(sights), here != nil && here.zone == "" && moreThanTwoZones(sights)
	for i := range sights {
		s := &sights[i]
		if s.taken || s.share < silentFrom {
			continue
		}
		if len(out) >= maxHypotheses {
			break
		}
		if s.target != nil && !up[s.target] {
			add(side{entity: s.target}, side{}, priorTarget)
		}
		if s.late {
			add(side{entity: s.target, door: true}, side{}, priorTarget)
		}
		if s.caller != nil {
			prior := priorCaller
			if s.broken {
				prior = priorCallerCut
			}
			add(side{entity: s.caller}, side{}, prior)
		}
		for _, h := range [...]*hostState{s.from, s.to} {
			if h == nil {
				continue
			}
			if h.name != "" { // of whom nobody tells the host stands for himself
				add(side{host: h}, side{}, priorHost)
			}
			if h.zone != "" {
				add(side{zone: h.zone}, side{}, priorZone)
				if apart {
					add(side{zone: h.zone, here: here}, side{}, priorZone-0.5)
				}
			}
		}
		if s.from == nil {
			continue
		}
		if s.to != nil && s.to.name != "" && s.from.name != "" {
			add(side{host: s.from}, side{host: s.to}, priorHostToHost)
		}
		if s.to != nil && s.from.zone != "" && s.to.zone != "" && s.from.zone != s.to.zone {
			add(side{zone: s.from.zone}, side{zone: s.to.zone}, priorZoneToZone)
		}
		if s.target != nil {
			add(side{host: s.from}, side{entity: s.target}, priorHostToOne)
			if s.caller != nil {
				add(side{entity: s.caller}, side{entity: s.target}, priorHostToOne-0.2)
			}
			if pair, ok := s.servicesApart(); ok && pairs < maxPairs && !seen[pair] {
				pairs++
				if kept := (&cut{near: pair[0], far: pair[1]}).keepsApart(sights); kept {
					add(pair[0], pair[1], priorAllToAll)
				}
			}
		}
	}
	betweenUnreached(sights, func(a, b string) { add(side{zone: a}, side{zone: b}, priorZoneToZone) })
	if len(out) > maxHypotheses {
		out = out[:maxHypotheses]
	}
	return out
}

// maxHypotheses bounds one pass; a larger failure is explained by what it has
// in common, and that is proposed by its first sights.
const maxHypotheses = 250
