// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/probe"
)

// field is one field of a heartbeat. Their order is that of the canonical form
// which a sender signs: it must never change.
type field uint8

const (
	fService field = iota
	fInstance
	fNamespace
	fEnvironment
	fHost
	fZone
	fGroup
	fVersion
	fIncarnation
	fSeq
	fInterval
	fBootID
	fStatus
	fExitCode
	fDigest
	fSentAt
	fMAC
	numFields
)

var fieldNames = [numFields]string{
	"service", "instance", "namespace", "environment", "host", "zone", "group", "version", "incarnation",
	"seq", "interval", "boot_id", "status", "exit_code", "digest", "sent_at", "mac",
}

func (f field) String() string { return fieldNames[f] }

// beat is one heartbeat, however it came in. It lives only as long as its
// request: what is kept of it is copied.
type beat struct {
	text [numFields]string // as the sender wrote it, numbers too
	has  uint32            // bit f: field f was given

	incarnation, seq, sentAt, exitCode int64
	interval                           time.Duration

	remote        string // host part of the address that it came from
	authenticated bool

	// Of pings only.
	message string
	due     time.Time // zero: not scheduled
	grace   time.Duration
	runTime time.Duration // 0: not known
}

func (b *beat) given(f field) bool { return b.has&(1<<f) != 0 }

// put sets a field from text and parses it.
func (b *beat) put(f field, text string) error {
	b.has |= 1 << f
	b.text[f] = text
	switch f {
	case fIncarnation:
		return parseInto(&b.incarnation, text, parseTime)
	case fSentAt:
		return parseInto(&b.sentAt, text, parseTime)
	case fSeq:
		return parseInto(&b.seq, text, parseSeq)
	case fExitCode:
		return parseInto(&b.exitCode, text, parseExitCode)
	case fInterval:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%s is no time span: write one such as \"1s\" or \"1m30s\"", quote(text))
		}
		return b.setInterval(d)
	case fStatus:
		return b.setStatus(text)
	case fService:
		if text == "" {
			return errors.New("must not be empty")
		}
	}
	return probe.CheckName(text)
}

func (b *beat) setInterval(d time.Duration) error {
	if d < minInterval || d > maxInterval {
		return fmt.Errorf("%v is not between %v and 366 days", d, minInterval)
	}
	b.interval = d
	return nil
}

var statuses = [...]string{
	contract.StatusReady, contract.StatusStarting, contract.StatusDegraded, contract.StatusDraining,
	contract.StatusStopping, contract.StatusLastGasp, contract.StatusFailed,
}

// setStatus stores the constant, so that nobody holds on to the request.
func (b *beat) setStatus(text string) error {
	for _, s := range statuses {
		if s == text {
			b.text[fStatus] = s
			return nil
		}
	}
	return fmt.Errorf("%s is none: write starting, ready, degraded, draining, stopping, last_gasp or failed", quote(text))
}

func parseInto(dst *int64, text string, parse func(string) (int64, error)) error {
	v, err := parse(text)
	*dst = v
	return err
}

// parseTime reads nanoseconds since 1970 or RFC 3339. Any time that fits is
// taken, however wrong: devices without a battery begin in 1970.
func parseTime(text string) (int64, error) {
	if v, err := parseInt(text); err == nil {
		if v < 0 {
			return 0, errors.New("is before 1970")
		}
		return v, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, fmt.Errorf("%s is no time: write RFC 3339, such as \"2026-01-31T12:00:00Z\", or nanoseconds since 1970", quote(text))
	}
	if t.Before(epoch) || t.After(endOfTime) {
		return 0, errors.New("is not between 1970 and 2262")
	}
	return t.UnixNano(), nil
}

// parseInt is strconv.ParseInt with a short way for what heartbeats hold: up to
// 18 digits, or the 19 of nanoseconds until 2033.
func parseInt(text string) (int64, error) {
	if len(text) == 0 || len(text) > 19 || len(text) == 19 && text[0] != '1' {
		return strconv.ParseInt(text, 10, 64)
	}
	var v int64
	for i := range len(text) {
		d := text[i] - '0'
		if d > 9 {
			return strconv.ParseInt(text, 10, 64)
		}
		v = 10*v + int64(d)
	}
	return v, nil
}

var (
	epoch     = time.Unix(0, 0)
	endOfTime = time.Unix(0, 1<<63-1)
)

func parseSeq(text string) (int64, error) {
	v, err := parseInt(text)
	if err != nil || v < 0 {
		return 0, fmt.Errorf("%s is no whole number between 0 and 2^63-1", quote(text))
	}
	return v, nil
}

// parseExitCode takes what any system calls an exit status: Windows has 32 bits.
func parseExitCode(text string) (int64, error) {
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < -1<<31 || v >= 1<<32 {
		return 0, fmt.Errorf("%s is no exit status: write a whole number, 128+n for signal n", quote(text))
	}
	return v, nil
}

// quote makes text safe and short enough for an error message.
func quote(text string) string {
	const most = 60
	if len(text) > most {
		return strconv.Quote(text[:most]) + "…"
	}
	return strconv.Quote(text)
}
