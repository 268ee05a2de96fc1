// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package recording reads telemetry as the file exporter writes it: OTLP JSON,
// one export a line, plain or compressed by gzip or zstd, and the length-prefixed
// zstd messages that it writes under `compression: zstd`.
//
//	file ─► origin ─► gzip | zstd ─► source ─► Reader ─► steady ─► Merged
package recording

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// MaxLine is the longest line that is read, in bytes.
const MaxLine = 64 << 20

const bufferSize = 1 << 16

// Line is one export. Exactly one of the signals is not empty.
type Line struct {
	Traces  ptrace.Traces
	Metrics pmetric.Metrics
	Logs    plog.Logs
	Signal  Signal
	// Time is when its latest part was seen: observed time of logs, end of
	// spans, time of points; 0 if it tells none.
	Time clock.Time

	number int // in its recording, from 1
}

// Signal is what a line holds.
type Signal int

// Values of Signal.
const (
	Traces Signal = iota + 1
	Metrics
	Logs
)

// BadLineError says that a line cannot be read. The lines after it can.
type BadLineError struct {
	Name string
	Line int
	Err  error
}

func (e *BadLineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.Name, e.Line, e.Err) }

func (e *BadLineError) Unwrap() error { return e.Err }

// Reader reads the lines of one recording.
type Reader struct {
	name   string
	origin *origin
	texts  source
	line   int
	closer []io.Closer
	ended  bool
}

// Open opens a file, or standard input for "-".
func Open(name string) (*Reader, error) {
	if name == "-" {
		return NewReader("standard input", os.Stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	r, err := NewReader(name, f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r.closer = append(r.closer, f)
	return r, nil
}

// NewReader reads from in, which may be compressed: its first bytes tell, not
// its name.
func NewReader(name string, in io.Reader) (*Reader, error) {
	r := &Reader{name: name, origin: &origin{in: in}}
	if err := r.open(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

func (r *Reader) open() error {
	plain := bufio.NewReaderSize(r.origin, bufferSize)
	magic, err := plain.Peek(8)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case bytes.HasPrefix(magic, gzipMagic):
		z, err := gzip.NewReader(plain)
		if err != nil {
			return fmt.Errorf("looks like gzip, but is not: %w", err)
		}
		r.texts = newLines(z) // nothing to close but the file
	case bytes.HasPrefix(magic, zstdMagic):
		z, err := newZstd(plain)
		if err != nil {
			return err
		}
		r.closer = append(r.closer, z.IOReadCloser())
		r.texts = newLines(z)
	case len(magic) == 8 && bytes.Equal(magic[4:], zstdMagic):
		z, err := newZstd(nil)
		if err != nil {
			return err
		}
		r.closer = append(r.closer, z.IOReadCloser())
		r.texts = &messages{in: plain, zstd: z}
	default:
		r.texts = &lines{in: plain}
	}
	return nil
}

// Close closes what Open opened.
func (r *Reader) Close() error {
	var errs []error
	for _, c := range r.closer {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Next returns the next line, io.EOF at the end, or a *BadLineError after which
// reading goes on. Any other error is the file's own and final.
func (r *Reader) Next() (*Line, error) {
	for !r.ended {
		text, err := r.texts.next()
		switch {
		case errors.Is(err, io.EOF):
			r.ended = true
			continue
		case r.origin.err != nil:
			r.ended = true
			return nil, fmt.Errorf("%s: %w", r.name, r.origin.err)
		}
		r.line++
		switch {
		case errors.Is(err, errTooLong):
			return nil, &BadLineError{r.name, r.line, err}
		case err != nil:
			// A recorder that was killed leaves a torn end. What came before counts.
			r.ended = true
			return nil, &BadLineError{r.name, r.line, fmt.Errorf("from here on the file is torn or damaged: %w", err)}
		}
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		l, err := Decode(text)
		if err != nil {
			return nil, &BadLineError{r.name, r.line, err}
		}
		l.number = r.line
		return l, nil
	}
	return nil, io.EOF
}
