// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package demo

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/faultline-otel/faultline/internal/contract"
)

// epoch is when the cause is done; it is undone 10 s later.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func event(seconds int, name, class, subclass, instance string) said {
	return said{at: epoch.Add(time.Duration(seconds) * time.Second), event: name, entity: instance,
		class: class, subclass: subclass, culprit: instance, instance: instance}
}

func TestJudge(t *testing.T) {
	const (
		detected = contract.EventFailureDetected
		revised  = contract.EventFailureRevised
		cleared  = contract.EventFailureCleared
	)
	crash := expectation{"crash", "process_exit", "payment-1"}
	tests := []struct {
		name   string
		want   expectation
		events []said
		wrong  string // part of it; "" if right
	}{
		{"nothing_said_of_nothing", expectation{}, nil, ""},
		{"planned_stop_is_no_accusation", expectation{}, []said{event(2, contract.EventPlannedStop, "", "", "payment-1")}, ""},
		{"sick_observer_is_no_accusation", expectation{}, []said{event(2, contract.EventObserverDegraded, "", "", "")}, ""},
		{"crash_of_a_planned_stop", expectation{}, []said{event(2, detected, "crash", "process_exit", "payment-1"), event(4, cleared, "crash", "process_exit", "payment-1")},
			"it said crash (process_exit) of payment-1"},
		{"unknown_of_a_planned_stop", expectation{}, []said{event(2, detected, "unknown", "", "payment-1")}, "it said unknown of payment-1"},

		{"named_and_cleared", crash, []said{event(2, detected, "crash", "process_exit", "payment-1"), event(14, cleared, "crash", "process_exit", "payment-1")}, ""},
		{"unknown_first", crash, []said{event(1, detected, "unknown", "", "payment-1"), event(2, revised, "crash", "process_exit", "payment-1"), event(14, cleared, "crash", "process_exit", "payment-1")}, ""},
		{"subclass_revised_by_the_return", crash, []said{event(2, detected, "crash", "process_exit", "payment-1"), event(12, revised, "crash", "crash_loop", "payment-1"), event(14, cleared, "crash", "crash_loop", "payment-1")}, ""},

		{"nothing_said", crash, nil, "nothing was said"},
		{"too_late", crash, []said{event(11, detected, "crash", "process_exit", "payment-1")}, "nothing was said"},
		{"only_unknown", crash, []said{event(2, detected, "unknown", "", "payment-1"), event(14, cleared, "unknown", "", "payment-1")}, "it said unknown of payment-1"},
		{"other_class", crash, []said{event(2, detected, "network_partition", "complete", "payment-1")}, "it said network_partition (complete) of payment-1"},
		{"other_subclass", crash, []said{event(2, detected, "crash", "hang", "payment-1")}, "it said crash (hang) of payment-1"},
		{"other_culprit", crash, []said{event(2, detected, "crash", "process_exit", "payment-2")}, "it said crash (process_exit) of payment-2"},
		{"taken_back_is_still_wrong", crash, []said{event(1, detected, "byzantine", "", "payment-1"), event(2, revised, "crash", "process_exit", "payment-1"), event(14, cleared, "crash", "process_exit", "payment-1")}, "it said byzantine of payment-1"},
		{"a_victim_accused_too", crash, []said{event(2, detected, "crash", "process_exit", "payment-1"), event(3, detected, "unknown", "", "checkout-1"), event(14, cleared, "crash", "process_exit", "payment-1"), event(14, cleared, "unknown", "", "checkout-1")}, "it said unknown of checkout-1 too"},
		{"cleared_while_it_lasted", crash, []said{event(2, detected, "crash", "process_exit", "payment-1"), event(5, cleared, "crash", "process_exit", "payment-1")}, "cleared before"},
		{"never_cleared", crash, []said{event(2, detected, "crash", "process_exit", "payment-1")}, "not cleared after"},
		{"class_revised_by_the_return", crash, []said{event(2, detected, "crash", "process_exit", "payment-1"), event(12, revised, "network_partition", "complete", "payment-1")}, "it said network_partition (complete) of payment-1"},
		{"another_accused_by_the_return", crash, []said{event(2, detected, "crash", "process_exit", "payment-1"), event(14, cleared, "crash", "process_exit", "payment-1"), event(15, detected, "unknown", "", "gateway-1")}, "it said unknown of gateway-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wrong := judge(tt.want, tt.events, epoch.Add(10*time.Second))
			if tt.wrong == "" {
				assert.Empty(t, wrong)
				return
			}
			assert.Contains(t, wrong, tt.wrong)
		})
	}
}

func TestStepsExpectWhatTheyDo(t *testing.T) {
	long, short := steps(false), steps(true)
	assert.Len(t, short, 3)
	for i, st := range long {
		if i < len(short) {
			assert.Equal(t, short[i].title, st.title, "the short form is the beginning of the long one")
		}
		if !st.want.nothing() {
			assert.Contains(t, instances, st.want.instance)
			assert.Contains(t, classes, st.want.class)
			assert.Contains(t, st.title, st.want.instance)
			assert.NotNil(t, st.undo, "%s: a failure must end before the next step", st.title)
		}
	}
}
