// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package sample

import (
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/contract"
)

// fleet is the processes and their observer, at one second of the recording.
type fleet struct {
	rand     *rand.Rand
	at       time.Duration
	procs    []*process
	observed int64 // records of the observer
}

type process struct {
	service, instance, host string
	phase                   time.Duration // of its heartbeats
	started                 time.Duration // of this incarnation
	seq                     int64
	status                  string // "" while it does not run
}

const observer = "node-1"

func newFleet() *fleet {
	f := &fleet{rand: rand.New(rand.NewPCG(1, 2))}
	for i, name := range []string{"checkout", "payment", "payment", "ledger"} {
		instance := name + "-1"
		if i == 2 {
			instance = name + "-2"
		}
		f.procs = append(f.procs, &process{
			service: name, instance: instance, host: "10.0.0." + string(rune('1'+i)),
			phase: time.Duration(50+150*i) * time.Millisecond, started: -time.Hour, status: contract.StatusReady,
		})
	}
	return f
}

func (f *fleet) checkout() *process         { return f.procs[0] }
func (f *fleet) payment(which int) *process { return f.procs[1+which] }
func (f *fleet) ledger() *process           { return f.procs[3] }

// drain is how long a process that was told to stop still runs.
const drain = 2 * time.Second

// step makes of each process what the story says.
func (f *fleet) step(s Story) {
	crashing, stopping := f.payment(0), f.payment(1)
	switch {
	case s.Crashed.has(f.at):
		crashing.status = ""
	case crashing.status == "":
		crashing.start(f.at)
	}
	switch {
	case s.Stopped.has(f.at) && f.at < s.Stopped.From+drain:
		stopping.status = contract.StatusStopping
	case s.Stopped.has(f.at):
		stopping.status = ""
	case stopping.status == "":
		stopping.start(f.at)
	}
	for _, p := range f.procs {
		p.seq++
	}
}

func (p *process) start(at time.Duration) {
	p.status, p.started, p.seq = contract.StatusReady, at, 0
}

func (p *process) describe(res pcommon.Resource) {
	a := res.Attributes()
	a.PutStr("service.name", p.service)
	a.PutStr("service.namespace", "shop")
	a.PutStr("service.instance.id", p.instance)
	a.PutStr("service.version", "1.0.0")
	a.PutStr("host.name", p.host)
}

// jitter is up to 20 ms either way.
func (f *fleet) jitter() time.Duration {
	return time.Duration(f.rand.Int64N(int64(40*time.Millisecond))) - 20*time.Millisecond
}

func stamp(at time.Duration) pcommon.Timestamp { return pcommon.NewTimestampFromTime(Begin.Add(at)) }

// heartbeats is one second of them, the observer's own last.
func (f *fleet) heartbeats() (string, error) {
	ld := plog.NewLogs()
	for _, p := range f.procs {
		if p.status == "" {
			continue
		}
		rl := ld.ResourceLogs().AppendEmpty()
		p.describe(rl.Resource())
		seen := f.at + p.phase + f.jitter()
		a := f.heartbeat(rl, seen)
		a.PutInt(contract.HeartbeatIncarnation, Begin.Add(p.started).UnixNano())
		a.PutInt(contract.HeartbeatSeq, p.seq)
		a.PutStr(contract.HeartbeatStatus, p.status)
		a.PutInt(contract.HeartbeatSentAt, int64(stamp(seen-time.Millisecond)))
	}
	if f.at > 0 { // the observer's own timer ticks a second after its start
		rl := ld.ResourceLogs().AppendEmpty()
		rl.Resource().Attributes().PutStr("host.name", observer)
		f.heartbeat(rl, f.at+700*time.Millisecond).PutDouble(contract.HeartbeatObserverLate, 0)
	}
	text, err := (&plog.JSONMarshaler{}).MarshalLogs(ld)
	return string(text), err
}

// heartbeat appends a record seen at a time and returns its attributes.
func (f *fleet) heartbeat(rl plog.ResourceLogs, seen time.Duration) pcommon.Map {
	lr := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.SetEventName(contract.EventHeartbeat)
	lr.SetTimestamp(stamp(seen))
	lr.SetObservedTimestamp(stamp(seen))
	f.observed++
	a := lr.Attributes()
	a.PutStr(contract.EventName, contract.EventHeartbeat)
	a.PutDouble(contract.HeartbeatInterval, 1)
	a.PutStr(contract.HeartbeatObserver, observer)
	a.PutInt(contract.HeartbeatObserverUptime, int64(seen))
	a.PutInt(contract.HeartbeatObserverSeq, f.observed)
	return a
}
