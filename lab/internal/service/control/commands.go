// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package control is how the lab orders a service to misbehave: one JSON
// object a line over a Unix socket, apart from all telemetry.
package control

// Commands that every process of the fleet answers.
const (
	Ready = "ready" // error until it serves
	Reset = "reset" // take back everything that can be taken back
)

// Commands of the Go services. Those marked with * are also known to the other
// languages' services, those with + to the bare ones. A fraction is 0 to 1,
// and 0 ends it; a duration is written as Go does ("250ms").
const (
	Panic    = "panic"     // * an uncaught exception in the other languages
	Segfault = "segfault"  // * a write to address 0; where the runtime turns that into a panic, the exit status says so
	Abort    = "abort"     // * by SIGABRT
	Exit     = "exit"      // * + STATUS
	Deadlock = "deadlock"  // * + no request completes; heartbeats go on
	Close    = "close"     // * + the listener and all connections; the process lives
	Listen   = "listen"    // * + again
	Slow     = "slow"      // * + DURATION [FRACTION]: before each answer
	Burn     = "burn"      // * THREADS: busy loops
	Error500 = "error_500" // * + FRACTION: answers 500 that it makes itself
	Reject   = "reject"    // + FRACTION: answers 429
	Quota    = "quota"     // requests a second of each calling service, beyond which it answers 429: NUMBER (0: none)
	Repeat   = "repeat"    // makes each call NUMBER times more: its own rate rises
	Pressure = "pressure"  // work units a request, CPU: UNITS (0: the usual)

	LeakMemory     = "leak_memory"     // BYTES a second, really touched
	LeakGoroutines = "leak_goroutines" // NUMBER a second
	LeakFiles      = "leak_files"      // descriptors: NUMBER a second
	LeakThreads    = "leak_threads"    // threads of the operating system: NUMBER a second
	HoldPool       = "hold_pool"       // DURATION: each use of a pooled connection holds it so much longer
	ShrinkPool     = "shrink_pool"     // NUMBER of connections; 0: the usual
	UsePorts       = "use_ports"       // HOST:PORT NUMBER: opens and keeps connections, for ephemeral ports
	FillDisk       = "fill_disk"       // BYTES of the data folder that stay free
	SlowDisk       = "slow_disk"       // DURATION that each write takes longer
	QueueLimit     = "queue_limit"     // broker: NUMBER of messages beyond which it refuses

	Wrong      = "wrong"      // FRACTION [ZONE|SERVICE]: wrong answers, to callers of this zone or service only
	Invalid    = "invalid"    // FRACTION: answers that break the schema or checksum, which callers check
	Digest     = "digest"     // STRING: as the heartbeats' digest; "" the true one
	Backwards  = "backwards"  // "true": counters run backwards
	Pretend    = "pretend"    // FRACTION: says success and does nothing
	Expired    = "expired"    // + "true": shows an expired certificate, from new connections on
	Forge      = "forge"      // SERVICE INSTANCE: sends heartbeats as somebody else
	Replay     = "replay"     // "true": sends old heartbeats of its own again
	NoBeat     = "no_beat"    // "true": no heartbeats
	BeatClock  = "beat_clock" // DURATION by which its clock is ahead
	Credential = "credential" // "wrong": calls others with a wrong key (401)

	RetryStorm = "retry_storm" // NUMBER of retries of each failed call, at once
	Breaker    = "breaker"     // SERVICE: an open circuit breaker; calls to it are not made, and answered without it
	Timeout    = "timeout"     // DURATION for calls; "" the usual
	GCPause    = "gc_pause"    // DURATION: stops the whole process for so long, by itself
	Consume    = "consume"     // mailer: "false" stops taking messages, the process lives
	NameGone   = "name_gone"   // dns: NAME answers NXDOMAIN; without NAME all do
	SplitWrite = "write"       // ledger: KEY VALUE into this replica only

	Rate  = "rate"  // load: requests a second
	Stats = "stats" // load: JSON counts of requests
)
