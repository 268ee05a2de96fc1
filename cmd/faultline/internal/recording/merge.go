// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"errors"
	"io"
)

// Merged reads several recordings as one, by time. A line without a time stays
// where it is in its own recording.
type Merged struct {
	readers []*Reader
	heads   []*Line // the next line of each; nil at its end
	onBad   func(error)
	filled  bool
}

// Merge reads all of names. Lines that cannot be read go to onBad, as a
// *BadLineError, and are left out.
func Merge(names []string, onBad func(error)) (*Merged, error) {
	m := &Merged{onBad: onBad}
	for _, name := range names {
		r, err := Open(name)
		if err != nil {
			return nil, errors.Join(err, m.Close())
		}
		m.readers = append(m.readers, r)
	}
	return m, nil
}

// Close closes all.
func (m *Merged) Close() error {
	var errs []error
	for _, r := range m.readers {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// Next returns the earliest next line, or io.EOF.
func (m *Merged) Next() (*Line, error) {
	if !m.filled {
		m.filled = true
		m.heads = make([]*Line, len(m.readers))
		for i := range m.readers {
			if err := m.fill(i); err != nil {
				return nil, err
			}
		}
	}
	first := -1
	for i, l := range m.heads {
		if l != nil && (first < 0 || l.Time < m.heads[first].Time) {
			first = i
		}
	}
	if first < 0 {
		return nil, io.EOF
	}
	l := m.heads[first]
	return l, m.fill(first)
}

// fill reads the next line of recording i.
func (m *Merged) fill(i int) error {
	for {
		l, err := m.readers[i].Next()
		var bad *BadLineError
		switch {
		case errors.As(err, &bad):
			m.onBad(err)
			continue
		case errors.Is(err, io.EOF):
			m.heads[i] = nil
			return nil
		case err != nil:
			return err
		}
		m.heads[i] = l
		return nil
	}
}
