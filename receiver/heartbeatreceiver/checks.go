// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"container/list"
	"strings"
	"sync"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
)

// signal is what a ping says.
type signal uint8

const (
	signalSuccess signal = iota
	signalStart
	signalFail
	signalLog
)

// check is what one ping id stands for.
type check struct {
	id          string
	service     string
	instance    string
	namespace   string
	environment string
	period      time.Duration // 0 with a schedule, or auto-created
	schedule    *zonedSchedule
	grace       time.Duration
	place       *list.Element // in the order of auto-created ones; nil if configured

	due  time.Time            // of the next success; zero: unknown
	runs map[string]time.Time // when runs began, by rid; at most maxRuns
}

// maxRuns is how many runs of one check may be under way at once.
const maxRuns = 16

// checkTable knows the checks: those configured, and a bounded number of those
// that came by themselves.
type checkTable struct {
	auto    bool
	max     int
	evicted func()

	mu    sync.Mutex
	byID  map[string]*check
	order *list.List // of auto-created *check, the latest pinged in front
}

func newCheckTable(cfg *Config, evicted func()) (*checkTable, error) {
	t := &checkTable{
		auto: cfg.AutoCreate, max: cfg.MaxAutoCreated, evicted: evicted,
		byID: map[string]*check{}, order: list.New(),
	}
	for i := range cfg.Checks {
		c := &cfg.Checks[i]
		k := &check{
			id: c.id(), service: c.Service, instance: c.Instance, namespace: c.Namespace, environment: c.Environment,
			period: c.Period, grace: c.grace(),
		}
		if c.Schedule != "" {
			s, err := parseSchedule(c.Schedule, c.Timezone)
			if err != nil {
				return nil, err
			}
			k.schedule = &s
		}
		t.byID[k.id] = k
	}
	return t, nil
}

// expect enters the configured checks among the senders: a job that never once
// pings shall be seen too.
func (t *checkTable) expect(s *senders, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.byID {
		var b beat
		c.plan(now)
		c.fill(&b, now)
		s.expect(&b, now, c.id)
	}
}

func (t *checkTable) autoCreated() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.order.Len()
}

// find returns the check of the first id that is known. Otherwise it makes one
// for service under the first, if that is allowed.
func (t *checkTable) find(service string, mayCreate bool, ids ...string) (c *check, created bool) {
	for _, id := range ids {
		if c, ok := t.byID[id]; ok {
			if c.place != nil {
				t.order.MoveToFront(c.place)
			}
			return c, false
		}
	}
	if !t.auto || !mayCreate {
		return nil, false
	}
	if t.order.Len() >= t.max {
		oldest := t.order.Remove(t.order.Back()).(*check)
		delete(t.byID, oldest.id)
		t.evicted()
	}
	c = &check{id: ids[0], service: service}
	c.place = t.order.PushFront(c)
	t.byID[c.id] = c
	return c, true
}

// ping notes a signal and makes the beat that it stands for. t.mu is held.
func (c *check) ping(b *beat, s signal, rid string, now time.Time) {
	switch s {
	case signalStart:
		if c.runs == nil {
			c.runs = map[string]time.Time{}
		}
		if _, again := c.runs[rid]; !again && len(c.runs) >= maxRuns {
			c.forgetOldestRun()
		}
		c.runs[rid] = now
		// From its start a run has the time of grace to end.
		if c.place == nil && (c.due.IsZero() || c.due.After(now)) {
			c.due = now
		}
		b.markStatus(contract.StatusStarting)
	case signalSuccess, signalFail:
		if start, ok := c.runs[rid]; ok {
			b.runTime = now.Sub(start)
			delete(c.runs, rid)
		}
		c.plan(now)
		if s == signalFail {
			b.markStatus(contract.StatusFailed)
		} else {
			b.markStatus(contract.StatusReady)
		}
	}
	c.fill(b, now)
}

func (b *beat) markStatus(status string) {
	b.has |= 1 << fStatus
	b.text[fStatus] = status
}

// plan sets when the next success is due, counted from now.
func (c *check) plan(now time.Time) {
	switch {
	case c.schedule != nil:
		c.due = c.schedule.next(now)
	case c.period > 0:
		c.due = now.Add(c.period)
	}
}

// fill writes who the check stands for and what is expected of it.
func (c *check) fill(b *beat, now time.Time) {
	b.text[fService], b.text[fInstance] = c.service, c.instance
	b.text[fNamespace], b.text[fEnvironment] = c.namespace, c.environment
	b.interval = c.period
	if c.schedule != nil {
		next := c.schedule.next(now)
		b.interval = c.schedule.next(next).Sub(next)
	}
	b.due, b.grace = c.due, c.grace
}

func (c *check) forgetOldestRun() {
	var oldest string
	var at time.Time
	for rid, start := range c.runs {
		if at.IsZero() || start.Before(at) {
			oldest, at = rid, start
		}
	}
	delete(c.runs, oldest)
}

// senderKey is the check's id if it is configured: then it is always among the
// senders. An auto-created one is a sender like any other.
func (c *check) senderKey() string {
	if c.place != nil {
		return ""
	}
	return c.id
}

// checkLabel tells the checks of one service apart in metrics: its slug, or the
// first part of its UUID. The whole UUID, or the key, would let who reads the
// metrics send pings.
func checkLabel(id string) string {
	if i := strings.LastIndexByte(id, '/'); i >= 0 {
		return "check:" + id[i+1:]
	}
	first, _, _ := strings.Cut(id, "-")
	return "check:" + first
}
