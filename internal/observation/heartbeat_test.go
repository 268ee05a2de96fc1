// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"math"
	"reflect"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

func heartbeatOf(t testing.TB, res, a attrs) plog.Logs {
	ld := logOf(t, res, info, "beat", a)
	sl := ld.ResourceLogs().At(0).ScopeLogs().At(0)
	sl.Scope().SetName(contract.ScopePrefix + "/receiver/heartbeatreceiver")
	sl.LogRecords().At(0).SetEventName(contract.EventHeartbeat)
	sl.LogRecords().At(0).SetObservedTimestamp(pcommon.Timestamp(testNow.Add(-time.Second)))
	return ld
}

func seen(t testing.TB, x *Extractor, res, a attrs) *report.Batch {
	b := &report.Batch{}
	x.Logs(heartbeatOf(t, res, a), testNow, b)
	return b
}

func TestIsHeartbeat(t *testing.T) {
	for name, c := range map[string]struct {
		eventName string
		attrs     attrs
		want      bool
	}{
		"event_name":              {"heartbeat", nil, true},
		"attribute":               {"", attrs{"event.name": "heartbeat"}, true},
		"event_name_comes_first":  {"failure.detected", attrs{"event.name": "heartbeat"}, false},
		"another_event":           {"", attrs{"event.name": "planned.stop"}, false},
		"attribute_of_other_type": {"", attrs{"event.name": 1}, false},
		"none":                    {"", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			lr := logOf(t, nil, info, "", c.attrs).ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
			lr.SetEventName(c.eventName)
			if got := IsHeartbeat(lr); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestHeartbeat_beat(t *testing.T) {
	x := New(Settings{Observer: "gateway-1"})
	b := seen(t, x, attrs{"service.name": "payment", "service.instance.id": "payment-1"}, attrs{
		contract.HeartbeatObserver: "agent-1", contract.HeartbeatObserverUptime: int64(90 * time.Second), contract.HeartbeatObserverSeq: 17,
		contract.HeartbeatIncarnation: int64(testNow) - 1e12, contract.HeartbeatSeq: 5, contract.HeartbeatInterval: 1.5,
		contract.HeartbeatStatus: "draining", contract.HeartbeatExitCode: 143, contract.HeartbeatDigest: "d", contract.HeartbeatBootID: "boot",
		contract.HeartbeatSentAt: int64(testNow) - 5, contract.HeartbeatGroup: "site-7", contract.HeartbeatZone: "eu-1a",
		contract.HeartbeatAuthenticated: true, contract.HeartbeatRemoteAddress: "10.0.0.7", contract.HeartbeatGrace: 60,
		contract.HeartbeatDue: int64(testNow) + 7, contract.HeartbeatObserverLate: 0.1,
	})
	if b.Len() != 1 || len(b.Beats) != 1 {
		t.Fatalf("%+v", b)
	}
	got := b.Beats[0]
	if s := got.Source; s.Group != "site-7" || s.Zone != "eu-1a" || s.Instance != "payment-1" {
		t.Errorf("source %+v", s)
	}
	got.Source = nil
	want := report.Beat{
		Stamp:    report.Stamp{Observer: "agent-1", At: testNow.Add(-time.Second), Uptime: 90 * time.Second, Seq: 17},
		Interval: 1500 * time.Millisecond, Incarnation: uint64(testNow) - 1e12, Seq: 5, SentAt: testNow - 5,
		Status: report.StatusDraining, HasExitCode: true, ExitCode: 143, BootID: "boot", Digest: "d",
		Authenticated: true, Remote: "10.0.0.7", Due: testNow + 7, Grace: time.Minute,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for reason, n := range x.Skipped() {
		if n != 0 {
			t.Errorf("skipped %d for %s", n, reason)
		}
	}
}

func TestHeartbeat_sent_straight_to_the_engine_is_observed_there(t *testing.T) {
	b := seen(t, New(Settings{Observer: "gateway-1"}), attrs{"service.name": "payment"}, attrs{
		contract.HeartbeatSeq: 5, contract.HeartbeatObserverUptime: 7, // of nobody
	})
	if len(b.Beats) != 1 || b.Beats[0].Stamp != (report.Stamp{Observer: "gateway-1", At: testNow}) {
		t.Errorf("%+v", b.Beats)
	}
}

func TestHeartbeat_of_an_observer(t *testing.T) {
	b := seen(t, New(Settings{}), attrs{"host.name": "node-1"}, attrs{
		contract.HeartbeatObserver: "agent-1", contract.HeartbeatObserverUptime: 7, contract.HeartbeatObserverSeq: 3,
		contract.HeartbeatInterval: 1.0, contract.HeartbeatObserverLate: 0.25, contract.HeartbeatObserverRefused: 2,
	})
	want := report.ObserverBeat{
		Stamp: report.Stamp{Observer: "agent-1", At: testNow.Add(-time.Second), Uptime: 7, Seq: 3},
		Host:  "node-1", Interval: time.Second, Late: 250 * time.Millisecond, Refused: 2,
	}
	if b.Len() != 1 || len(b.Observers) != 1 || b.Observers[0] != want {
		t.Errorf("%+v", b)
	}
}

func TestHeartbeat_probe(t *testing.T) {
	stamp := attrs{contract.HeartbeatObserver: "agent-1", contract.HeartbeatInterval: 2.0}
	with := func(a attrs) attrs {
		for k, v := range stamp {
			a[k] = v
		}
		return a
	}
	cases := map[string]struct {
		res     attrs
		attrs   attrs
		outcome report.Outcome
		direct  bool
	}{
		"refused":          {attrs{"service.name": "payment"}, attrs{contract.HeartbeatTarget: "http://payment:8080/", contract.HeartbeatOutcome: "refused"}, report.OutcomeRefused, false},
		"of_an_instance":   {checkout, attrs{contract.HeartbeatTarget: "http://checkout:8080/", contract.HeartbeatOutcome: "ok"}, report.OutcomeOK, true},
		"ip_address":       {attrs{"service.name": "payment"}, attrs{contract.HeartbeatTarget: "tcp://10.0.0.7:8080", contract.HeartbeatOutcome: "no_answer"}, report.OutcomeNoAnswer, true},
		"process_runs":     {attrs{"service.name": "payment"}, attrs{contract.HeartbeatTarget: "process:pay", contract.ProcessState: "running"}, report.OutcomeOK, true},
		"process_is_gone":  {attrs{"service.name": "payment"}, attrs{contract.HeartbeatTarget: "process:pay", contract.ProcessState: "gone"}, report.OutcomeDown, true},
		"nobodys_endpoint": {attrs{}, attrs{contract.HeartbeatTarget: "https://pay.example.com/", contract.HeartbeatOutcome: "tls"}, report.OutcomeTLS, false},
		"on_a_host_only":   {attrs{"host.name": "agent"}, attrs{contract.HeartbeatTarget: "dns://10.96.0.10", contract.HeartbeatOutcome: "error"}, report.OutcomeOther, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := seen(t, New(Settings{}), c.res, with(c.attrs))
			if b.Len() != 1 || len(b.Probes) != 1 {
				t.Fatalf("%+v", b)
			}
			p := b.Probes[0]
			if p.Outcome != c.outcome || p.Direct != c.direct || p.Target != c.attrs[contract.HeartbeatTarget] ||
				p.Interval != 2*time.Second || p.Observer != "agent-1" || (p.Source != nil) != (c.res["service.name"] != nil) {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestHeartbeat_process(t *testing.T) {
	b := seen(t, New(Settings{}), attrs{"service.name": "payment"}, attrs{
		contract.HeartbeatTarget: "process:pay", contract.HeartbeatOutcome: "error", contract.ProcessState: "zombie",
		contract.ProcessPID: 4711, contract.ProcessStartTime: 99, contract.ProcessExitCode: 137, contract.ProcessOOMKills: 1,
		contract.ProcessThrottled: 0.5, contract.ProcessCPUWait: 0.25, contract.ProcessMemoryUsed: 10, contract.ProcessMemoryLimit: 20, contract.ProcessFDs: 3,
		contract.ProcessFDLimit: 4, contract.ProcessThreads: 5, contract.ProcessPressureMem: 0.25,
	})
	if len(b.Probes) != 1 || b.Probes[0].Process == nil {
		t.Fatalf("%+v", b)
	}
	want := report.Process{
		State: report.ProcessZombie, PID: 4711, StartTime: 99, HasExitCode: true, ExitCode: 137, OOMKills: 1, Throttled: 0.5, CPUWait: 0.25,
		MemoryUsed: 10, MemoryLimit: 20, FDs: 3, FDLimit: 4, Threads: 5,
		ThreadLimit: -1, PressureCPU: -1, PressureMem: 0.25, PressureIO: -1, // not told
	}
	if got := *b.Probes[0].Process; got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A bad attribute is counted and costs itself only.
func TestHeartbeat_bad_attributes(t *testing.T) {
	cases := map[string]struct {
		attrs  attrs
		reason string
	}{
		"interval_text":        {attrs{contract.HeartbeatInterval: "1s"}, skipType},
		"interval_negative":    {attrs{contract.HeartbeatInterval: -1.0}, skipRange},
		"interval_nan":         {attrs{contract.HeartbeatInterval: math.NaN()}, skipRange},
		"interval_infinite":    {attrs{contract.HeartbeatInterval: math.Inf(1)}, skipRange},
		"interval_of_ages":     {attrs{contract.HeartbeatInterval: 1e12}, skipRange},
		"seq_text":             {attrs{contract.HeartbeatSeq: "5"}, skipType},
		"seq_negative":         {attrs{contract.HeartbeatSeq: -5}, skipRange},
		"seq_fraction":         {attrs{contract.HeartbeatSeq: 1.5}, skipRange},
		"seq_nan":              {attrs{contract.HeartbeatSeq: math.NaN()}, skipRange},
		"incarnation_list":     {attrs{contract.HeartbeatIncarnation: []any{1}}, skipType},
		"sent_before_1970":     {attrs{contract.HeartbeatSentAt: -1}, skipRange},
		"due_never":            {attrs{contract.HeartbeatDue: int64(math.MaxInt64)}, skipRange},
		"status_unknown":       {attrs{contract.HeartbeatStatus: "fine"}, skipWord},
		"status_number":        {attrs{contract.HeartbeatStatus: 1}, skipWord},
		"exit_code_huge":       {attrs{contract.HeartbeatExitCode: int64(math.MaxInt64)}, skipRange},
		"authenticated_text":   {attrs{contract.HeartbeatAuthenticated: "true"}, skipType},
		"digest_number":        {attrs{contract.HeartbeatDigest: 5}, skipType},
		"observer_number":      {attrs{contract.HeartbeatObserver: 5}, skipType},
		"uptime_of_ages":       {attrs{contract.HeartbeatObserverUptime: int64(math.MaxInt64)}, skipRange},
		"group_is_a_map":       {attrs{contract.HeartbeatGroup: map[string]any{}}, skipType},
		"pressure_over_one":    {attrs{contract.ProcessPressureCPU: 1.5}, skipRange},
		"pressure_text":        {attrs{contract.ProcessPressureIO: "high"}, skipType},
		"grace_before_its_due": {attrs{contract.HeartbeatGrace: -0.1}, skipRange},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			x := New(Settings{})
			b := seen(t, x, attrs{"service.name": "payment"}, c.attrs)
			if len(b.Beats) != 1 {
				t.Fatalf("the beat is lost: %+v", b)
			}
			got := b.Beats[0]
			want := report.Beat{Stamp: report.Stamp{At: testNow}, Source: got.Source}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v", got)
			}
			if x.Skipped()[c.reason] != 1 {
				t.Errorf("skipped %v, want one %s", x.Skipped(), c.reason)
			}
		})
	}
}

func TestHeartbeat_whole_numbers_may_come_as_doubles(t *testing.T) {
	b := seen(t, New(Settings{}), attrs{"service.name": "payment"}, attrs{contract.HeartbeatSeq: 5.0, contract.HeartbeatInterval: 2})
	if len(b.Beats) != 1 || b.Beats[0].Seq != 5 || b.Beats[0].Interval != 2*time.Second {
		t.Errorf("%+v", b.Beats)
	}
}

func TestHeartbeat_of_nobody_is_counted(t *testing.T) {
	for name, c := range map[string]struct {
		res, attrs attrs
		reason     string
	}{
		"empty":                 {attrs{}, attrs{}, skipNobody},
		"host_only":             {attrs{"host.name": "node-1"}, attrs{contract.HeartbeatSeq: 1}, skipNobody},
		"observer_of_nothing":   {attrs{}, attrs{contract.HeartbeatObserver: "agent-1"}, skipNobody},
		"probe_without_outcome": {attrs{"service.name": "payment"}, attrs{contract.HeartbeatTarget: "tcp://a:1"}, skipWord},
	} {
		t.Run(name, func(t *testing.T) {
			x := New(Settings{})
			if b := seen(t, x, c.res, c.attrs); !b.Empty() || x.Skipped()[c.reason] != 1 {
				t.Errorf("%+v, skipped %v", b, x.Skipped())
			}
		})
	}
}

func TestHeartbeat_absurd_observed_time_is_now(t *testing.T) {
	for _, at := range []pcommon.Timestamp{0, math.MaxUint64, pcommon.Timestamp(testNow.Add(48 * time.Hour))} {
		ld := heartbeatOf(t, attrs{"service.name": "payment"}, attrs{contract.HeartbeatObserver: "agent-1"})
		ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SetObservedTimestamp(at)
		var b report.Batch
		New(Settings{}).Logs(ld, testNow, &b)
		if len(b.Beats) != 1 || b.Beats[0].At != testNow {
			t.Errorf("observed at %d: %+v", at, b.Beats)
		}
	}
}

func BenchmarkHeartbeat(b *testing.B) {
	ld := heartbeatOf(b, checkout, attrs{
		contract.EventName: "heartbeat", contract.HeartbeatObserver: "agent-1", contract.HeartbeatObserverUptime: 1000, contract.HeartbeatObserverSeq: 17,
		contract.HeartbeatIncarnation: 5, contract.HeartbeatSeq: 5, contract.HeartbeatInterval: 1.0, contract.HeartbeatStatus: "ready",
	})
	x := New(Settings{})
	var batch report.Batch
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		x.Logs(ld, testNow, &batch)
	}
}
