// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

const year = 365 * 24 * 3600

// merge reads recordings given as the seconds of their lines; -1 is a line
// without a time. It returns the seconds in the order read, and what was reported.
func merge(t *testing.T, recordings ...[]int) (seconds []int, reports []error) {
	t.Helper()
	dir := t.TempDir()
	var names []string
	for i, rec := range recordings {
		var text strings.Builder
		for _, n := range rec {
			if n < 0 {
				text.WriteString(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}` + "\n")
				continue
			}
			text.WriteString(logLine(n) + "\n")
		}
		name := filepath.Join(dir, strconv.Itoa(i))
		require.NoError(t, os.WriteFile(name, []byte(text.String()), 0o600))
		names = append(names, name)
	}
	m, err := Merge(names, func(err error) { reports = append(reports, err) })
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close()) }()
	for {
		l, err := m.Next()
		if errors.Is(err, io.EOF) {
			return seconds, reports
		}
		require.NoError(t, err)
		if l.Time == 0 {
			seconds = append(seconds, -1)
			continue
		}
		seconds = append(seconds, int(l.Time.Sub(clock.Time(at(0))).Seconds()))
	}
}

func TestMerge(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files [][]int
		want  []int
		stray int // the line whose time is not believed
	}{
		{"files_are_merged_by_time", [][]int{{1, 4, 6}, {2, 3}, {}, {5}}, []int{1, 2, 3, 4, 5, 6}, 0},
		{"equal_times_in_the_order_of_the_files", [][]int{{1, 1}, {1}}, []int{1, 1, 1}, 0},
		{"late_line_keeps_its_place", [][]int{{1, 5, 3, 6}}, []int{1, 5, 3, 6}, 0},
		{"line_without_time_keeps_its_place", [][]int{{1, -1, 6}, {2}}, []int{1, -1, 2, 6}, 0},
		{"clock_years_ahead_is_not_believed", [][]int{{1, 2, year, 3, 4}}, []int{1, 2, -1, 3, 4}, 3},
		{"nor_at_the_start", [][]int{{year, 1, 2, 3}}, []int{-1, 1, 2, 3}, 1},
		{"nor_at_the_end", [][]int{{1, 2, year}}, []int{1, 2, -1}, 3},
		{"and_does_not_hold_up_the_rest_of_its_file", [][]int{{1, year, 2}, {3, 4}}, []int{1, -1, 2, 3, 4}, 2},
		{"recording_that_paused_is_believed", [][]int{{1, 2, year, year + 1}}, []int{1, 2, year, year + 1}, 0},
		{"one_line_alone_is_believed", [][]int{{year}}, []int{year}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, reports := merge(t, tt.files...)
			assert.Equal(t, tt.want, got)
			if tt.stray == 0 {
				assert.Empty(t, reports)
				return
			}
			require.Len(t, reports, 1)
			var stray *StrayTimeError
			require.ErrorAs(t, reports[0], &stray)
			assert.Equal(t, tt.stray, stray.Line)
			assert.ErrorContains(t, stray, "2027-01-05T09:00:00Z")
		})
	}
}

func TestMergeReportsBadLines(t *testing.T) {
	name := filepath.Join(t.TempDir(), "rec")
	require.NoError(t, os.WriteFile(name, []byte("x\n"+logLine(1)+"\ny\n"), 0o600))
	var reports []string
	m, err := Merge([]string{name}, func(err error) { reports = append(reports, err.Error()) })
	require.NoError(t, err)
	l, err := m.Next()
	require.NoError(t, err)
	assert.Equal(t, clock.Time(at(1)), l.Time)
	_, err = m.Next()
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, m.Close())
	require.Len(t, reports, 2)
	assert.Contains(t, reports[0], "rec:1: ")
	assert.Contains(t, reports[1], "rec:3: ")

	_, err = Merge([]string{name, name + ".none"}, nil)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// TestMergeOfAClockThatStepped: one host's clock is a minute ahead, and the time of all
// others is what counts; where recording paused, or others come late, it is not.
func TestMergeOfAClockThatStepped(t *testing.T) {
	for name, tt := range map[string]struct {
		lines, want []int
		reports     int
	}{
		"is_not_believed":                 {[]int{1, 2, 62, 3, 4}, []int{1, 2, -1, 3, 4}, 1},
		"again_and_again":                 {[]int{1, 62, 2, 3, 64, 4, 5}, []int{1, -1, 2, 3, -1, 4, 5}, 2},
		"recording_that_paused":           {[]int{1, 2, 62, 63, 64}, []int{1, 2, 62, 63, 64}, 0},
		"its_last_line":                   {[]int{1, 2, 62}, []int{1, 2, 62}, 0},
		"late_lines_say_nothing_of_it":    {[]int{100, 160, 40, 41, 42, 161}, []int{100, 160, 40, 41, 42, 161}, 0},
		"exports_that_are_a_minute_apart": {[]int{0, 60, 120, 180}, []int{0, 60, 120, 180}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, reports := merge(t, tt.lines)
			assert.Equal(t, tt.want, got)
			assert.Len(t, reports, tt.reports)
		})
	}
}
