// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "testing"

func TestOneServiceIsTurnedAwayAloneOnlyIfOthersAreServed(t *testing.T) {
	own, other := &service{}, &service{}
	type calls struct {
		of       *service
		ok, full float64
	}
	for name, c := range map[string]struct {
		calls []calls
		alone bool
	}{
		"others are served":                {[]calls{{other, 5, 0}, {own, 0, 5}}, true},
		"another of its own is, and first": {[]calls{{own, 5, 0}, {own, 0, 5}}, false},
		"nobody else calls":                {[]calls{{own, 0, 5}}, false},
		"others are turned away, too":      {[]calls{{own, 0, 5}, {other, 0, 5}}, false},
		"nobody is turned away":            {[]calls{{own, 5, 0}, {other, 5, 0}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			e, n := New(DefaultParams()), &entity{}
			e.now = 1e18
			for _, k := range c.calls {
				ed := &edge{caller: &entity{service: k.of}, callee: n}
				ed.ok.Add(k.ok, e.now, e.params.CallWindow)
				ed.full.Add(k.full, e.now, e.params.CallWindow)
				n.calledBy = append(n.calledBy, ed)
			}
			if got := e.turnsOneAway(n); got != c.alone {
				t.Errorf("one is turned away alone: %v", got)
			}
		})
	}
}
