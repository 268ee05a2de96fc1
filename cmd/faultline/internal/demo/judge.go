// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package demo

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// expectation is what has to be said of a step: this class of this instance, or
// nothing.
type expectation struct {
	class, subclass, instance string
}

func (x expectation) nothing() bool { return x.class == "" }

func (x expectation) String() string {
	if x.nothing() {
		return "nobody is accused"
	}
	return fmt.Sprintf("%s (%s) of %s", x.class, x.subclass, x.instance)
}

// met says whether s is what was expected.
func (x expectation) met(s *said) bool {
	return s.accuses() && s.class == x.class && s.subclass == x.subclass && s.instance == x.instance
}

// judge holds what was said in a step, in order, against what was expected. It
// returns what was wrong with it, or "".
//
// Where a failure is expected it must be named, and be the only one that stands,
// when the cause is undone; "unknown" on the way there is no mistake, another
// class or culprit is one, also if it is taken back. Afterwards it must be
// cleared. Where none is expected, no accusation is right, not even "unknown".
func judge(want expectation, events []said, undone time.Time) string {
	standing := map[string]*said{} // by entity
	named, checked := false, false
	atUndo := func() string {
		checked = true
		if !named {
			if len(standing) == 0 {
				return "nothing was said"
			}
			for _, s := range standing {
				return "it said " + s.accusation()
			}
		}
		found := false
		for _, s := range standing {
			if !want.met(s) {
				return "it said " + s.accusation() + " too"
			}
			found = true
		}
		if !found {
			return "it was cleared before the cause was gone"
		}
		return ""
	}
	for i := range events {
		s := &events[i]
		if !want.nothing() && !checked && s.at.After(undone) {
			if wrong := atUndo(); wrong != "" {
				return wrong
			}
		}
		switch {
		case s.event == contract.EventFailureCleared:
			delete(standing, s.entity)
		case !s.accuses():
		case want.nothing():
			return "it said " + s.accusation()
		case want.met(s):
			named = true
			standing[s.entity] = s
		case checked && s.class == want.class && s.instance == want.instance:
			standing[s.entity] = s // it has learned more by the return
		case s.class == string(verdict.ClassUnknown) && !checked:
			standing[s.entity] = s
		default:
			return "it said " + s.accusation()
		}
	}
	if want.nothing() {
		return ""
	}
	if !checked {
		if wrong := atUndo(); wrong != "" {
			return wrong
		}
	}
	for _, s := range standing {
		return s.accusation() + " was not cleared after the cause was gone"
	}
	return ""
}

// accusation is class and culprit, for people.
func (s *said) accusation() string {
	text := s.class
	if s.subclass != "" {
		text += " (" + s.subclass + ")"
	}
	return text + " of " + s.culprit
}
