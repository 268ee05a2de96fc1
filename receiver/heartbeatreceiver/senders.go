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

// identity is who beats. It is never changed once it stands.
type identity struct {
	service, instance, namespace, environment, host, zone, group, version string

	resourceAttrs    int    // how many of them stand in the resource
	status, sentence string // the record's line for a person, for the status of the latest beat
}

// sender is what the receiver knows of one who beats, for its metrics.
type sender struct {
	key   string
	id    *identity
	place *list.Element // nil: a configured check, which stays; their number is the user's, not the network's
	label string        // of a configured check: what it is called in metrics

	since    time.Time
	last     time.Time     // of its latest beat; zero: configured and never seen
	declared time.Duration // interval; 0 if not told
	mean     time.Duration // moving mean of the gaps; 0 before the second beat
	status   string
	due      time.Time // of a check
	grace    time.Duration
	skew     time.Duration // its clock less ours, transport included
	hasSkew  bool
	missed   int64 // beats that were due before the latest and did not come
}

// interval is the time that is usual between two beats; 0 if not known.
func (s *sender) interval() time.Duration {
	if s.declared > 0 {
		return s.declared
	}
	return s.mean
}

// upIntervals is how many intervals of silence a dashboard calls up. It is a
// plain rule for people; the engine judges by what is usual for the sender.
const upIntervals = 3

// up says whether s would be called up at now.
func (s *sender) up(now time.Time) bool {
	switch s.status {
	case contract.StatusStopping, contract.StatusLastGasp, contract.StatusFailed:
		return false
	}
	if !s.due.IsZero() {
		return !now.After(s.due.Add(s.grace))
	}
	if s.last.IsZero() {
		return false
	}
	usual := s.interval()
	return usual == 0 || now.Sub(s.last) <= upIntervals*usual
}

// overdue is how many beats failed to come between the latest one and now. A
// quarter of an interval is allowed for the road. Who announced its end owes none.
func (s *sender) overdue(now time.Time) int64 {
	switch {
	case s.last.IsZero(), s.status == contract.StatusStopping, s.status == contract.StatusLastGasp:
		return 0
	case !s.due.IsZero():
		if now.After(s.due.Add(s.grace)) {
			return 1
		}
		return 0
	}
	usual := s.interval()
	if usual == 0 {
		return 0
	}
	return max(0, int64((now.Sub(s.last)+usual/4)/usual)-1)
}

// senders is the bounded table of those who beat, the most recent in front.
type senders struct {
	max     int
	evicted func()

	mu    sync.Mutex
	byKey map[string]*sender
	order *list.List // of *sender
	buf   []byte
}

func newSenders(limit int, evicted func()) *senders {
	return &senders{max: limit, evicted: evicted, byKey: map[string]*sender{}, order: list.New()}
}

// touch enters a beat and returns its identity, whose strings may be kept.
func (t *senders) touch(b *beat, now time.Time, check string) *identity {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.find(b, now, check)
	if !s.id.fits(b) || s.id.status != b.text[fStatus] {
		s.id = newIdentity(b)
	}
	s.missed += s.overdue(now)
	if !s.last.IsZero() {
		gap := now.Sub(s.last)
		if s.mean == 0 {
			s.mean = gap
		} else {
			s.mean += (gap - s.mean) / 8
		}
	}
	s.last = now
	if b.interval > 0 {
		s.declared = b.interval
	}
	s.status = b.text[fStatus]
	s.due, s.grace = b.due, b.grace
	if s.hasSkew = b.given(fSentAt); s.hasSkew {
		s.skew = time.Unix(0, b.sentAt).Sub(now)
	}
	return s.id
}

// expect enters a configured check before its first ping.
func (t *senders) expect(b *beat, now time.Time, check string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.find(b, now, check)
	s.declared, s.due, s.grace = b.interval, b.due, b.grace
}

// find returns the sender of b, at the front, and makes room for it if it is new.
func (t *senders) find(b *beat, now time.Time, check string) *sender {
	t.buf = appendKey(t.buf[:0], b, check)
	if s, ok := t.byKey[string(t.buf)]; ok {
		if s.place != nil {
			t.order.MoveToFront(s.place)
		}
		return s
	}
	s := &sender{key: string(t.buf), since: now, id: newIdentity(b)}
	if check == "" {
		if t.order.Len() >= t.max {
			t.remove(t.order.Back().Value.(*sender))
			t.evicted()
		}
		s.place = t.order.PushFront(s)
	} else {
		s.label = checkLabel(check)
	}
	t.byKey[s.key] = s
	return s
}

func (t *senders) remove(s *sender) {
	t.order.Remove(s.place)
	delete(t.byKey, s.key)
}

func (t *senders) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byKey)
}

// forgetAfter is how long a sender that fell silent still has metrics.
const forgetAfter = time.Hour

// snapshot copies all senders into dst and forgets those long silent.
func (t *senders) snapshot(now time.Time, dst []sender) []sender {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.byKey {
		if s.place != nil && now.Sub(s.last) > max(forgetAfter, 2*upIntervals*s.interval()) {
			t.remove(s)
			continue
		}
		dst = append(dst, *s)
	}
	return dst
}

// appendKey makes the key of b. Without an instance the host tells two apart.
// Names hold no NUL, so two senders never share a key.
func appendKey(buf []byte, b *beat, check string) []byte {
	for _, s := range [...]string{check, b.text[fEnvironment], b.text[fNamespace], b.text[fService], b.text[fInstance]} {
		buf = append(append(buf, s...), 0)
	}
	if b.text[fInstance] == "" {
		buf = append(buf, b.text[fHost]...)
	}
	return buf
}

func (id *identity) fits(b *beat) bool {
	return id.service == b.text[fService] && id.instance == b.text[fInstance] && id.namespace == b.text[fNamespace] &&
		id.environment == b.text[fEnvironment] && id.host == b.text[fHost] && id.zone == b.text[fZone] &&
		id.group == b.text[fGroup] && id.version == b.text[fVersion]
}

// newIdentity copies what it takes from b: b's strings are parts of a request,
// which must not stay in memory for the sake of a name.
func newIdentity(b *beat) *identity {
	c := strings.Clone
	id := &identity{
		service: c(b.text[fService]), instance: c(b.text[fInstance]), namespace: c(b.text[fNamespace]),
		environment: c(b.text[fEnvironment]), host: c(b.text[fHost]), zone: c(b.text[fZone]),
		group: c(b.text[fGroup]), version: c(b.text[fVersion]), status: b.text[fStatus],
	}
	id.sentence = id.say()
	for _, v := range [...]string{id.service, id.instance, id.namespace, id.environment, id.host, id.zone, id.version} {
		if v != "" {
			id.resourceAttrs++
		}
	}
	return id
}

// say makes the line for a person.
func (id *identity) say() string {
	who, what := id.instance, "is "+id.status
	if who == "" {
		who = id.host
	}
	switch id.status {
	case "":
		what = "is alive"
	case contract.StatusFailed:
		what = "has failed"
	case contract.StatusLastGasp:
		what = "says its last word"
	}
	if who == "" {
		return id.service + " " + what
	}
	return id.service + " " + who + " " + what
}
