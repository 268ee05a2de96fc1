// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

var zero = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

// faultAt lasts from and to seconds after zero.
func faultAt(from, to int, class, service, instance string) fault {
	return fault{Start: zero.Add(time.Duration(from) * time.Second), End: zero.Add(time.Duration(to) * time.Second), Service: service, Instance: instance, Class: class}
}

// said is a verdict on an instance of a service of that name less its last two letters.
func said(at float64, class verdict.Class, instance string, confidence float64) verdict.Event {
	service := instance[:len(instance)-2]
	return verdict.Event{
		Kind: contract.EventFailureDetected, Entity: instance, At: clock.Time(zero.UnixNano()).Add(time.Duration(at * float64(time.Second))),
		Verdict: &verdict.Verdict{Class: class, Confidence: confidence, Culprit: verdict.Culprit{
			Type: verdict.CulpritInstance, Name: instance, Instance: instance, Service: report.ServiceID{Name: service},
		}},
	}
}

// over clears what was said of an instance.
func over(at float64, instance string) verdict.Event {
	ev := said(at, verdict.ClassCrash, instance, 1)
	ev.Kind = contract.EventFailureCleared
	return ev
}

func classOf(t *testing.T, s Score, class string) ClassScore {
	t.Helper()
	for _, c := range s.Classes {
		if c.Class == class {
			return c
		}
	}
	t.Fatalf("no score of %s in %v", class, s)
	return ClassScore{}
}

// Two crashes and a partition over two hours. Said: the first crash after 4 s,
// by the second guess; of the second nothing; the partition after 10 s, called
// a crash first; a crash while nothing was wrong; and once `unknown`.
func TestScoreByHand(t *testing.T) {
	faults := []fault{
		faultAt(100, 130, "crash", "pay", "pay-1"),
		faultAt(1000, 1030, "crash", "pay", "pay-2"),
		faultAt(2000, 2030, "network_partition", "cart", ""),
	}
	revised := said(2010, verdict.ClassPartition, "cart-2", 0.9)
	revised.Kind = contract.EventFailureRevised
	events := []verdict.Event{
		said(104, verdict.ClassCrash, "cart-1", 0.8),
		said(106, verdict.ClassCrash, "pay-1", 0.75),
		over(200, "cart-1"),
		over(200, "pay-1"),
		said(1010, verdict.ClassUnknown, "pay-2", 0.5),
		over(1200, "pay-2"),
		said(2005, verdict.ClassCrash, "cart-1", 0.7),
		over(2008, "cart-1"),
		revised,
		over(2200, "cart-2"),
		said(3000, verdict.ClassCrash, "pay-1", 0.7),
		over(3010, "pay-1"),
		{Kind: contract.EventPlannedStop},
	}
	s := score(faults, events, 2*time.Hour)
	assert.Equal(t, 3, s.Faults)
	assert.Equal(t, 1, s.FalseVerdicts, "only what was said while nothing was wrong")
	assert.InDelta(t, 0.5, s.FalsePerHour, 1e-9)
	require.Len(t, s.Classes, 2)

	crash := classOf(t, s, "crash")
	assert.Equal(t, 2, crash.Faults)
	assert.InDelta(t, 2.0/4, crash.Precision, 1e-9, "2 of 4 crashes that were said")
	assert.InDelta(t, 1.0/2, crash.Recall, 1e-9)
	assert.InDelta(t, 0.5, crash.F1, 1e-9)
	assert.InDelta(t, 4, *crash.DelayMedian, 1e-9)
	assert.InDelta(t, 4, *crash.DelayP95, 1e-9)
	assert.InDelta(t, 0, crash.Top1, 1e-9, "cart-1 was surer")
	assert.InDelta(t, 1.0/2, crash.Top3, 1e-9)
	assert.InDelta(t, 1.0/2, crash.Top5, 1e-9)
	assert.Equal(t, [5]int{1, 1, 0, 1, 0}, [5]int{crash.Found, crash.CulpritToo, crash.OtherClass, crash.Unknown, crash.Nothing})

	cut := classOf(t, s, "network_partition")
	assert.InDelta(t, 1, cut.Precision, 1e-9)
	assert.InDelta(t, 1, cut.Recall, 1e-9)
	assert.InDelta(t, 1, cut.F1, 1e-9)
	assert.InDelta(t, 10, *cut.DelayMedian, 1e-9)
	assert.InDelta(t, 1, cut.Top1, 1e-9)
}

func TestScoreEdges(t *testing.T) {
	t.Run("nothing_said_and_nothing_there", func(t *testing.T) {
		assert.Equal(t, Score{}, score(nil, nil, 0))
	})
	t.Run("fault_may_be_named_until_a_minute_after_its_end", func(t *testing.T) {
		f := []fault{faultAt(10, 20, "crash", "pay", "")}
		for at, found := range map[float64]float64{5: 0, 10: 1, 80: 1, 80.1: 0} {
			s := score(f, []verdict.Event{said(at, verdict.ClassCrash, "pay-1", 0.9), over(at+4, "pay-1")}, time.Hour)
			assert.InDelta(t, found, classOf(t, s, "crash").Recall, 0, at)
			assert.Equal(t, int(1-found), s.FalseVerdicts, at)
		}
	})
	t.Run("verdict_that_stands_when_the_label_begins_is_right_and_in_time", func(t *testing.T) {
		events := []verdict.Event{said(5, verdict.ClassCrash, "pay-1", 0.9), over(12, "pay-1")}
		s := score([]fault{faultAt(10, 20, "crash", "pay", "")}, events, time.Hour)
		assert.InDelta(t, 0, *classOf(t, s, "crash").DelayMedian, 0)
		assert.Equal(t, 0, s.FalseVerdicts)
	})
	t.Run("another_class_is_not_nothing", func(t *testing.T) {
		s := score([]fault{faultAt(10, 20, "crash", "pay", "")}, []verdict.Event{said(12, verdict.ClassPartition, "pay-1", 0.9)}, time.Hour)
		assert.Equal(t, 1, classOf(t, s, "crash").OtherClass)
	})
	t.Run("unknown_outside_of_faults_is_counted_apart", func(t *testing.T) {
		s := score(nil, []verdict.Event{said(12, verdict.ClassUnknown, "pay-1", 0.5)}, time.Hour)
		assert.Equal(t, [2]int{0, 1}, [2]int{s.FalseVerdicts, s.UnknownOutside})
	})
	t.Run("fault_that_was_not_found_has_no_delay", func(t *testing.T) {
		c := classOf(t, score([]fault{faultAt(10, 20, "crash", "pay", "")}, nil, time.Hour), "crash")
		assert.Nil(t, c.DelayMedian)
		assert.Nil(t, c.DelayP95)
		assert.Equal(t, "-", inSeconds(c.DelayMedian))
	})
	t.Run("delays_median_and_nearest_rank", func(t *testing.T) {
		var faults []fault
		var events []verdict.Event
		for i := range 20 { // delays of 1 s to 20 s
			faults = append(faults, faultAt(i*1000, i*1000+100, "crash", "pay", ""))
			events = append(events, said(float64(i*1000+i+1), verdict.ClassCrash, "pay-1", 0.9), over(float64(i*1000+50), "pay-1"))
		}
		c := classOf(t, score(faults, events, time.Hour), "crash")
		assert.InDelta(t, 10.5, *c.DelayMedian, 1e-9)
		assert.InDelta(t, 19, *c.DelayP95, 1e-9)
	})
	t.Run("culprit_fourth_is_in_the_top_five_only", func(t *testing.T) {
		var events []verdict.Event
		for i, who := range []string{"a-1", "b-1", "c-1", "pay-1"} {
			events = append(events, said(float64(10+i), verdict.ClassCrash, who, 0.9-float64(i)/10))
		}
		c := classOf(t, score([]fault{faultAt(10, 20, "crash", "pay", "pay-1")}, events, time.Hour), "crash")
		assert.Equal(t, [3]float64{0, 0, 1}, [3]float64{c.Top1, c.Top3, c.Top5})
	})
	t.Run("label_without_culprit_is_not_ranked", func(t *testing.T) {
		faults := []fault{faultAt(10, 20, "crash", "", ""), faultAt(500, 520, "crash", "pay", "")}
		events := []verdict.Event{said(11, verdict.ClassCrash, "a-1", 0.9), over(99, "a-1"), said(501, verdict.ClassCrash, "pay-1", 0.9)}
		assert.InDelta(t, 1, classOf(t, score(faults, events, time.Hour), "crash").Top1, 0)
	})
}

func TestCulpritOfLabel(t *testing.T) {
	pay1 := said(0, verdict.ClassCrash, "pay-1", 1).Verdict.Culprit
	service := verdict.Culprit{Type: verdict.CulpritService, Name: "pay", Service: report.ServiceID{Name: "pay"}}
	link := verdict.Culprit{Type: verdict.CulpritLink, Name: "zone-b→zone-c"}
	for _, tt := range []struct {
		name              string
		service, instance string
		culprit           verdict.Culprit
		want              bool
	}{
		{"same_instance", "pay", "pay-1", pay1, true},
		{"sibling", "pay", "pay-2", pay1, false},
		{"instance_of_another_service", "cart", "pay-1", pay1, false},
		{"any_instance_of_the_service", "pay", "", pay1, true},
		{"service_stands_for_its_instance", "pay", "pay-1", service, true},
		{"another_service", "cart", "", pay1, false},
		{"instance_alone", "", "pay-1", pay1, true},
		{"instance_alone_is_not_a_service", "", "pay-1", service, false},
		{"link", "zone-b→zone-c", "", link, true},
		{"link_is_no_service", "pay", "", link, false},
		{"nobody", "", "", pay1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := fault{Service: tt.service, Instance: tt.instance}
			assert.Equal(t, tt.want, f.is(tt.culprit))
		})
	}
}

func TestScoreJobsByHand(t *testing.T) {
	jobs := []job{{"pay-1", "crash"}, {"cart", "network_partition"}, {"ledger-1", "crash"}, {"mail", classNone}, {"web", classNone}}
	events := []verdict.Event{
		said(1, verdict.ClassPartition, "pay-1", 0.7),
		said(2, verdict.ClassCrash, "pay-1", 0.9), // the last word counts
		said(3, verdict.ClassCrash, "cart-1", 0.9),
		said(4, verdict.ClassUnknown, "ledger-1", 0.9),
		said(5, verdict.ClassCrash, "mail-1", 0.9),
		said(6, verdict.ClassCrash, "other-1", 0.9),
	}
	s := scoreJobs(jobs, events, 4*time.Hour)
	assert.Equal(t, 3, s.Faults)
	assert.Equal(t, 2, s.FalseVerdicts, "mail, and other-1 that has no label")
	assert.InDelta(t, 0.5, s.FalsePerHour, 1e-9)
	crash := classOf(t, s, "crash")
	assert.InDelta(t, 1.0/4, crash.Precision, 1e-9)
	assert.InDelta(t, 1.0/2, crash.Recall, 1e-9)
	assert.InDelta(t, 1.0/3, crash.F1, 1e-9)
	cut := classOf(t, s, "network_partition")
	assert.Equal(t, ClassScore{Class: "network_partition", Faults: 1}, cut)
}

func TestLabels(t *testing.T) {
	l, err := parseLabels([]byte(`{"faults":[{"start":"2026-01-05T09:00:10Z","end":"2026-01-05T10:00:20+01:00","service":"pay","instance":"pay-1","class":"crash","type":"kill"}]}`))
	require.NoError(t, err)
	require.Len(t, l.faults, 1)
	assert.Nil(t, l.jobs)
	f := l.faults[0]
	assert.Equal(t, 10*time.Second, f.End.Sub(f.Start))
	assert.Equal(t, "kill", f.Type)

	l, err = parseLabels([]byte(`{"jobs":[{"job":"pay","class":"none"}]}`))
	require.NoError(t, err)
	assert.Equal(t, []job{{"pay", "none"}}, l.jobs)

	for name, tt := range map[string]struct{ text, want string }{
		"no_json":         {`{`, "unexpected end of JSON input"},
		"neither_list":    {`{}`, `must have either "faults" or "jobs"`},
		"both_lists":      {`{"faults":[],"jobs":[]}`, `must have either "faults" or "jobs"`},
		"wrong_type":      {`{"faults":[{"start":5}]}`, "faults.start"},
		"no_start":        {`{"faults":[{"end":"2026-01-05T09:00:10Z","class":"crash"}]}`, "faults[0].start: is missing"},
		"start_no_time":   {`{"faults":[{"start":"yesterday","end":"2026-01-05T09:00:10Z","class":"crash"}]}`, `faults[0].start: "yesterday" is no RFC 3339 time`},
		"end_no_time":     {`{"faults":[{"start":"2026-01-05T09:00:10Z","end":"2026-01-05 09:00","class":"crash"}]}`, `faults[0].end: "2026-01-05 09:00" is no`},
		"end_first":       {`{"faults":[{"start":"2026-01-05T09:00:10Z","end":"2026-01-05T09:00:09Z","class":"crash"}]}`, "faults[0].end: 2026-01-05T09:00:09Z lies before"},
		"unknown_class":   {`{"faults":[{"start":"2026-01-05T09:00:10Z","end":"2026-01-05T09:00:10Z","class":"crashed"}]}`, `faults[0].class: "crashed" is not one of crash, network_partition`},
		"job_no_name":     {`{"jobs":[{"class":"crash"}]}`, "jobs[0].job: is missing"},
		"job_twice":       {`{"jobs":[{"job":"a","class":"crash"},{"job":"a","class":"none"}]}`, `jobs[1].job: "a" has a label already`},
		"job_bad_class":   {`{"jobs":[{"job":"a","class":""}]}`, `jobs[0].class: "" is not one of`},
		"second_is_named": {`{"jobs":[{"job":"a","class":"none"},{"job":"b"}]}`, "jobs[1].class"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readLabels(write(t, "labels.json", tt.text))
			require.ErrorContains(t, err, tt.want)
			assert.ErrorContains(t, err, "labels.json: ")
		})
	}
}

func FuzzLabels(f *testing.F) {
	f.Add([]byte(`{"faults":[{"start":"2026-01-05T09:00:10Z","end":"2026-01-05T09:00:10Z","class":"crash"}]}`))
	f.Add([]byte(`{"jobs":[{"job":"a","class":"none"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parseLabels(text)
		if (l == nil) == (err == nil) {
			t.Fatalf("labels or an error, not %v and %v", l, err)
		}
	})
}
