// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// unmetered is a queue of which only spans tell, every five seconds.
type unmetered struct {
	*fleet
	reader *report.Source
}

func newUnmetered(t *testing.T) *unmetered {
	u := &unmetered{fleet: newFleet(t), reader: report.NewSource(report.Source{Service: report.ServiceID{Name: "worker"}, Host: "h", Instance: "3d1219c7-0000-4404-aaa1-6d2a48adfda4", Volatile: true})}
	u.five(12, 25, 25, nil)
	return u
}

func (u *unmetered) five(times, sent, read int, also func(b *report.Batch)) {
	u.tell(5*time.Second, time.Duration(times)*5*time.Second, func(b *report.Batch) {
		if read > 0 {
			b.Consumed = append(b.Consumed, report.Consumed{Source: u.reader, Queue: "ship", Count: read, Last: b.Arrived})
		}
		if sent > 0 {
			b.Sent = append(b.Sent, report.Sent{Queue: "ship", Count: sent})
		}
		if also != nil {
			also(b)
		}
	})
}

func TestReaderOfAQueueThatNobodyMetersIsMissed(t *testing.T) {
	u := newUnmetered(t)
	u.five(10, 25, 0, nil)
	ev := u.first("failure.detected")
	if ev == nil || ev.Verdict.Class != verdict.ClassUnknown || ev.Verdict.Culprit.Name != "worker@h" {
		t.Fatalf("said %v, want unknown of the reader; %s", u.verdicts(), u.dump())
	}
	t.Log(ev.Body)
	u.reader = report.NewSource(report.Source{Service: u.reader.Service, Host: "h", Instance: "aaaaaaaa-0000-4404-aaa1-6d2a48adfda4", Volatile: true})
	u.five(6, 25, 25, nil)
	u.nobodyAccused(true)
	if len(u.verdicts())%2 != 0 {
		t.Errorf("it is read again: %v", u.verdicts())
	}
}

func TestUnmeteredQueueAccusesNobody(t *testing.T) {
	for name, during := range map[string]func(u *unmetered){
		"nothing_is_sent":  func(u *unmetered) { u.five(12, 0, 0, nil) },
		"a_short_restart":  func(u *unmetered) { u.five(2, 25, 0, nil); u.five(6, 25, 25, nil) },
		"others_send_too":  func(u *unmetered) { u.five(12, 50, 25, nil) },
		"read_more_slowly": func(u *unmetered) { u.five(24, 50, 5, nil) },
		"read_by_the_minute": func(u *unmetered) {
			u.e = New(DefaultParams()) // that is all that is known
			for range 12 {
				u.five(11, 25, 0, nil)
				u.five(1, 25, 300, nil)
			}
		},
		"it_is_told_that_none_wait": func(u *unmetered) {
			u.five(12, 25, 0, func(b *report.Batch) { b.Queues = append(b.Queues, report.Queue{Name: "ship", Waiting: 0, Read: -1}) })
		},
		"it_said_that_it_would_stop": func(u *unmetered) {
			u.tell(time.Second, time.Second, func(b *report.Batch) {
				b.Facts = append(b.Facts, report.Fact{Source: u.reader, Kind: report.FactStopping, At: b.Arrived})
			})
			u.five(12, 25, 0, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUnmetered(t)
			during(u)
			u.nobodyAccused(false)
		})
	}
}
