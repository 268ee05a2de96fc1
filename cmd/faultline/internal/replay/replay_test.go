// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/cmd/faultline/internal/sample"
	"github.com/faultline-otel/faultline/internal/contract"
)

// eventful is a crash, a planned stop and a gap of the whole recording.
var eventful = sample.Story{
	Length:     5 * time.Minute,
	Crashed:    sample.Interval{From: time.Minute, To: 90 * time.Second},
	Stopped:    sample.Interval{From: 150 * time.Second, To: 180 * time.Second},
	Unrecorded: sample.Interval{From: 210 * time.Second, To: 240 * time.Second},
}

func record(t *testing.T, s sample.Story) []string {
	t.Helper()
	lines, err := s.Lines()
	require.NoError(t, err)
	return lines
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func writeLines(t *testing.T, lines []string) string {
	t.Helper()
	return write(t, "rec.jsonl", strings.Join(lines, "\n"))
}

// replay runs the command as main does.
func replay(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, problems bytes.Buffer
	cmd := Command()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&problems)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err = cmd.ExecuteContext(t.Context())
	return out.String(), problems.String(), err
}

func replayed(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := replay(t, args...)
	require.NoError(t, err)
	assert.Empty(t, stderr)
	return stdout
}

func decode(t *testing.T, stdout string) (lines []line) {
	t.Helper()
	for text := range strings.Lines(stdout) {
		var l line
		require.NoError(t, json.Unmarshal([]byte(text), &l))
		lines = append(lines, l)
	}
	return lines
}

func TestStory(t *testing.T) {
	got := decode(t, replayed(t, "--json", writeLines(t, record(t, eventful))))
	var kinds []string
	for _, l := range got {
		kinds = append(kinds, strings.TrimSpace(l.Event+" "+l.Entity+" "+l.Class))
	}
	assert.Equal(t, []string{
		"incident.opened payment-1 crash",
		"failure.detected payment-1 crash",
		"failure.cleared payment-1 crash",
		"incident.resolved payment-1 crash",
		"planned.stop payment-2",
		"observer.degraded node-1",
		"observer.recovered node-1",
	}, kinds)

	detected := got[1]
	assert.Equal(t, "payment-1", detected.Culprit)
	assert.Equal(t, "process_exit", detected.Subclass)
	assert.GreaterOrEqual(t, detected.Confidence, 0.7)
	assert.Contains(t, detected.Reason, "connection refused")
	assert.NotEmpty(t, detected.Incident)
	at, err := time.Parse(time.RFC3339Nano, detected.Time)
	require.NoError(t, err)
	assert.WithinRange(t, at, sample.Begin.Add(eventful.Crashed.From), sample.Begin.Add(eventful.Crashed.From+6*time.Second))
	for _, l := range got[4:] {
		assert.Empty(t, l.Class+l.Culprit+l.Incident, l.Event)
	}
}

func TestWhatWouldHaveBeenSentOnIsWritten(t *testing.T) {
	name := writeLines(t, record(t, eventful))
	var written [2]string
	for i := range written {
		dir := filepath.Join(t.TempDir(), "new")
		replayed(t, "--out", dir, name)
		text, err := os.ReadFile(filepath.Join(dir, tracesFile))
		require.NoError(t, err)
		written[i] = string(text)
		events, err := os.ReadFile(filepath.Join(dir, eventsFile))
		require.NoError(t, err)
		assert.Contains(t, string(events), contract.EventFailureDetected)
	}
	assert.Equal(t, written[0], written[1], "the same recording gives the same answer")
	before, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, strings.Count(string(before), `"spanId"`), strings.Count(written[0], `"spanId"`), "no span is lost, however long it waits")
	assert.Contains(t, written[0], contract.FailureClass)
}

func TestARecordingIsNotWrittenOver(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, tracesFile)
	text, err := os.ReadFile(writeLines(t, record(t, sample.Story{Length: time.Minute})))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, text, 0o600))
	cmd := Command()
	cmd.SetArgs([]string{"--out", dir, name})
	cmd.SetOut(io.Discard)
	cmd.SetErr(io.Discard)
	require.ErrorContains(t, cmd.Execute(), "give another folder")
	after, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, text, after)
}

func TestQuietRecordingSaysNothing(t *testing.T) {
	assert.Empty(t, replayed(t, writeLines(t, record(t, sample.Story{Length: 2 * time.Minute}))))
}

// The keys of a line are a contract.
func TestJSONKeys(t *testing.T) {
	stdout := replayed(t, "--json", writeLines(t, record(t, eventful)))
	for text := range strings.Lines(stdout) {
		var keys []string
		d := json.NewDecoder(strings.NewReader(text))
		for depth := 0; ; {
			token, err := d.Token()
			if err != nil {
				break
			}
			switch token {
			case json.Delim('{'):
				depth++
				continue
			case json.Delim('}'):
				depth--
				continue
			}
			require.Equal(t, 1, depth)
			keys = append(keys, token.(string))
			_, err = d.Token() // its value
			require.NoError(t, err)
		}
		assert.Equal(t, []string{"time", "event", "entity", "class", "subclass", "confidence", "culprit", "reason", "incident"}, keys)
	}
}

func TestSameRecordingSameAnswer(t *testing.T) {
	lines := record(t, eventful)
	want := replayed(t, "--json", writeLines(t, lines))
	require.NotEmpty(t, want)
	assert.Equal(t, want, replayed(t, "--json", writeLines(t, lines)), "twice")

	var logs, spans []string
	for _, l := range lines {
		if strings.Contains(l, "resourceLogs") {
			logs = append(logs, l)
		} else {
			spans = append(spans, l)
		}
	}
	assert.Equal(t, want, replayed(t, "--json", writeLines(t, logs), writeLines(t, spans)), "a file for each signal")
	assert.Equal(t, want, replayed(t, "--json", writeLines(t, spans), writeLines(t, logs)), "whatever their order")
	half := len(lines) / 2
	assert.Equal(t, want, replayed(t, "--json", writeLines(t, lines[half:]), writeLines(t, lines[:half])), "rotated files")
}

func TestLateLinesDoNotTurnBackTime(t *testing.T) {
	lines := record(t, eventful)
	late := slices.Clone(lines)
	// An export of the first minute comes after the third.
	late = slices.Insert(late, 2*180, lines[20], lines[21], lines[30])
	var before time.Time
	for _, l := range decode(t, replayed(t, "--json", writeLines(t, late))) {
		at, err := time.Parse(time.RFC3339Nano, l.Time)
		require.NoError(t, err)
		assert.False(t, at.Before(before), "%s lies before %v", l.Time, before)
		before = at
		if l.Event == contract.EventFailureDetected {
			assert.Equal(t, "payment-1", l.Culprit)
		}
	}
	assert.False(t, before.IsZero())
}

func TestBadLinesAreCountedAndNamed(t *testing.T) {
	lines := record(t, eventful)
	want := replayed(t, "--json", writeLines(t, lines))
	damaged := slices.Insert(slices.Clone(lines), 10, "{", "not OTLP")
	name := writeLines(t, damaged)
	stdout, stderr, err := replay(t, "--json", name)
	require.NoError(t, err)
	assert.Equal(t, want, stdout)
	assert.Contains(t, stderr, name+":11: ")
	assert.Contains(t, stderr, name+":12: no OTLP JSON")
	assert.Contains(t, stderr, fmt.Sprintf("2 of %d lines could not be read", len(damaged)))

	t.Run("many_are_counted_only", func(t *testing.T) {
		_, stderr, err := replay(t, writeLines(t, append(slices.Repeat([]string{"x"}, 100), lines...)))
		require.NoError(t, err)
		assert.Equal(t, maxReports+1, strings.Count(stderr, "\n"))
		assert.Contains(t, stderr, "100 of ")
	})
	t.Run("nothing_but_bad_lines_is_an_error", func(t *testing.T) {
		_, _, err := replay(t, writeLines(t, []string{"a,b", "1,2"}))
		assert.ErrorContains(t, err, "nothing to replay: none of 2 lines is OTLP JSON")
	})
	t.Run("clock_years_ahead_is_named_and_harmless", func(t *testing.T) {
		stray := strings.ReplaceAll(lines[0], `"endTimeUnixNano":"17`, `"endTimeUnixNano":"91`)
		require.NotEqual(t, lines[0], stray)
		name := writeLines(t, slices.Insert(slices.Clone(lines), 2, stray))
		stdout, stderr, err := replay(t, "--json", name)
		require.NoError(t, err)
		assert.Equal(t, want, stdout)
		assert.Contains(t, stderr, name+":3: its time, 22")
		assert.Contains(t, stderr, "the times of 1 lines were not taken")
	})
	t.Run("years_between_two_parts_cost_no_years", func(t *testing.T) {
		var later []string
		for _, l := range lines { // 2026 begins with 176… in Unix seconds
			later = append(later, strings.ReplaceAll(l, `UnixNano":"17`, `UnixNano":"37`))
		}
		got := decode(t, replayed(t, "--json", writeLines(t, append(slices.Clone(lines), later...))))
		assert.Equal(t, "2026", got[0].Time[:4])
		assert.Equal(t, "2089", got[len(got)-1].Time[:4])
	})
	t.Run("empty_recording_says_so", func(t *testing.T) {
		stdout, stderr, err := replay(t, writeLines(t, nil))
		require.NoError(t, err)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, "the recording is empty")
	})
	t.Run("lines_without_any_time", func(t *testing.T) {
		stdout, _, err := replay(t, writeLines(t, []string{`{"resourceSpans":[]}`, `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}`}))
		require.NoError(t, err)
		assert.Empty(t, stdout)
	})
}

// The example that the documentation shows.
func TestExample(t *testing.T) {
	const dir = "../../../../testdata/replay/"
	stdout := replayed(t, "--labels", dir+"crash.labels.json", dir+"crash.otlp.jsonl.gz")
	assert.Contains(t, stdout, "payment-1: crash (process_exit): no heartbeat for ")
	assert.Contains(t, stdout, "faults: 1 in 1m59s; false verdicts: 0 (0.00 an hour)")
	fields := strings.Fields(stdout[strings.LastIndex(stdout, "  crash "):])
	assert.Equal(t, []string{"crash", "1", "1.00", "1.00", "1.00"}, fields[:5])

	var last struct {
		Event string
		Score
	}
	lines := strings.Split(strings.TrimSpace(replayed(t, "--json", "--labels", dir+"crash.labels.json", dir+"crash.otlp.jsonl.gz")), "\n")
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	assert.Equal(t, "score", last.Event)
	require.Len(t, last.Classes, 1)
	assert.InDelta(t, 1.0, last.Classes[0].Top1, 0)
	assert.Less(t, *last.Classes[0].DelayMedian, 6.0)
}

func TestConfig(t *testing.T) {
	rec := writeLines(t, record(t, eventful))
	want := replayed(t, "--json", rec)
	t.Run("limits_are_used", func(t *testing.T) {
		// Four fleets are sixteen instances; an engine that keeps ten of them
		// judges otherwise.
		var lines []string
		for _, l := range record(t, eventful) {
			for _, fleet := range []string{"1.0.0", "2.0.0", "3.0.0", "4.0.0"} {
				lines = append(lines, strings.NewReplacer(`"shop"`, `"shop `+fleet+`"`, "10.0.0", "10."+fleet[:3]).Replace(l))
			}
		}
		crowd := writeLines(t, lines)
		small := write(t, "c.yaml", "extensions: {failure_model: {limits: {max_instances: 10}}}")
		assert.Equal(t, 4, strings.Count(replayed(t, crowd), "failure.detected"))
		assert.NotEqual(t, replayed(t, "--json", crowd), replayed(t, "--json", "--config", small, crowd))
	})
	t.Run("thresholds_reach_the_engine", func(t *testing.T) {
		s, err := readConfig(write(t, "c.yaml", "extensions: {failure_model: {heartbeat: {mistake_recurrence: 90m}}}"))
		require.NoError(t, err)
		assert.Equal(t, 90*time.Minute, s.extension.EngineParams().MistakeRecurrence)
	})
	t.Run("rest_of_a_Collector_configuration_is_passed_over", func(t *testing.T) {
		whole := write(t, "c.yaml", "receivers: {otlp: {protocols: {grpc: {}}}}\nextensions: {failure_model: , zpages: {}}\nprocessors: {failure_model: {}, batch: {}}\nservice: {extensions: [failure_model]}")
		assert.Equal(t, want, replayed(t, "--json", "--config", whole, rec))
	})
	t.Run("section_of_the_engine_that_the_processor_names", func(t *testing.T) {
		s, err := readConfig(write(t, "c.yaml", "extensions: {failure_model/two: {queue_size: 7}}\nprocessors: {failure_model: {engine: failure_model/two}}"))
		require.NoError(t, err)
		assert.Equal(t, 7, s.extension.QueueSize)
	})
	for _, tt := range []struct{ name, text, want string }{
		{"no_yaml", "extensions: [", "c.yaml: "},
		{"neither_section", "receivers: {otlp: {}}", "c.yaml: has neither extensions::failure_model nor processors::failure_model"},
		{"unknown_key", "extensions: {failure_model: {heartbeats: {}}}", "c.yaml: extensions::failure_model: "},
		{"bad_value", "extensions: {failure_model: {heartbeat: {mistake_recurrence: 1s}}}", "heartbeat::mistake_recurrence: 1s is not between"},
		{"bad_value_of_the_processor", "processors: {failure_model: {heartbeats: keep}}", `processors::failure_model: heartbeats: "keep" is not one of`},
		{"section_that_is_no_map", "extensions: {failure_model: 5}", "c.yaml: extensions::failure_model: "},
		{"nothing_observed", "processors: {failure_model: {observe: false}}", "processors::failure_model: observe is false"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := replay(t, "--config", write(t, "c.yaml", tt.text), rec)
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

func TestMissingFiles(t *testing.T) {
	rec := writeLines(t, record(t, sample.Story{Length: time.Second}))
	for _, args := range [][]string{
		{"none.jsonl"}, {rec, "none.jsonl"}, {"--config", "none.jsonl", rec}, {"--labels", "none.jsonl", rec},
	} {
		_, _, err := replay(t, args...)
		require.ErrorIs(t, err, os.ErrNotExist, args)
		assert.ErrorContains(t, err, "none.jsonl")
	}
	_, _, err := replay(t)
	assert.Error(t, err, "no file at all")
}
