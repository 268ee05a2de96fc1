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
	files  []*steady
	heads  []*Line // the next line of each; nil at its end
	filled bool
}

// Merge reads all of names. Of lines that cannot be read and are left out,
// report hears as a *BadLineError; of times that are left out, as a
// *StrayTimeError.
func Merge(names []string, report func(error)) (*Merged, error) {
	m := &Merged{}
	for _, name := range names {
		r, err := Open(name)
		if err != nil {
			return nil, errors.Join(err, m.Close())
		}
		m.files = append(m.files, &steady{r: r, report: report})
	}
	return m, nil
}

// Close closes all.
func (m *Merged) Close() error {
	var errs []error
	for _, f := range m.files {
		errs = append(errs, f.r.Close())
	}
	return errors.Join(errs...)
}

// Next returns the earliest next line, or io.EOF.
func (m *Merged) Next() (*Line, error) {
	if !m.filled {
		m.filled = true
		m.heads = make([]*Line, len(m.files))
		for i := range m.files {
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
	l, err := m.files[i].next()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	m.heads[i] = l // nil at the end
	return nil
}
