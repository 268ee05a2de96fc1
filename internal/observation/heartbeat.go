// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// IsHeartbeat says whether a log record is a heartbeat: a sign of life, the
// result of a probe, or an observer's word of itself. The event's name is
// taken from EventName, else from the attribute event.name.
func IsHeartbeat(lr plog.LogRecord) bool {
	if name := lr.EventName(); name != "" {
		return name == contract.EventHeartbeat
	}
	v, ok := lr.Attributes().Get(contract.EventName)
	return ok && v.Str() == contract.EventHeartbeat
}

const (
	maxInterval = 366 * 24 * time.Hour
	maxUptime   = 100 * 366 * 24 * time.Hour
	maxAhead    = 24 * time.Hour // of an observer's clock before the engine's
)

var statuses = map[string]report.Status{
	contract.StatusStarting: report.StatusStarting,
	contract.StatusReady:    report.StatusReady,
	contract.StatusDegraded: report.StatusDegraded,
	contract.StatusDraining: report.StatusDraining,
	contract.StatusStopping: report.StatusStopping,
	contract.StatusLastGasp: report.StatusLastGasp,
	contract.StatusFailed:   report.StatusFailed,
}

var probeOutcomes = map[string]report.Outcome{
	contract.OutcomeOK:             report.OutcomeOK,
	contract.OutcomeRefused:        report.OutcomeRefused,
	contract.OutcomeTimeout:        report.OutcomeTimeout,
	contract.OutcomeUnacknowledged: report.OutcomeUnacknowledged,
	contract.OutcomeNoAnswer:       report.OutcomeNoAnswer,
	contract.OutcomeUnreachable:    report.OutcomeUnreachable,
	contract.OutcomeReset:          report.OutcomeReset,
	contract.OutcomeTLS:            report.OutcomeTLS,
	contract.OutcomeDNS:            report.OutcomeDNS,
	contract.OutcomeWrongAnswer:    report.OutcomeWrongAnswer,
	contract.OutcomeError:          report.OutcomeOther,
}

var processStates = map[string]report.ProcessState{
	contract.ProcessRunning:  report.ProcessRunning,
	contract.ProcessStopped:  report.ProcessStopped,
	contract.ProcessZombie:   report.ProcessZombie,
	contract.ProcessDiskWait: report.ProcessDiskWait,
	contract.ProcessGone:     report.ProcessGone,
}

// processTarget begins the target of a look at a process.
const processTarget = "process:"

// pulse is a heartbeat record, read.
type pulse struct {
	x       *Extractor
	stamp   report.Stamp
	beat    report.Beat
	probe   report.Probe
	process report.Process

	group, zone string
	addresses   []string
	service     string // of a process of the observer's host, by its environment
	late        time.Duration
	refused     uint64
	hasObserver bool
	aboutItself bool // it carries what only an observer tells of itself
	hasOutcome  bool
	hasProcess  bool
}

// heartbeat takes in one heartbeat record. id is who its resource is.
func (x *Extractor) heartbeat(id *sourceID, lr plog.LogRecord, now clock.Time, b *report.Batch) {
	p := pulse{x: x}
	p.process = report.Process{
		PID: -1, OOMKills: -1, Throttled: -1, MemoryUsed: -1, MemoryLimit: -1, FDs: -1, FDLimit: -1,
		Threads: -1, ThreadLimit: -1, CPUWait: -1, PressureCPU: -1, PressureMem: -1, PressureIO: -1,
	}
	for k, v := range lr.Attributes().All() {
		p.attribute(k, v, now)
	}
	if p.hasObserver {
		p.stamp.At = clock.Time(lr.ObservedTimestamp())
		if p.stamp.At <= 0 || p.stamp.At.Sub(now) > maxAhead {
			p.stamp.At = now
		}
	} else {
		// Nobody on the way has seen it before: it is observed here and now.
		p.stamp = report.Stamp{Observer: x.observer, At: now}
	}

	who := *id
	if p.group != "" {
		who.group = p.group
	}
	if p.zone != "" {
		who.zone = p.zone
	}
	switch {
	case p.probe.Target != "":
		p.putProbe(&who, b)
	case who.name != "":
		p.beat.Stamp, p.beat.Source = p.stamp, x.source(&who)
		b.Beats = append(b.Beats, p.beat)
	case p.hasObserver && (p.aboutItself || p.beat.Interval > 0):
		b.Observers = append(b.Observers, report.ObserverBeat{
			Stamp: p.stamp, Host: own(who.host), Interval: p.beat.Interval, Late: p.late, Refused: p.refused,
		})
	default:
		x.skips.add(skipNobody)
	}
}

func (p *pulse) putProbe(who *sourceID, b *report.Batch) {
	q := &p.probe
	src := p.x.source(who)
	if src != nil && src.Key == 0 {
		src = nil // the host that the probe ran on, not whom it is about
	}
	if target, ok := strings.CutPrefix(q.Target, connectionsTo); ok {
		if src != nil || !p.peer(who, target) {
			p.x.skips.add(skipNobody)
			return
		}
	} else if src == nil && p.hasProcess {
		src = p.server(who)
	}
	q.Stamp, q.Source, q.Interval, q.Digest = p.stamp, src, p.beat.Interval, p.beat.Digest
	process := strings.HasPrefix(q.Target, processTarget)
	if p.hasProcess {
		p.process.HasExitCode, p.process.ExitCode = p.beat.HasExitCode, p.beat.ExitCode
		state := p.process
		q.Process = &state
		if !p.hasOutcome {
			q.Outcome = report.OutcomeDown
			if p.process.State == report.ProcessRunning {
				q.Outcome = report.OutcomeOK
			}
		}
	} else if !p.hasOutcome {
		p.x.skips.add(skipWord)
		return
	}
	q.Direct = q.Direct || process || src != nil && src.Instance != "" || directTarget(q.Target)
	b.Probes = append(b.Probes, *q)
}

// directTarget says whether a target names an IP address.
func directTarget(target string) bool {
	host, _, _ := hostOfURL(target)
	return canonicalIP(host) != ""
}

// attribute takes in one attribute. What is not as the contract has it is
// counted and otherwise ignored: one bad field does not cost a sign of life.
func (p *pulse) attribute(k string, v pcommon.Value, now clock.Time) {
	switch k {
	case contract.HeartbeatObserver:
		if s := p.word(v); s != "" {
			p.stamp.Observer, p.hasObserver = own(s), true
		}
	case contract.HeartbeatObserverUptime:
		p.stamp.Uptime = time.Duration(p.integer(v, 0, int64(maxUptime), 0))
	case contract.HeartbeatObserverSeq:
		p.stamp.Seq = uint64(p.integer(v, 0, math.MaxInt64, 0))
	case contract.HeartbeatObserverLate:
		p.late, p.aboutItself = p.seconds(v), true
	case contract.HeartbeatObserverRefused:
		p.refused, p.aboutItself = uint64(p.integer(v, 0, math.MaxInt64, 0)), true

	case contract.HeartbeatIncarnation:
		p.beat.Incarnation = uint64(p.integer(v, 0, math.MaxInt64, 0))
	case contract.HeartbeatSeq:
		p.beat.Seq = uint64(p.integer(v, 0, math.MaxInt64, 0))
	case contract.HeartbeatInterval:
		p.beat.Interval = p.seconds(v)
	case contract.HeartbeatSentAt:
		p.beat.SentAt = clock.Time(p.integer(v, 0, math.MaxInt64, 0))
	case contract.HeartbeatStatus:
		p.beat.Status = lookup(p, v, statuses)
	case contract.HeartbeatExitCode: // of a process, too
		if n := p.integer(v, math.MinInt32, math.MaxUint32, math.MinInt64); n != math.MinInt64 {
			p.beat.ExitCode, p.beat.HasExitCode = int(n), true
		}
	case contract.HeartbeatBootID:
		p.beat.BootID = own(p.word(v))
	case contract.HeartbeatDigest:
		p.beat.Digest = own(p.word(v))
	case contract.HeartbeatRemoteAddress:
		p.beat.Remote = own(p.word(v))
	case contract.HeartbeatAuthenticated:
		if v.Type() != pcommon.ValueTypeBool {
			p.x.skips.add(skipType)
		}
		p.beat.Authenticated = v.Bool()
	case contract.HeartbeatGroup:
		p.group = p.word(v)
	case contract.HeartbeatZone:
		p.zone = p.word(v)
	case contract.HeartbeatDue:
		// A check that is due in the past is late, one in a far future never is.
		p.beat.Due = clock.Time(p.integer(v, 0, int64(now)+int64(maxInterval), 0))
	case contract.HeartbeatGrace:
		p.beat.Grace = p.seconds(v)

	case contract.HeartbeatTarget:
		p.probe.Target = own(p.word(v))
	case contract.HeartbeatOutcome:
		p.probe.Outcome = lookup(p, v, probeOutcomes)
		p.hasOutcome = p.probe.Outcome != report.OutcomeUnset
	case contract.HeartbeatAddresses:
		p.addresses = p.strings(v)
	case contract.HeartbeatClient:
		p.probe.Client = v.Bool()
	case contract.HeartbeatService:
		p.service = p.word(v)
	case contract.HeartbeatRTT:
		p.probe.RTT = p.seconds(v)
	case contract.HeartbeatLoss:
		p.probe.Loss = max(p.share(v), 0)
	case contract.HeartbeatMessage:
		p.probe.Message = line(v.Str())

	case contract.ProcessState:
		p.process.State = lookup(p, v, processStates)
		p.hasProcess = p.hasProcess || p.process.State != report.ProcessUnknown
	case contract.ProcessPID:
		p.process.PID = p.integer(v, 0, math.MaxInt64, -1)
	case contract.ProcessStartTime:
		p.process.StartTime = clock.Time(p.integer(v, 0, math.MaxInt64, 0))
	case contract.ProcessOOMKills:
		p.process.OOMKills = p.integer(v, 0, math.MaxInt64, -1)
	case contract.ProcessMemoryUsed:
		p.process.MemoryUsed = p.integer(v, 0, math.MaxInt64, -1)
	case contract.ProcessMemoryLimit:
		p.process.MemoryLimit = p.integer(v, 0, math.MaxInt64, -1)
	case contract.ProcessFDs:
		p.process.FDs = p.integer(v, 0, math.MaxInt64, -1)
	case contract.ProcessFDLimit:
		p.process.FDLimit = p.integer(v, 0, math.MaxInt64, -1)
	case contract.ProcessThreads:
		p.process.Threads = p.integer(v, 0, math.MaxInt64, -1)
	case contract.ProcessThreadLimit:
		p.process.ThreadLimit = p.integer(v, 0, math.MaxInt64, -1)
	case contract.ProcessThrottled:
		p.process.Throttled = p.share(v)
	case contract.ProcessCPUWait:
		p.process.CPUWait = p.share(v)
	case contract.ProcessPressureCPU:
		p.process.PressureCPU = p.share(v)
	case contract.ProcessPressureMem:
		p.process.PressureMem = p.share(v)
	case contract.ProcessPressureIO:
		p.process.PressureIO = p.share(v)
	}
}

func (p *pulse) word(v pcommon.Value) string {
	if v.Type() != pcommon.ValueTypeStr {
		p.x.skips.add(skipType)
		return ""
	}
	return clip(v.Str())
}

// integer reads a whole number from lo to hi; otherwise is what stands for none.
func (p *pulse) integer(v pcommon.Value, lo, hi, otherwise int64) int64 {
	var n int64
	switch v.Type() {
	case pcommon.ValueTypeInt:
		n = v.Int()
	case pcommon.ValueTypeDouble: // JSON knows no integers
		d := v.Double()
		if d != math.Trunc(d) || math.Abs(d) > 1<<53 { // NaN is not equal to itself
			p.x.skips.add(skipRange)
			return otherwise
		}
		n = int64(d)
	default:
		p.x.skips.add(skipType)
		return otherwise
	}
	if n < lo || n > hi {
		p.x.skips.add(skipRange)
		return otherwise
	}
	return n
}

// seconds reads a duration from 0 to maxInterval; 0 is none.
func (p *pulse) seconds(v pcommon.Value) time.Duration {
	d, ok := p.float(v)
	if !ok {
		return 0
	}
	if !(d >= 0 && d <= maxInterval.Seconds()) {
		p.x.skips.add(skipRange)
		return 0
	}
	return time.Duration(d * float64(time.Second))
}

// share reads a ratio, 0-1; -1 is none.
func (p *pulse) share(v pcommon.Value) float64 {
	d, ok := p.float(v)
	if !ok {
		return -1
	}
	if !(d >= 0 && d <= 1) {
		p.x.skips.add(skipRange)
		return -1
	}
	return d
}

func (p *pulse) float(v pcommon.Value) (float64, bool) {
	switch v.Type() {
	case pcommon.ValueTypeDouble:
		return v.Double(), true
	case pcommon.ValueTypeInt:
		return float64(v.Int()), true
	}
	p.x.skips.add(skipType)
	return 0, false
}

// lookup finds a word of the contract; zero for any other.
func lookup[T any](p *pulse, v pcommon.Value, words map[string]T) (value T) {
	value, ok := words[v.Str()]
	if !ok {
		p.x.skips.add(skipWord)
	}
	return value
}
