// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// at is a time in Unix ns, n seconds into a recording.
func at(n int) int64 { return time.Date(2026, 1, 5, 9, 0, n, 0, time.UTC).UnixNano() }

func logLine(n int) string {
	return fmt.Sprintf(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1","observedTimeUnixNano":"%d","body":{"stringValue":"l%d"}}]}]}]}`, at(n), n)
}

func spanLine(n int) string {
	return fmt.Sprintf(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a","endTimeUnixNano":"%d"},{"name":"b","endTimeUnixNano":"%d"}]}]}]}`, at(n), at(n)-1)
}

func metricLine(n int) string {
	return fmt.Sprintf(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{"timeUnixNano":"%d","asDouble":1}]}}]}]}]}`, at(n))
}

// mixed is a recording of each signal.
func mixed() string {
	return strings.Join([]string{logLine(1), spanLine(2), metricLine(3)}, "\n") + "\n"
}

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

func zstdFrame(t *testing.T, text string) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	return z.EncodeAll([]byte(text), nil)
}

// zstdMessages is what the file exporter writes with `compression: zstd`.
func zstdMessages(t *testing.T, texts ...string) []byte {
	t.Helper()
	var b []byte
	for _, text := range texts {
		frame := zstdFrame(t, text)
		b = binary.BigEndian.AppendUint32(b, uint32(len(frame)))
		b = append(b, frame...)
	}
	return b
}

// outcome is what came of reading a recording.
type outcome struct {
	signals []Signal
	times   []clock.Time
	bad     []string
}

func readAll(t *testing.T, in io.Reader) (o outcome) {
	t.Helper()
	r, err := NewReader("rec", in)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	for {
		l, err := r.Next()
		var bad *BadLineError
		switch {
		case errors.Is(err, io.EOF):
			_, err = r.Next()
			require.ErrorIs(t, err, io.EOF, "the end stays the end")
			return o
		case errors.As(err, &bad):
			o.bad = append(o.bad, err.Error())
		default:
			require.NoError(t, err)
			o.signals, o.times = append(o.signals, l.Signal), append(o.times, l.Time)
		}
	}
}

func TestReader(t *testing.T) {
	all := []Signal{Logs, Traces, Metrics}
	times := []clock.Time{clock.Time(at(1)), clock.Time(at(2)), clock.Time(at(3))}
	whole := gzipped(t, mixed())
	for _, tt := range []struct {
		name string
		in   []byte
		want outcome
	}{
		{"plain", []byte(mixed()), outcome{all, times, nil}},
		{"without_a_final_newline", []byte(strings.TrimSpace(mixed())), outcome{all, times, nil}},
		{"windows_newlines_and_blank_lines", []byte(strings.ReplaceAll(mixed(), "\n", "\r\n\r\n")), outcome{all, times, nil}},
		{"gzip", whole, outcome{all, times, nil}},
		{"gzip_appended_to_after_a_restart", append(gzipped(t, logLine(1)+"\n"), gzipped(t, spanLine(2)+"\n"+metricLine(3))...), outcome{all, times, nil}},
		{"zstd", zstdFrame(t, mixed()), outcome{all, times, nil}},
		{"zstd_as_the_file_exporter_writes_it", zstdMessages(t, logLine(1), spanLine(2), metricLine(3)), outcome{all, times, nil}},
		{"empty_file", nil, outcome{}},
		{"empty_gzip", gzipped(t, ""), outcome{}},
		{"bad_line_costs_only_itself", []byte(logLine(1) + "\n{\"resourceLogs\":[}\n" + metricLine(3)), outcome{
			[]Signal{Logs, Metrics}, []clock.Time{times[0], times[2]}, []string{"rec:2: "},
		}},
		{"other_json_is_named", []byte("{\"a\":1}\n[]\nhello\n" + logLine(1)), outcome{
			[]Signal{Logs}, times[:1], []string{"rec:1: no OTLP JSON", "rec:2: no OTLP JSON", "rec:3: no OTLP JSON"},
		}},
		{"torn_last_line", []byte(mixed() + spanLine(4)[:40]), outcome{all, times, []string{"rec:4: "}}},
		{"torn_zstd_message", append(zstdMessages(t, logLine(1)), zstdMessages(t, spanLine(2))[:30]...), outcome{
			[]Signal{Logs}, times[:1], []string{"rec:2: from here on the file is torn or damaged"},
		}},
		{"torn_length_of_a_zstd_message", append(zstdMessages(t, logLine(1)), 0, 0), outcome{
			[]Signal{Logs}, times[:1], []string{"rec:2: from here on the file is torn or damaged"},
		}},
		{"gzip_without_its_checksum", whole[:len(whole)-8], outcome{all, times, []string{"rec:4: from here on the file is torn or damaged"}}},
		{"over_long_line", []byte(logLine(1) + "\n" + strings.Repeat("x", MaxLine+1) + "\n" + metricLine(3)), outcome{
			[]Signal{Logs, Metrics}, []clock.Time{times[0], times[2]}, []string{"rec:2: longer than 64 MiB"},
		}},
		{"over_long_last_line", []byte(logLine(1) + "\n" + strings.Repeat("x", MaxLine+1)), outcome{
			[]Signal{Logs}, times[:1], []string{"rec:2: longer than 64 MiB"},
		}},
		{"over_long_zstd_message", zstdMessages(t, logLine(1), strings.Repeat("x", MaxLine+1), metricLine(3)), outcome{
			[]Signal{Logs, Metrics}, []clock.Time{times[0], times[2]}, []string{"rec:2: longer than 64 MiB"},
		}},
		{"key_of_another_signal_as_a_value", []byte(strings.Replace(metricLine(3), `"name":"m"`, `"name":"resourceSpans"`, 1)), outcome{
			[]Signal{Metrics}, times[2:], nil,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := readAll(t, bytes.NewReader(tt.in))
			assert.Equal(t, tt.want.signals, got.signals)
			assert.Equal(t, tt.want.times, got.times)
			require.Len(t, got.bad, len(tt.want.bad), "%v", got.bad)
			for i, want := range tt.want.bad {
				assert.Contains(t, got.bad[i], want)
			}
		})
	}
}

// A recorder that was killed leaves a gzip file without its end.
func TestTruncatedGzipCostsOnlyItsTail(t *testing.T) {
	var text strings.Builder
	for i := range 2000 {
		text.WriteString(logLine(i) + "\n")
	}
	whole := gzipped(t, text.String())
	got := readAll(t, bytes.NewReader(whole[:len(whole)/2]))
	assert.Greater(t, len(got.signals), 500)
	assert.Less(t, len(got.signals), 1500)
	require.Len(t, got.bad, 1)
	assert.Contains(t, got.bad[0], fmt.Sprintf("rec:%d: from here on the file is torn or damaged", len(got.signals)+1))
}

// What is wrong with the disk is not blamed on a line.
func TestFailingDiskIsFinal(t *testing.T) {
	broken := errors.New("input/output error")
	r, err := NewReader("rec", io.MultiReader(strings.NewReader(mixed()), iotest.ErrReader(broken)))
	require.NoError(t, err)
	for range 3 {
		_, err = r.Next()
		require.NoError(t, err)
	}
	_, err = r.Next()
	require.ErrorIs(t, err, broken)
	assert.ErrorContains(t, err, "rec: ")
	var bad *BadLineError
	assert.False(t, errors.As(err, &bad))
	_, err = r.Next()
	assert.ErrorIs(t, err, io.EOF)
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(filepath.Join(dir, "none.jsonl"))
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, "none.jsonl")
	_, err = Open(dir)
	assert.ErrorContains(t, err, "is a directory")
	odd := filepath.Join(dir, "odd.jsonl.gz")
	require.NoError(t, os.WriteFile(odd, []byte("\x1f\x8bplain after all"), 0o600))
	_, err = Open(odd)
	assert.ErrorContains(t, err, "odd.jsonl.gz: looks like gzip, but is not")

	t.Run("content_tells_not_the_name", func(t *testing.T) {
		name := filepath.Join(dir, "plain.jsonl")
		require.NoError(t, os.WriteFile(name, gzipped(t, mixed()), 0o600))
		r, err := Open(name)
		require.NoError(t, err)
		l, err := r.Next()
		require.NoError(t, err)
		assert.Equal(t, Logs, l.Signal)
		require.NoError(t, r.Close())
	})
	t.Run("standard_input", func(t *testing.T) {
		name := filepath.Join(dir, "stdin")
		require.NoError(t, os.WriteFile(name, gzipped(t, "x\n"+mixed()), 0o600))
		f, err := os.Open(name)
		require.NoError(t, err)
		before := os.Stdin
		os.Stdin = f
		t.Cleanup(func() { os.Stdin = before; _ = f.Close() })
		r, err := Open("-")
		require.NoError(t, err)
		_, err = r.Next()
		require.ErrorContains(t, err, "standard input:1: ")
		l, err := r.Next()
		require.NoError(t, err)
		assert.Equal(t, Logs, l.Signal)
	})
}

func TestDecode(t *testing.T) {
	t.Run("bare_NaN_and_Infinity", func(t *testing.T) {
		for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
			l, err := Decode([]byte(strings.Replace(metricLine(3), `"asDouble":1`, `"asDouble": `+word, 1)))
			require.NoError(t, err, word)
			assert.Equal(t, clock.Time(at(3)), l.Time)
		}
	})
	t.Run("log_without_observed_time_has_its_own", func(t *testing.T) {
		l, err := Decode([]byte(fmt.Sprintf(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"%d"}]}]}]}`, at(7))))
		require.NoError(t, err)
		assert.Equal(t, clock.Time(at(7)), l.Time)
	})
	t.Run("points_of_every_kind_have_a_time", func(t *testing.T) {
		for _, kind := range []string{"gauge", "sum", "histogram", "exponentialHistogram", "summary"} {
			l, err := Decode([]byte(fmt.Sprintf(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","%s":{"dataPoints":[{"timeUnixNano":"%d"}]}}]}]}]}`, kind, at(5))))
			require.NoError(t, err, kind)
			assert.Equal(t, clock.Time(at(5)), l.Time, kind)
		}
	})
	t.Run("time_beyond_what_can_be_told_is_none", func(t *testing.T) {
		l, err := Decode([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"endTimeUnixNano":"18446744073709551615"}]}]}]}`))
		require.NoError(t, err)
		assert.Zero(t, l.Time)
	})
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		logLine(1), spanLine(2), metricLine(3), `{}`, `{"resourceSpans":null}`, `{"resourceLogs":[null]}`,
		`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"dataPoints":[{"asDouble":NaN}]}}]}]}]}`,
		`{"resourceSpans":` + strings.Repeat("[", 20_000),
		`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"kvlistValue":{"values":[{"key":"a","value":null}]}}}]}]}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := Decode(text)
		if (l == nil) == (err == nil) {
			t.Fatalf("a line or an error, not %v and %v", l, err)
		}
		if l != nil && l.Time < 0 {
			t.Fatalf("time %d lies before 1970", l.Time)
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(mixed()))
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x00"))
	f.Add([]byte("\x00\x00\x00\x09\x28\xb5\x2f\xfd\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := NewReader("rec", bytes.NewReader(in))
		if err != nil {
			return
		}
		// Every call takes at least one byte of what is there, compressed or not.
		for range 1 << 20 {
			if _, err := r.Next(); errors.Is(err, io.EOF) {
				_ = r.Close()
				return
			}
		}
		t.Fatal("it never ends")
	})
}
