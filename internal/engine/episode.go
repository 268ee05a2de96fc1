// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// episode is the time during which something speaks against an entity, and what
// does. It opens with the first suspicion and ends when the entity is seen to be
// well, or nothing speaks against it for long.
type episode struct {
	began        clock.Time
	onset        clock.Time    // when the failure began, as far as the evidence tells; 0 unknown
	neighbour    clock.Time    // pause.go: when, after the onset, another on its machine was first seen to go on; 0 if none
	backAt       clock.Time    // when a silent sender was heard again; 0 while it was not
	placeAt      clock.Time    // wait.go: when its machine was last seen to be silent as well; 0 if it was not
	besideAt     clock.Time    // besidecut.go: when a cut last explained that it answers nobody; 0 if none did
	stoodStill   time.Duration // how long the same process had stood still when it came back
	stoodAt      clock.Time    // evidence_callers.go: when it last answered nobody though it was asked; 0 if it always did
	noneLeft     clock.Time    // evidence_saturation.go: since when it is known to have no descriptor left; 0 if it has
	shortAt      clock.Time    // when it was last short of something that its answers need; 0 never
	latest       clock.Time    // when anything last spoke against the entity
	found        [belief.NumEvidence]finding
	dirty        bool // in Engine.pending
	index        int  // in Engine.suspects
	bad          [belief.NumGroups]bool
	spoke        clock.Time // when something spoke for its verdict last, see calm.go
	planned      bool       // told as a planned stop
	restored     clock.Time // when it was taken up again after a restart; 0 if it was not
	probed       bool       // restored: probes looked at the entity before
	direct       bool       // evidence_callers.go: its own address refuses its callers, at this evaluation
	limited      bool       // evidence_saturation.go: a limit refuses it again and again, and its own calls fail
	crowded      bool       // crowd.go: it is short of what its host has too little of, and takes little of it
	crowder      *entity    // crowd.go: who takes it, nil if that is not known
	slowHost     *hostState // slowhost.go: on which others are slow as well; nil if that is not known
	starvedOf    *entity    // evidence_starved.go: for whose connections calls wait in vain now, nil if for nobody's
	stopped      bool       // probes.go: its process was seen to be stopped
	dead         bool       // evidence_ending.go: it is known to have ended and not to be back, at this evaluation
	routedAround bool       // evidence_proxies.go: only its proxies miss it, and not for long yet
	unread       bool       // queue.go: spans alone tell that what is sent to it is not read
	untold       bool       // and it has told nothing else since, either
	stalls       bool       // evidence_stall.go: it is who answers nobody, at this evaluation
	past         clock.Time // kept.go: when the engine was told late of an end; 0 if it was not
	oneVoice     bool       // onesword.go: only one says that its answers are wrong, at this evaluation
	contested    bool       // and others were answered well meanwhile
	stale        bool       // it is its digest that is wrong, and that is merely an old one
	doubted      bool       // doubt.go: it may soon be convicted of wrong answers
	failing      float64    // probability at the last evaluation that it is a failure of the entity
}

// finding is one piece of evidence in an episode.
type finding struct {
	strength float64    // 0-1; 0 is none
	at       clock.Time // when it was last supported
	text     string
	now      bool // its detector says so at this evaluation
}

// episodeOf returns n's episode, opened if need be.
func (n *entity) episodeOf(e *Engine) *episode {
	if n.episode == nil {
		n.episode = &episode{began: e.now, latest: e.now, index: len(e.suspects)}
		e.suspects = append(e.suspects, n)
	}
	return n.episode
}

func (e *Engine) endEpisode(n *entity) {
	e.changed = e.changed || n.episode.doubted
	i, end := n.episode.index, len(e.suspects)-1
	e.suspects[i] = e.suspects[end]
	e.suspects[i].episode.index = i
	e.suspects[end] = nil
	e.suspects = e.suspects[:end]
	n.episode, n.leading, n.since = nil, verdict.ClassNone, 0
}

// suspect opens n's episode and has it evaluated.
func (e *Engine) suspect(n *entity) {
	n.episodeOf(e)
	e.mark(n)
}

// mark has n evaluated at the end of this batch or tick.
func (e *Engine) mark(n *entity) {
	if n.episode != nil && !n.episode.dirty {
		n.episode.dirty = true
		e.pending = append(e.pending, n)
	}
}

// note records evidence at an instant. Rows with a half-life remember it.
func (p *episode) note(kind belief.Evidence, strength float64, now clock.Time, text string) {
	if math.IsNaN(strength) {
		strength = 0 // a share of nothing
	}
	f := &p.found[kind]
	f.strength, f.at, f.text, f.now = stat.Clamp(strength, 0, 1), now, text, true
}

// value is the strength of a finding now; what no detector says any more fades.
func (p *episode) value(kind belief.Evidence, now clock.Time) float64 {
	f := &p.found[kind]
	if f.strength == 0 {
		return 0
	}
	if f.now {
		return f.strength
	}
	h := kind.HalfLife()
	if h == 0 {
		f.strength = 0
		return 0
	}
	v := f.strength * math.Exp2(-float64(max(now-f.at, 0))/float64(h))
	if v < 0.02 {
		f.strength = 0
		return 0
	}
	return v
}

// strengths is how strong everything is that was found.
func (p *episode) strengths(now clock.Time) *belief.Strengths {
	var all belief.Strengths
	for kind := range all {
		all[kind] = p.value(belief.Evidence(kind), now)
	}
	return &all
}
