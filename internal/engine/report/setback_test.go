// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"reflect"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// byAnother are times that no clock of this host has told, or that are only compared with
// others of the same clock.
var byAnother = map[string]bool{
	"Batch.Arrived": true, "Stamp.At": true, "Beat.SentAt": true, "Sign.At": true, "Hop.Began": true,
	"Level.At": true, "Fact.Told": true, "Process.StartTime": true,
}

// times calls f with each time in v, and its name.
func times(v reflect.Value, f func(name string, t reflect.Value)) {
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			times(v.Index(i), f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Name() + "." + v.Type().Field(i).Name
			if v.Field(i).Type() == reflect.TypeFor[clock.Time]() {
				f(name, v.Field(i))
			} else {
				times(v.Field(i), f)
			}
		}
	}
}

func TestEveryTimeOfAClockThatWasSetBackIsMovedOn(t *testing.T) {
	const now, by = clock.Time(100 * time.Hour), time.Hour
	for name, c := range map[string]struct {
		told, moved clock.Time
	}{
		"by_the_clock_that_was_set":        {now.Add(-by - time.Minute), now.Add(-time.Minute)},
		"by_one_that_was_not":              {now.Add(-time.Minute), now.Add(-time.Minute)},
		"not_told":                         {0, 0},
		"old_by_the_clock_that_was_set":    {now.Add(-3 * by), now.Add(-2 * by)},
		"this_moment_by_that_that_was_set": {now.Add(-by), now},
	} {
		t.Run(name, func(t *testing.T) {
			b := &Batch{}
			for v, i := reflect.ValueOf(b).Elem(), 0; i < v.NumField(); i++ {
				if f := v.Field(i); f.Kind() == reflect.Slice {
					f.Set(reflect.MakeSlice(f.Type(), 1, 1))
				}
			}
			times(reflect.ValueOf(b).Elem(), func(_ string, at reflect.Value) { at.SetInt(int64(c.told)) })
			b.Arrived = now
			b.MoveOn(by)
			times(reflect.ValueOf(b).Elem(), func(field string, at reflect.Value) {
				want := c.moved
				switch {
				case field == "Batch.Arrived":
					want = now
				case byAnother[field]:
					want = c.told
				case field == "Beat.Due" && c.told != 0:
					want = c.told.Add(by)
				}
				if got := clock.Time(at.Int()); got != want {
					t.Errorf("%s is %s, want %s", field, got.UTC(), want.UTC())
				}
			})
		})
	}
}
