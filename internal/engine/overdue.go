// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// look compares a silence with its deadline. What was computed some dozens of signs ago
// may be of another time, so it is computed anew as the silence grows, ever more rarely.
func (e *Engine) look(s *stream, silence time.Duration) {
	if s.dueAt != 0 {
		if s.pastDue() {
			e.missed(s)
		}
		return
	}
	if silence > time.Duration(e.params.MinSilence*float64(s.gaps.Interval)) && silence >= 2*s.asked {
		s.asked = silence
		s.deadline(e)
	}
	if silence > s.due {
		e.missed(s)
	}
}

// missed takes in that a stream is silent for too long.
func (e *Engine) missed(s *stream) {
	n := s.entity
	if n.left || s.strength(e) == 0 && (s.dueAt != 0 || s.kept == 0) {
		return
	}
	if n.episode == nil && e.successor(n) != nil {
		n.left = true // its place is taken, and nobody was hurt
		return
	}
	s.overdue, s.since = true, e.now
	e.suspect(n)
}

// pastDue says whether s, of which is known when it should come, has not, by the clock
// of its observer. What came while that slept is lost, and is not sent again before the
// next time; that its clock was set forward looks the same.
func (s *stream) pastDue() bool {
	due := s.dueAt
	if woke := s.observer.awoke(); woke > due.Add(-s.grace) {
		due = max(due, woke).Add(s.gaps.Interval)
	}
	return s.observer.date > due.Add(s.grace)
}
