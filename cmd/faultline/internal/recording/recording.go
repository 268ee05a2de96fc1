// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package recording reads telemetry as the file exporter writes it: OTLP JSON,
// one export a line, plain or compressed by gzip or zstd.
package recording

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine"
)

// MaxLine is the longest line that is read, in bytes.
const MaxLine = 64 << 20

// Line is one export. Exactly one of the signals is not empty.
type Line struct {
	Traces  ptrace.Traces
	Metrics pmetric.Metrics
	Logs    plog.Logs
	Signal  Signal
	// Time is when its latest part was seen: observed time of logs, end of
	// spans, time of points; 0 if it tells none.
	Time engine.Time
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
	lines  *bufio.Reader
	line   int
	closer []io.Closer
	buf    []byte
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
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	r.closer = append(r.closer, f)
	return r, nil
}

// NewReader reads from in, which may be compressed: its first bytes tell.
func NewReader(name string, in io.Reader) (*Reader, error) {
	r := &Reader{name: name, lines: bufio.NewReaderSize(in, 1<<16)}
	magic, err := r.lines.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r.lines)
		if err != nil {
			return nil, err
		}
		r.closer = append(r.closer, z)
		r.lines = bufio.NewReaderSize(z, 1<<16)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r.lines, zstd.WithDecoderMaxMemory(1<<28), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		r.closer = append(r.closer, z.IOReadCloser())
		r.lines = bufio.NewReaderSize(z, 1<<16)
	}
	return r, nil
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
// reading goes on.
func (r *Reader) Next() (*Line, error) {
	for {
		text, tooLong, err := r.read()
		if err != nil {
			return nil, err
		}
		r.line++
		text = bytes.TrimSpace(text)
		switch {
		case tooLong:
			return nil, &BadLineError{r.name, r.line, fmt.Errorf("longer than %d MiB", MaxLine>>20)}
		case len(text) == 0:
			continue
		}
		l, err := Decode(text)
		if err != nil {
			return nil, &BadLineError{r.name, r.line, err}
		}
		return l, nil
	}
}

// read returns one line, without what exceeds MaxLine.
func (r *Reader) read() (text []byte, tooLong bool, err error) {
	r.buf = r.buf[:0]
	for {
		part, err := r.lines.ReadSlice('\n')
		if len(r.buf)+len(part) > MaxLine {
			tooLong = true
		} else {
			r.buf = append(r.buf, part...)
		}
		switch {
		case err == nil:
			return r.buf, tooLong, nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && (len(r.buf) > 0 || tooLong):
			return r.buf, tooLong, nil
		}
		return nil, false, err
	}
}

// Decode reads one line. Some writers put NaN and Infinity into JSON as bare
// words; they are read, too.
func Decode(text []byte) (*Line, error) {
	l, err := decode(text)
	if err == nil {
		return l, nil
	}
	if quoted := bareNumber.ReplaceAll(text, []byte(`:"$1"`)); len(quoted) != len(text) {
		if l, second := decode(quoted); second == nil {
			return l, nil
		}
	}
	return nil, err
}

var bareNumber = regexp.MustCompile(`:\s*(NaN|-?Infinity)\b`)

func decode(text []byte) (*Line, error) {
	l := &Line{}
	var err error
	switch {
	case bytes.Contains(text, []byte(`"resourceSpans"`)):
		l.Signal = Traces
		if l.Traces, err = (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(text); err == nil {
			l.timeTraces()
		}
	case bytes.Contains(text, []byte(`"resourceMetrics"`)):
		l.Signal = Metrics
		if l.Metrics, err = (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(text); err == nil {
			l.timeMetrics()
		}
	case bytes.Contains(text, []byte(`"resourceLogs"`)):
		l.Signal = Logs
		if l.Logs, err = (&plog.JSONUnmarshaler{}).UnmarshalLogs(text); err == nil {
			l.timeLogs()
		}
	default:
		return nil, errors.New("no OTLP JSON: none of resourceSpans, resourceMetrics, resourceLogs")
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}
