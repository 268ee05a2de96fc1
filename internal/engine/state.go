// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// stateVersion is raised when the stored form changes in a way that an older
// reader would misread.
const stateVersion = 1

// The stored form: what cannot be learned again at once. JSON, because it is
// small, and a person may have to look at it.
type (
	storedState struct {
		Version   int              `json:"version"`
		Saved     clock.Time       `json:"saved"`
		Instances []storedInstance `json:"instances"`
		storedFailures
	}
	storedInstance struct {
		Source       report.Source  `json:"source"`
		Born         clock.Time     `json:"born"`
		Touched      clock.Time     `json:"touched"`
		Left         bool           `json:"left,omitempty"`
		Incarnations []uint64       `json:"incarnations,omitempty"`
		Began        []clock.Time   `json:"began,omitempty"` // when each of these was first seen
		Addresses    []string       `json:"addresses,omitempty"`
		Streams      []storedStream `json:"streams,omitempty"`
		Announced    clock.Time     `json:"announced,omitempty"`
		LastAnnounce clock.Time     `json:"last_announced,omitempty"`
		Well         clock.Time     `json:"well,omitempty"` // when its last failure was over
		storedEpisode
	}
	storedStream struct {
		Observer string         `json:"observer,omitempty"`
		Kind     uint8          `json:"kind,omitempty"`
		Interval time.Duration  `json:"interval"`
		Declared bool           `json:"declared,omitempty"`
		Token    uint64         `json:"token,omitempty"`
		Seq      uint64         `json:"seq,omitempty"`
		Seen     uint32         `json:"seen"`
		Kept     uint32         `json:"kept,omitempty"`
		Gaps     map[int]uint32 `json:"gaps,omitempty"` // of gaps, when it is encoded
		gaps     stat.Accrual
	}
)

// Save returns the engine's state for Restore: who is known, how regular they
// are, at which addresses they are called, and which verdicts are in force.
func (e *Engine) Save() ([]byte, error) { return e.Capture()() }

// Capture takes a copy of what Save returns. To encode it takes longer, so that may be
// done beside the engine: encode shares nothing with it.
func (e *Engine) Capture() (encode func() ([]byte, error)) {
	st := storedState{Version: stateVersion, Saved: e.now, Instances: make([]storedInstance, 0, len(e.reg.byKey))}
	for _, q := range [...]*lru{&e.reg.settled, &e.reg.passersBy} {
		for n := q.tail; n != nil; n = n.prev {
			if n.kind == kindInstance && n.alive {
				st.Instances = append(st.Instances, n.store())
			}
		}
	}
	st.storedFailures = e.storeFailures()
	return func() ([]byte, error) {
		for i := range st.Instances {
			streams := st.Instances[i].Streams
			for k := range streams {
				streams[k].Gaps = streams[k].gaps.Store()
			}
		}
		return json.Marshal(&st)
	}
}

func (n *entity) store() storedInstance {
	in := storedInstance{
		Source: *n.src, Born: n.born, Touched: n.touched, Left: n.left, Addresses: slices.Clone(n.addresses),
		Announced: n.announced, LastAnnounce: n.announcedLast, Well: n.well, storedEpisode: n.storeEpisode(),
	}
	for _, inc := range n.incarnations {
		if inc.token != 0 {
			in.Incarnations, in.Began = append(in.Incarnations, inc.token), append(in.Began, inc.first)
		}
	}
	in.Streams = slices.Grow(in.Streams, len(n.streams))
	for _, s := range n.streams {
		t := storedStream{
			Observer: s.observer.id, Kind: uint8(s.kind), Interval: s.gaps.Interval, Declared: s.declared,
			Token: s.token, Seq: s.seq, Seen: s.seen, Kept: s.kept, gaps: s.gaps,
		}
		in.Streams = append(in.Streams, t)
	}
	return in
}

// Restore takes up what Save returned, in an engine that has seen nothing. A
// state that cannot be read is an error and leaves e as it was.
func (e *Engine) Restore(state []byte, now clock.Time) error {
	var st storedState
	if err := json.Unmarshal(state, &st); err != nil {
		return fmt.Errorf("stored state: %w", err)
	}
	if st.Version != stateVersion {
		return fmt.Errorf("stored state has version %d, this engine reads %d", st.Version, stateVersion)
	}
	e.advance(now)
	for i := range st.Instances {
		in := &st.Instances[i]
		if in.Source.Service.Name != "" && now.Sub(in.Touched) < e.params.ForgetAfter && len(e.reg.byKey) < e.params.MaxInstances {
			e.restore(in)
		}
	}
	for _, s := range e.reg.services {
		slices.SortStableFunc(s.instances, func(a, b *entity) int { return cmp.Compare(a.born, b.born) })
	}
	e.restoreFailures(&st)
	e.changed = true
	e.settle()
	return nil
}

func (e *Engine) restore(in *storedInstance) {
	n := e.instance(report.NewSource(in.Source))
	n.alive, n.answered, n.left, n.born, n.announced = true, true, in.Left, min(in.Born, e.now), min(in.Announced, e.now)
	n.announcedLast = min(max(in.LastAnnounce, in.Announced), e.now)
	n.well = min(in.Well, e.now)
	for i, token := range in.Incarnations {
		began := n.born // of an older state
		if i < len(in.Began) {
			began = min(in.Began[i], e.now)
		}
		n.begin(token, began)
	}
	e.reg.touch(n, e.now) // it is no newcomer
	for _, a := range in.Addresses {
		e.book.put(a, n, e.now)
	}
	for _, t := range in.Streams {
		o := e.observer(t.Observer)
		if o == nil || t.Interval < 0 || signKind(t.Kind) > signTelemetry {
			continue
		}
		s := e.stream(n, o, signKind(t.Kind))
		if s == nil {
			continue
		}
		s.gaps.Interval, s.declared, s.token, s.seq, s.seen = t.Interval, t.Declared, t.Token, t.Seq, max(t.Seen, 1)
		s.kept = t.Kept
		s.last, s.real = o.awake(), neverHeard
		s.gaps.Restore(t.Gaps)
		s.deadline(e)
	}
}
