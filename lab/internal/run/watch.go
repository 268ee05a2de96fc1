// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bufio"
	"errors"
	"io"
	"os"

	"github.com/faultline-otel/faultline/lab/internal/score"
)

// tail reads a file that is being written, line by line.
type tail struct {
	path   string
	offset int64
}

// next hands over all complete lines since the last time.
func (t *tail) next(do func(line []byte) error) error {
	f, err := os.Open(t.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the gateway has not begun it
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(t.offset, io.SeekStart); err != nil {
		return err
	}
	in := bufio.NewReaderSize(f, 1<<16)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		t.offset += int64(len(line))
		if err := do(line); err != nil {
			return err
		}
	}
}

// listener hears what Faultline says.
type listener struct {
	events tail
	said   []score.Verdict // since the fleet was started
}

// listen reads on and returns all that was said so far.
func (l *listener) listen() ([]score.Verdict, error) {
	err := l.events.next(func(line []byte) error {
		v, err := score.ReadEvents(line)
		l.said = append(l.said, v...)
		return err
	})
	return l.said, err
}
