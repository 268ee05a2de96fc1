// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// mailQueue is a queue that mailers read, and a broker that tells of it each five
// seconds.
type mailQueue struct {
	*shop
	broker    *proc
	mailers   []*proc
	waiting   float64
	read      float64
	written   float64 // messages a second
	each      float64 // messages a second that one mailer can do
	silent    bool    // the broker tells no count of what was read
	spans     bool    // the mailers send spans
	committed time.Duration
	unheard   bool // what the broker tells does not arrive
	sends     bool // those who write to it send spans
	stale     bool // and then what it told last comes first
	apart     bool // somebody who looks at the broker from outside tells
	last      report.Queue
}

func newMailQueue(t *testing.T, mailers int) *mailQueue {
	q := &mailQueue{shop: newShop(t), written: 10, each: 30, spans: true}
	q.broker = q.add("broker", "broker-1")
	for i := range mailers {
		q.mailers = append(q.mailers, q.add("mailer", fmt.Sprintf("mailer-%d", i+1)))
	}
	return q
}

func (q *mailQueue) flow(d time.Duration) {
	pending := 0.0
	for end := q.now.Add(d); q.now < end; {
		b := &report.Batch{Arrived: q.now}
		q.waiting += q.written
		for _, m := range q.mailers {
			if n := min(q.waiting, q.each); n > 0 {
				q.waiting -= n
				pending += n
				if q.spans {
					b.Consumed = append(b.Consumed, report.Consumed{Source: m.src, Queue: "mail", Group: "mailers", Count: int(n), Last: q.now})
				}
			}
		}
		seconds := time.Duration(q.now).Round(time.Second) / time.Second
		if q.committed == 0 || seconds%(q.committed/time.Second) == 0 {
			q.read += pending
			pending = 0
		}
		if seconds%5 == 0 {
			told := report.Queue{Source: q.broker.src, Name: "mail", Group: "mailers", Waiting: q.waiting, Read: q.read}
			if q.committed != 0 {
				told.Waiting += pending
			}
			if q.apart {
				told.Source, told.Group = &report.Source{}, ""
			}
			if q.silent {
				told.Read = -1
			}
			switch {
			case q.unheard:
			case q.stale:
				q.last.Waiting++
				b.Queues, q.stale = append(b.Queues, q.last), false
			default:
				b.Queues, q.last = append(b.Queues, told), told
			}
		}
		if q.sends {
			b.Sent = append(b.Sent, report.Sent{Queue: "mail", Count: int(q.written)})
		}
		q.e.Observe(b)
		q.run(time.Second)
	}
}

func TestReaderThatIsStuckIsToldSoonThoughSpansTellOfTheQueueToo(t *testing.T) {
	q := newMailQueue(t, 1)
	q.sends, q.unheard = true, true
	q.flow(30 * time.Second) // spans were first
	q.unheard = false
	q.flow(2 * time.Minute)
	at := q.now
	q.each = 0
	q.flow(45 * time.Second)
	q.accused(at, 21*time.Second, verdict.ClassCrash, "hang", "mailer-1")
}

func TestReaderThatIsSlowAndCountsSeldomDoesNotHang(t *testing.T) {
	q := newMailQueue(t, 1)
	q.flow(2 * time.Minute)
	at := q.now
	q.each, q.committed = 1, 25*time.Second
	q.flow(50 * time.Second)
	q.accused(at, 50*time.Second, verdict.ClassExhaustion, "queue", "mailer-1")
	for _, ev := range q.events {
		if ev.Verdict != nil && ev.Verdict.Class == verdict.ClassCrash {
			t.Errorf("at %v said %s", ev.At.Sub(at), ev.Body)
		}
	}
}

func TestQueueTellsItsReaders(t *testing.T) {
	for name, c := range map[string]struct {
		mailers  int
		change   func(q *mailQueue)
		class    verdict.Class
		subclass string
		culprit  string
	}{
		"it reads too slowly":       {1, func(q *mailQueue) { q.each = 1 }, verdict.ClassExhaustion, "queue", "mailer-1"},
		"all read too slowly":       {2, func(q *mailQueue) { q.each = 1 }, verdict.ClassExhaustion, "queue", "mailer"},
		"more comes than they do":   {2, func(q *mailQueue) { q.written = 100 }, verdict.ClassExhaustion, "queue", "mailer"},
		"it reads nothing":          {1, func(q *mailQueue) { q.each = 0 }, verdict.ClassCrash, "hang", "mailer-1"},
		"it reads nothing, by span": {1, func(q *mailQueue) { q.each, q.silent = 0, true }, verdict.ClassCrash, "hang", "mailer-1"},
	} {
		t.Run(name, func(t *testing.T) {
			q := newMailQueue(t, c.mailers)
			q.flow(2 * time.Minute)
			at := q.now
			c.change(q)
			q.flow(45 * time.Second)
			q.accused(at, 45*time.Second, c.class, c.subclass, c.culprit)
			q.each, q.written = 200, 10
			q.flow(time.Minute)
			if n := len(q.e.suspects); n != 0 {
				t.Errorf("%d still under suspicion a minute after: %s", n, q.dump())
			}
		})
	}
}

func TestTelemetryThatCameLateIsNoHabitOfReadingNothing(t *testing.T) {
	q := newMailQueue(t, 1)
	q.flow(2 * time.Minute)
	q.unheard = true
	q.flow(30 * time.Second)
	q.unheard, q.stale = false, true
	q.flow(time.Minute)
	at := q.now
	q.each = 0
	q.flow(45 * time.Second)
	q.accused(at, 45*time.Second, verdict.ClassCrash, "hang", "mailer-1")
}

// Nobody tells who reads it: the queue itself is named, if it usually is read at all. Letters
// that could not be delivered wait for a person.
func TestQueueWhoseReadersNobodyTells(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(q *mailQueue)
		class    verdict.Class
		subclass string
	}{
		"they_read_too_slowly":  {func(q *mailQueue) { q.each = 1 }, verdict.ClassExhaustion, "queue"},
		"they_read_nothing":     {func(q *mailQueue) { q.each = 0 }, verdict.ClassUnknown, ""},
		"a_batch_job_fills_it":  {func(q *mailQueue) { q.waiting += 2000 }, "", ""},
		"it_was_never_read":     {func(q *mailQueue) { q.written = 30 }, "", ""},
		"how_it_is_read_is_not": {func(q *mailQueue) { q.each = 1 }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			q := newMailQueue(t, 1)
			q.spans, q.apart = false, true
			q.silent = name == "how_it_is_read_is_not"
			if name == "it_was_never_read" {
				q.each, q.written = 0, 0
			}
			q.flow(2 * time.Minute)
			at := q.now
			c.change(q)
			q.flow(45 * time.Second)
			if c.class == "" {
				q.nobodyAccused(false)
				return
			}
			if c.class != verdict.ClassUnknown {
				q.accused(at, 45*time.Second, c.class, c.subclass, "queue/mail")
			} else if ev := q.first(contract.EventFailureDetected); ev == nil || ev.Entity != "queue/mail" {
				t.Errorf("said %v, want unknown of queue/mail; %s", ev, q.dump())
			} else {
				t.Log(ev.Body)
			}
			q.each, q.written = 200, 10
			q.flow(time.Minute)
			if n := len(q.e.suspects); n != 0 {
				t.Errorf("%d still under suspicion a minute after: %s", n, q.dump())
			}
		})
	}
}

func TestQueueThatIsWorkedOffIsNoFailure(t *testing.T) {
	for name, change := range map[string]func(q *mailQueue){
		"a batch job fills it at once":    func(q *mailQueue) { q.waiting += 2000 },
		"a spike for some seconds":        func(q *mailQueue) { q.waiting += 150 },
		"nothing comes any more":          func(q *mailQueue) { q.written = 0 },
		"what was read is told in lumps":  func(q *mailQueue) { q.committed = 60 * time.Second },
		"one message that nobody can use": func(q *mailQueue) { q.waiting, q.written, q.each = 1, 0, 0 },
	} {
		t.Run(name, func(t *testing.T) {
			q := newMailQueue(t, 1)
			if name == "what was read is told in lumps" {
				change(q)
			}
			q.flow(5 * time.Minute)
			change(q)
			q.flow(3 * time.Minute)
			q.nobodyAccused(false)
		})
	}
}

// A broker whose queue is full answers with errors; so it does for a moment when
// the queue gets shorter again. That is no failure of its own making.
func TestFullQueueThatDrainsStaysExhaustion(t *testing.T) {
	q := newMailQueue(t, 1)
	writer := q.add("orders", "orders-1")
	q.e.Observe(&report.Batch{Arrived: q.now, Hops: []report.Hop{
		{Span: 1 << 50, Source: writer.src, Callee: report.Callee{Address: q.broker.addr, Direct: true}},
		{Span: 1 << 50, Server: true, Source: q.broker.src},
	}})
	write := func(d time.Duration, refused int) {
		for end := q.now.Add(d); q.now < end; {
			b := &report.Batch{Arrived: q.now}
			for _, c := range [...]struct {
				outcome report.Outcome
				count   int
			}{{report.OutcomeOK, 10 - refused}, {report.OutcomeServerError, refused}} {
				if c.count > 0 {
					b.Calls = append(b.Calls, report.Calls{Caller: writer.src, Callee: report.Callee{Address: q.broker.addr, Direct: true}, Outcome: c.outcome, Count: c.count, First: q.now, Last: q.now})
				}
			}
			q.e.Observe(b)
			q.flow(time.Second)
		}
	}
	write(2*time.Minute, 0)
	at := q.now
	q.each = 1
	write(20*time.Second, 0)
	write(15*time.Second, 8)
	q.each = 200
	write(6*time.Second, 5)
	write(time.Minute, 0)
	if class := q.accused(at, 35*time.Second, verdict.ClassExhaustion, "queue", "mailer-1").Class; class != verdict.ClassExhaustion {
		t.Fatal(class)
	}
	for _, ev := range q.events {
		if ev.Verdict != nil && ev.Verdict.Class == verdict.ClassByzantine {
			t.Errorf("at %v said %s", ev.At.Sub(at), ev.Body)
		}
	}
}

func TestBacklogOfADeadConsumerIsItsCrash(t *testing.T) {
	q := newMailQueue(t, 1)
	mailer := q.mailers[0]
	mailer.watch = true
	q.flow(2 * time.Minute)
	at, each := q.now, q.each
	mailer.state, q.each = "dead", 0
	q.flow(40 * time.Second)
	mailer.restart()
	q.each = each
	q.flow(time.Minute)
	q.accused(at, 12*time.Second, verdict.ClassCrash, "process_exit", "mailer-1")
	for _, ev := range q.events {
		if ev.Verdict != nil && ev.Verdict.Class == verdict.ClassExhaustion {
			t.Errorf("after %v said %s", ev.At.Sub(at), ev.Body)
		}
	}
}

func TestSlowReadingThatWasAFailureIsNotTheUsual(t *testing.T) {
	q := newMailQueue(t, 1)
	q.flow(2 * time.Minute)
	each := q.each
	q.each, q.committed = 1, time.Minute // it takes them in lumps, and too slowly
	q.flow(3 * time.Minute)
	q.each, q.committed = 200, 0
	q.flow(time.Minute)
	q.events, q.each = nil, each
	q.flow(time.Minute)
	at := q.now
	q.each = 0
	q.flow(45 * time.Second)
	q.accused(at, 45*time.Second, verdict.ClassCrash, "hang", "mailer-1")
}
