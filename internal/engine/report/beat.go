// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// ObserverBeat is an observer's sign of its own life.
type ObserverBeat struct {
	Stamp
	Host     string        // the observer's host
	Interval time.Duration // its usual interval
	Late     time.Duration // how late its own tick was
	Refused  uint64        // heartbeats that it refused since its last beat
}

// Beat is a heartbeat that was pushed.
type Beat struct {
	Stamp
	Source        *Source
	Interval      time.Duration // declared; 0 if not
	Incarnation   uint64        // the sender's start; 0 if not told
	Seq           uint64        // sender's own count of its timer's ticks; 0 if not told
	SentAt        clock.Time    // sender's clock; 0 if not told
	Status        Status
	HasExitCode   bool
	ExitCode      int
	BootID        string
	Digest        string
	Authenticated bool       // the sender proved who it is
	Remote        string     // address that it came from
	Due           clock.Time // when the next beat of a scheduled check is due; 0 if none
	Grace         time.Duration
}

// Sign is a sign of life that comes by itself at a rhythm: an instance's own
// metric export or a scrape of it.
type Sign struct {
	Source *Source
	At     clock.Time // when the batch was seen
	Dated  clock.Time // its sender's date of what it tells; 0 if not told
}

// Status is what a heartbeat says of its sender.
type Status uint8

// Values of Status.
const (
	StatusUnset Status = iota
	StatusStarting
	StatusReady
	StatusDegraded
	StatusDraining
	StatusStopping
	StatusLastGasp
	StatusFailed
)

// Ends says whether a beat says that its sender ends or has ended.
func (b *Beat) Ends() bool {
	switch b.Status {
	case StatusDraining, StatusStopping, StatusLastGasp, StatusFailed:
		return true
	}
	return b.HasExitCode
}
