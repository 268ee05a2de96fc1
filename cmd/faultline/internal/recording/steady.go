// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"errors"
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// A sender's clock may stand ahead, by a minute or by years, and virtual time never goes
// back: one such span would make all that follows late, and observers silent. So a step
// is believed only if the lines after it do not speak against it, and a leap must be
// borne out by them, as both are where recording paused.
const (
	step      = 10 * time.Second
	leap      = time.Hour
	witnesses = 8
)

// StrayTimeError says that a line's time is not believed. The line counts, as of
// the time of the line before.
type StrayTimeError struct {
	Name string
	Line int
	Time clock.Time
}

func (e *StrayTimeError) Error() string {
	return fmt.Sprintf("%s:%d: its time, %s, is far ahead of the lines around it and is not taken",
		e.Name, e.Line, e.Time.UTC().Format(time.RFC3339))
}

// steady passes on the lines of a recording, without the times that stray and
// the lines that cannot be read.
type steady struct {
	r      *Reader
	report func(error)
	now    clock.Time // the latest time believed
	ahead  []*Line    // read already; at most 1 + witnesses
	end    error      // why there is nothing more to read
}

// next returns io.EOF at the end.
func (s *steady) next() (*Line, error) {
	s.read(1)
	if len(s.ahead) == 0 {
		return nil, s.end
	}
	l := s.ahead[0]
	if l.Time != 0 && l.Time.Sub(s.now) > step && !s.borneOut(l) {
		s.report(&StrayTimeError{s.r.name, l.number, l.Time})
		l.Time = 0
	}
	s.now = max(s.now, l.Time)
	s.ahead[0] = nil
	s.ahead = s.ahead[1:]
	return l, nil
}

// borneOut says whether the lines after l have come to its time as well. Lines that came
// late themselves say nothing of a step.
func (s *steady) borneOut(l *Line) bool {
	within := step
	if l.Time.Sub(s.now) > leap {
		within = leap
	}
	s.read(1 + witnesses)
	timed, agree := 0, 0
	for _, w := range s.ahead[1:] {
		if w.Time != 0 && (within == leap || s.now.Sub(w.Time) <= step) {
			timed++
			if l.Time.Sub(w.Time) <= within {
				agree++
			}
		}
	}
	if timed == 0 {
		return s.now == 0 || within == step // its word against nobody's
	}
	return 2*agree >= timed
}

// read reads until n lines lie ahead.
func (s *steady) read(n int) {
	for s.end == nil && len(s.ahead) < n {
		l, err := s.r.Next()
		var bad *BadLineError
		switch {
		case errors.As(err, &bad):
			s.report(err)
		case err != nil:
			s.end = err
		default:
			s.ahead = append(s.ahead, l)
		}
	}
}
