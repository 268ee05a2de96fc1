// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/e2e/backends"
	"github.com/faultline-otel/faultline/internal/contract"
)

// spine is the whole path: the shop, the Collector with the shipped gateway
// configuration, and three real backends.
type spine struct {
	fleet                             *fleet
	jaeger, prometheus, elasticsearch string // URLs
	logs, traces                      string // indices
	began                             time.Time
}

// The parts build on each other: one fleet lives through all of them.
func TestAFailureIsNamedInJaegerPrometheusAndElasticsearch(t *testing.T) {
	s := startSpine(t)
	// First, while nothing else has happened, what must leave no trace at all.
	t.Run("a_planned_stop_and_a_rolling_restart_accuse_nobody", s.plannedStops)
	t.Run("a_killed_instance_is_a_crash_everywhere", s.killed)
	t.Run("a_process_target_names_a_killed_instance", s.killedUnderWatch)
	t.Run("a_frozen_instance_is_a_hang", s.frozen)
	t.Run("nobody_else_was_accused", s.nobodyElse)
}

func startSpine(t *testing.T) *spine {
	bin := builtBinary(t, "otelcol-faultline")
	a := newScrapedAddresses(t)
	f := newFleet(t, a)

	elasticsearch, err := backends.StartElasticsearch(t.Context(), t.TempDir())
	backends.Require(t, err)
	t.Cleanup(elasticsearch.Stop)
	jaeger, err := backends.StartJaeger(t.Context(), t.TempDir())
	backends.Require(t, err)
	t.Cleanup(jaeger.Stop)
	prometheus, err := backends.StartPrometheus(t.Context(), t.TempDir(), a.prometheus)
	backends.Require(t, err)
	t.Cleanup(prometheus.Stop)

	run := fmt.Sprintf("faultline-e2e-%d", time.Now().UnixNano())
	s := &spine{
		fleet: f, jaeger: jaeger.QueryURL, prometheus: prometheus.URL, elasticsearch: elasticsearch.URL,
		logs: run + "-logs", traces: run + "-traces", began: time.Now(),
	}
	targets := filepath.Join(t.TempDir(), "targets.yaml")
	require.NoError(t, os.WriteFile(targets, fmt.Appendf(nil, `
receivers:
  heartbeat:
    targets:
      - {endpoint: "http://%s/healthz", service: ledger, instance: ledger-1, namespace: shop, environment: demo, collection_interval: 1s, timeout: 500ms}
      - {process: {pid_file: %q}, service: payment, instance: payment-2, namespace: shop, environment: demo, collection_interval: 1s}
`, f.address["ledger-1"], f.pidFile("payment-2")), 0o600))
	environment := append(a.environment(), "FAULTLINE_STATE="+t.TempDir(),
		"FAULTLINE_JAEGER_OTLP="+jaeger.OTLP, "FAULTLINE_ELASTICSEARCH="+elasticsearch.URL,
		"FAULTLINE_ES_LOGS="+s.logs, "FAULTLINE_ES_TRACES="+s.traces, "FAULTLINE_ES_METRICS="+run+"-metrics")
	config := shippedConfig(t, "gateway.yaml")
	c := spawn(t, "collector", collector(bin, environment, "", config, targets))
	c.awaitHTTP(t, "http://"+a.health+"/")
	f.start(t, 20)
	eventually(t, time.Minute, func() string {
		if len(tracesSince(t, s.jaeger, "ledger", "", s.began)) < 20 {
			return "less than 20 payments in Jaeger"
		}
		return ""
	})
	return s
}

func (s *spine) plannedStops(t *testing.T) {
	s.fleet.stop(t, "payment-2")
	s.quiet(t, 6*time.Second) // longer than anybody needs to miss it
	s.fleet.restart(t, "payment-2")
	for _, instance := range instances {
		s.fleet.stop(t, instance)
		s.fleet.restart(t, instance)
	}
	s.quiet(t, 8*time.Second)
	assert.Empty(t, taggedSince(t, s.jaeger, theFour, s.began))
	assert.NotEmpty(t, documents(t, s.elasticsearch, s.logs, `event.action:"`+contract.EventPlannedStop+`"`))
}

// quiet watches for a while that nobody is accused.
func (s *spine) quiet(t *testing.T, during time.Duration) {
	t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		for _, d := range s.events(t) {
			if isClass(d.text(contract.FailureClass)) {
				t.Fatalf("accused %s: %s", d.text(contract.FailureCulpritName), d.text(contract.FailureReason))
			}
		}
	}
}

func (s *spine) events(t *testing.T) []document {
	t.Helper()
	return documents(t, s.elasticsearch, s.logs, "event.action:*")
}

func (s *spine) killed(t *testing.T) {
	since := time.Now()
	s.fleet.kill(t, "payment-1")
	verdict := s.awaitVerdict(t, "payment-1", since)
	assert.Contains(t, verdict.text("failure.subclass"), "process_exit")
	eventually(t, 20*time.Second, func() string {
		if found := ask(t, s.prometheus, `failure_state{failure_class="crash",service_instance_id="payment-1"} == 1`); len(found) == 0 {
			return fmt.Sprintf("no failure_state of payment-1; there are: %v", ask(t, s.prometheus, "failure_state"))
		}
		if found := ask(t, s.prometheus, `heartbeat_up{service_instance_id="payment-1"} == 0`); len(found) == 0 {
			return fmt.Sprintf("heartbeat_up of payment-1 is not 0: %v", ask(t, s.prometheus, "heartbeat_up"))
		}
		return ""
	})
	assert.NotEmpty(t, ask(t, s.prometheus, `heartbeat_up{service_instance_id="payment-2"} == 1`), "the other one lives")
	s.tracesCarry(t, "payment-1", since, verdict)
	s.recover(t, "payment-1", s.fleet.restart)
}

// awaitVerdict waits for the event that convicts an instance of a crash.
func (s *spine) awaitVerdict(t *testing.T, instance string, since time.Time) document {
	t.Helper()
	var verdict document
	eventually(t, 20*time.Second, func() string {
		for _, d := range s.events(t) {
			if d.is(instance, "crash", contract.EventFailureDetected, contract.EventFailureRevised) && d.time(t).After(since) {
				verdict = d
				return ""
			}
		}
		return fmt.Sprintf("no crash of %s among %v", instance, s.events(t))
	})
	assert.NotEmpty(t, verdict.text(contract.FailureReason))
	assert.NotEmpty(t, verdict.text(contract.IncidentID))
	t.Logf("%s after %s: %s", instance, verdict.time(t).Sub(since).Round(time.Millisecond), verdict.text(contract.FailureReason))
	return verdict
}

// tracesCarry requires that the traces found by the class in Jaeger say who and
// why, that none of them is sound, and that those of the promised time are there.
func (s *spine) tracesCarry(t *testing.T, culprit string, since time.Time, verdict document) {
	t.Helper()
	promised := verdict.time(t).Add(-3 * time.Second) // annotate.wait
	var failed, tagged int
	eventually(t, 20*time.Second, func() string {
		failed, tagged = 0, 0
		for _, found := range tracesSince(t, s.jaeger, "gateway", "", since) {
			for i := range found.Spans {
				if span := &found.Spans[i]; span.failed() && span.end().After(promised) {
					failed++
					if span.tag(contract.FailureCulpritInstanceID) == culprit {
						tagged++
					}
				}
			}
		}
		if tagged < 10 {
			return fmt.Sprintf("%d of %d failed spans in Jaeger name %s", tagged, failed, culprit)
		}
		return ""
	})
	assert.GreaterOrEqual(t, float64(tagged), 0.95*float64(failed), "%d of %d failed spans name %s", tagged, failed, culprit)

	found := tracesSince(t, s.jaeger, "gateway", "crash", since)
	assert.NotEmpty(t, found)
	for _, trace := range found {
		for i := range trace.Spans {
			span := &trace.Spans[i]
			if span.tag(contract.FailureClass) == "" {
				continue
			}
			assert.Equal(t, culprit, span.tag(contract.FailureCulpritInstanceID),
				"%s at %s: %s", span.Operation, span.end().Format(time.TimeOnly), span.tag(contract.FailureReason))
			assert.NotEmpty(t, span.tag(contract.FailureReason))
			assert.True(t, span.failed() || span.tag(contract.AnomalyScore) != "", "a healthy span is tagged: %+v", span)
		}
	}
	eventually(t, 20*time.Second, func() string {
		if len(documents(t, s.elasticsearch, s.traces, `failure.class:crash`)) == 0 {
			return "Elasticsearch has none of the spans"
		}
		return ""
	})
}

// recover brings an instance back and waits until nothing is held against it.
func (s *spine) recover(t *testing.T, instance string, how func(*testing.T, string)) {
	t.Helper()
	since := time.Now()
	how(t, instance)
	var cleared time.Time
	eventually(t, 40*time.Second, func() string {
		for _, d := range s.events(t) {
			if d.text("event.action") == contract.EventFailureCleared && d.text(contract.FailureCulpritInstanceID) == instance && d.time(t).After(since) {
				cleared = d.time(t)
				return ""
			}
		}
		return fmt.Sprintf("%s is not cleared: %v", instance, s.events(t))
	})
	eventually(t, 20*time.Second, func() string {
		if found := ask(t, s.prometheus, fmt.Sprintf(`failure_state{service_instance_id=%q} == 1`, instance)); len(found) > 0 {
			return fmt.Sprintf("still held against %s: %v", instance, found)
		}
		return ""
	})
	// What fails within half a second of its end may still be laid at its door.
	time.Sleep(time.Until(cleared.Add(time.Second)))
}

func (s *spine) killedUnderWatch(t *testing.T) {
	since := time.Now()
	s.fleet.kill(t, "payment-2")
	s.awaitVerdict(t, "payment-2", since)
	s.recover(t, "payment-2", s.fleet.restart)
}

func (s *spine) frozen(t *testing.T) {
	since := time.Now()
	s.fleet.signal(t, "ledger-1", syscall.SIGSTOP)
	verdict := s.awaitVerdict(t, "ledger-1", since)
	assert.Equal(t, "hang", verdict.text(contract.FailureSubclass))
	s.tracesCarry(t, "ledger-1", since, verdict)
	s.recover(t, "ledger-1", func(t *testing.T, instance string) { s.fleet.signal(t, instance, syscall.SIGCONT) })
}

// nobodyElse looks once more at all that was said, on events and on spans.
func (s *spine) nobodyElse(t *testing.T) {
	broken := []string{"payment-1", "payment-2", "ledger-1"}
	for _, d := range s.events(t) {
		class := d.text(contract.FailureClass)
		assert.Contains(t, []string{"", "crash", "unknown"}, class, d)
		if class == "crash" {
			assert.Contains(t, broken, d.text(contract.FailureCulpritInstanceID), d)
		}
	}
	for trace := range maps.Values(taggedSince(t, s.jaeger, theFour, s.began)) {
		for i := range trace.Spans {
			if span := &trace.Spans[i]; isClass(span.tag(contract.FailureClass)) &&
				!slices.Contains(broken, span.tag(contract.FailureCulpritInstanceID)) {
				t.Errorf("a span accuses somebody else: %+v", span)
			}
		}
	}
}

// time is when the event happened.
func (d document) time(t *testing.T) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, d.text("@timestamp"))
	require.NoError(t, err)
	return at
}
