// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"
	"testing"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

const (
	noSeverity = plog.SeverityNumberUnspecified
	debug      = plog.SeverityNumberDebug
	info       = plog.SeverityNumberInfo
	warn       = plog.SeverityNumberWarn
	errorLevel = plog.SeverityNumberError
)

func TestLogs_signatures(t *testing.T) {
	cases := map[string]struct {
		severity plog.SeverityNumber
		body     string
		attrs    attrs
		want     report.FactKind
	}{
		"ordinary":                          {info, "charged 12.50 EUR to card 4711", nil, 0},
		"go_panic":                          {noSeverity, "panic: runtime error: invalid memory address or nil pointer dereference", nil, report.FactPanic},
		"go_panic_recovered_by_net_http":    {errorLevel, "http: panic serving 10.0.0.5:4711: boom", nil, 0},
		"panic_inside_a_line":               {info, "what to do in a panic: breathe", nil, 0},
		"go_fatal_error":                    {noSeverity, "fatal error: all goroutines are asleep - deadlock!", nil, report.FactPanic},
		"segv":                              {errorLevel, "[signal SIGSEGV: segmentation violation code=0x1]", nil, report.FactPanic},
		"java_uncaught":                     {noSeverity, `Exception in thread "main" java.lang.NullPointerException`, nil, report.FactPanic},
		"python_uncaught":                   {noSeverity, "Traceback (most recent call last):\n  File \"a.py\"", nil, report.FactPanic},
		"python_logged":                     {errorLevel, "charge failed\nTraceback (most recent call last):\n  File \"a.py\"", nil, 0},
		"dotnet_uncaught":                   {noSeverity, "Unhandled exception. System.Exception: boom", nil, report.FactPanic},
		"rust":                              {noSeverity, "thread 'main' panicked at src/main.rs:2:5", nil, report.FactPanic},
		"logged_exception_is_no_panic":      {errorLevel, "charge failed", attrs{"exception.message": "panic: oops"}, 0},
		"signal_handler_is_no_crash":        {info, "installed handler for SIGSEGV", nil, 0},
		"kernel_kill":                       {warn, "Memory cgroup out of memory: Killed process 4711 (payment)", nil, report.FactOOMKill},
		"java_heap":                         {errorLevel, "java.lang.OutOfMemoryError: Java heap space", nil, report.FactOutOfMemory},
		"node_heap":                         {noSeverity, "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", nil, report.FactOutOfMemory},
		"memory_in_an_attribute":            {errorLevel, "charge failed", attrs{"exception.type": "java.lang.OutOfMemoryError"}, report.FactOutOfMemory},
		"memory_talk":                       {info, "tuned to never run out of memory", nil, 0},
		"java_threads":                      {errorLevel, "java.lang.OutOfMemoryError: unable to create native thread", nil, report.FactNoThread},
		"fork":                              {errorLevel, "bash: fork: Resource temporarily unavailable", nil, report.FactNoThread},
		"descriptors":                       {errorLevel, "accept tcp [::]:8080: accept4: too many open files", nil, report.FactNoDescriptor},
		"descriptors_of_a_broker":           {errorLevel, "Unable to accept new connection, system socket count has been exceeded. Try increasing \"ulimit -n\" or equivalent.", nil, report.FactNoDescriptor},
		"descriptors_of_a_callee":           {errorLevel, "request failed", attrs{"error": "cart answered 502 Bad Gateway: Get \"http://10.0.0.7:80/a\": dial tcp 10.0.0.7:80: socket: too many open files"}, 0},
		"descriptors_for_a_call_of_its_own": {errorLevel, "request failed", attrs{"error": "Get \"http://10.0.0.7:80/a\": dial tcp 10.0.0.7:80: socket: too many open files"}, report.FactNoDescriptor},
		"threads_of_a_callee":               {errorLevel, "cart responded with 500: fork: Resource temporarily unavailable", nil, 0},
		"pool_of_a_callee":                  {errorLevel, "cart answered 503 Service Unavailable: connection pool exhausted", nil, 0},
		"disk":                              {errorLevel, "write /data/wal: no space left on device", nil, report.FactDiskFull},
		"disk_of_a_callee_that_fails":       {errorLevel, "ledger answered 500 Internal Server Error: write /data/wal: no space left on device", nil, 0},
		"disk_of_one_that_says_its_status":  {errorLevel, "internal server error: write /data/wal: no space left on device", nil, report.FactDiskFull},
		"disk_of_a_callee":                  {errorLevel, "ledger answered 502 Bad Gateway: write /data/wal: no space left on device", nil, 0},
		"memory_of_a_callee":                {errorLevel, "rpc error: code = Internal desc = java.lang.OutOfMemoryError: Java heap space", nil, 0},
		"read_only":                         {errorLevel, "open /data/wal: read-only file system", nil, report.FactDiskFull},
		"fork_without_memory":               {errorLevel, "Can't save in background: fork: Cannot allocate memory", nil, report.FactOutOfMemory},
		"gunicorn_guesses":                  {errorLevel, "Worker (pid:7) was sent SIGKILL! Perhaps out of memory?", nil, 0},
		"postgres_disk":                     {noSeverity, `2026-11-26 14:53:36 UTC [7] ERROR:  could not extend file "base/5/1": No space left on device`, nil, report.FactDiskFull},
		"rabbitmq_disk":                     {warn, "disk resource limit alarm set on node rabbit@a.", nil, report.FactDiskFull},
		"nginx_connections":                 {noSeverity, "2026/11/26 15:17:49 [alert] 7#7: 20 worker_connections are not enough", nil, report.FactPoolEmpty},
		"redis_advice":                      {noSeverity, "# WARNING Memory overcommit must be enabled! Without it, a background save or replication may fail under low memory condition.", nil, 0},
		"callee_shuts_down":                 {noSeverity, "FATAL:  the database system is shutting down", nil, 0},
		"pool":                              {errorLevel, "HikariPool-1 - Connection is not available, request timed out after 30000ms.", nil, report.FactPoolEmpty},
		"integrity":                         {errorLevel, "segment 7: checksum mismatch", nil, report.FactIntegrity},
		"integrity_found_by_a_callee":       {errorLevel, "payment answered 502 Bad Gateway: ledger: checksum mismatch", nil, 0},
		"sigterm":                           {info, "received SIGTERM, draining", nil, report.FactStopping},
		"shutting_down":                     {info, "INFO:     Shutting down", nil, report.FactStopping},
		"stop_with_no_severity":             {noSeverity, "signal: terminated", nil, report.FactStopping},
		"stop_of_a_part":                    {info, "shutting down idle connections", nil, 0},
		"waits_for_a_signal":                {info, "waiting for SIGTERM", nil, 0},
		"another_says_that_it_stops":        {errorLevel, "rpc error: server is shutting down", nil, 0},
		"another_stops_while_one_dials":     {warn, "dial tcp 10.0.0.7:80: connection refused, shutting down?", nil, 0},
		"stop_far_inside_an_ordinary_one":   {info, strings.Repeat("x", 300) + " shutting down", nil, 0},
		"debug_is_not_read":                 {debug, "shutting down", nil, 0},
		"started":                           {info, "listening on :8080", nil, report.FactStarted},
		"started_spring":                    {info, "Started Payment in 3.2 seconds (process running for 3.9)", nil, report.FactStarted},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			x := New(Settings{})
			var b report.Batch
			x.Logs(logOf(t, attrs{"service.name": "payment"}, c.severity, c.body, c.attrs), testNow, &b)
			var want []report.FactKind
			if c.want != 0 {
				want = []report.FactKind{c.want}
			}
			if got := kinds(&b); !equalKinds(got, want) {
				t.Fatalf("facts %v, want %v", got, want)
			}
			for _, f := range b.Facts {
				if f.Source.Service.Name != "payment" || f.At != testNow.Add(-1e9) || f.Text == "" || len(f.Text) > 200 || strings.Contains(f.Text, "\n") {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

func TestLogs_lines_without_a_service_accuse_nobody(t *testing.T) {
	var b report.Batch
	x := New(Settings{})
	// A node's fact would fall on all that run there.
	x.Logs(logOf(t, attrs{"host.name": "node-1"}, warn, "Out of memory: Killed process 4711 (java)", nil), testNow, &b)
	x.Logs(logOf(t, attrs{}, errorLevel, "dial tcp 10.0.0.7:80: connection refused", nil), testNow, &b)
	if !b.Empty() {
		t.Errorf("%+v", b)
	}
}

func TestLogs_flood_of_lines_is_one_fact(t *testing.T) {
	ld := logOf(t, attrs{"service.name": "payment"}, errorLevel, "no space left on device", nil)
	records := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	for range 1000 {
		records.At(0).CopyTo(records.AppendEmpty())
	}
	var b report.Batch
	New(Settings{}).Logs(ld, testNow, &b)
	if len(b.Facts) != 1 {
		t.Errorf("%d facts", len(b.Facts))
	}
}

func TestLogs_answers_that_do_not_check_are_counted(t *testing.T) {
	ld := logOf(t, attrs{"service.name": "payment"}, errorLevel, "ledger: checksum mismatch", nil)
	records := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	for range 6 {
		records.At(0).CopyTo(records.AppendEmpty())
	}
	var b report.Batch
	New(Settings{}).Logs(ld, testNow, &b)
	if len(b.Facts) != 1 || b.Facts[0].Value != 7 {
		t.Errorf("%+v, want one fact of 7 lines", b.Facts)
	}
}

func TestLogs_want_and_stop_of_a_server_without_a_service_are_told_of_its_host(t *testing.T) {
	for name, c := range map[string]struct {
		host, body string
		want       []report.FactKind
	}{
		"disk":                   {"data1", "java.io.IOException: No space left on device", []report.FactKind{report.FactDiskFull}},
		"nobody_knows_the_host":  {"", "java.io.IOException: No space left on device", nil},
		"what_a_callee_answered": {"data1", "ledger answered 502 Bad Gateway: no space left on device", nil},
		"a_panic":                {"data1", "panic: runtime error: index out of range", nil},
		"stop_of_a_broker":       {"data1", "2026-01-02 07:01:34.575326+00:00 [notice] <0.61.0> SIGTERM received - shutting down", []report.FactKind{report.FactStopping}},
		"stop_of_postgres":       {"data1", "2026-01-02 06:55:14.847 UTC [1] LOG:  received fast shutdown request", []report.FactKind{report.FactStopping}},
		"stop_of_mariadb":        {"data1", "2026-01-02  6:59:45 0 [Note] mariadbd (initiated by: unknown): Normal shutdown", []report.FactKind{report.FactStopping}},
		"stop_of_redis":          {"data1", "1:M 02 Jan 2026 07:01:34.575 # User requested shutdown...", []report.FactKind{report.FactStopping}},
		"stop_of_elasticsearch":  {"data1", "[2026-01-02T07:09:11,691][INFO ][o.e.n.Node               ] [data1] stopping ...", []report.FactKind{report.FactStopping}},
		"stop_for_an_error":      {"data1", "ERROR Shutting down broker because all log dirs have failed", nil},
		"stop_of_connections":    {"data1", "shutting down idle connections", nil},
		"stop_of_a_callee":       {"data1", "FATAL:  the database system is shutting down", nil},
	} {
		t.Run(name, func(t *testing.T) {
			id := attrs{}
			if c.host != "" {
				id["host.name"] = c.host
			}
			var b report.Batch
			New(Settings{}).Logs(logOf(t, id, noSeverity, c.body, nil), testNow, &b)
			if !equalKinds(kinds(&b), c.want) {
				t.Fatalf("%+v, want %v", b.Facts, c.want)
			}
			if len(b.Facts) > 0 && (b.Facts[0].Source.Service.Name != "" || b.Facts[0].Source.Host != c.host) {
				t.Errorf("of %+v, want the host", b.Facts[0].Source)
			}
			if len(b.Facts) > 0 && !b.Facts[0].Said {
				t.Error("as if it were known whose word it is")
			}
		})
	}
}

func TestLogs_stop_of_a_pod_is_not_its_nodes(t *testing.T) {
	var b report.Batch
	New(Settings{}).Logs(logOf(t, attrs{"host.name": "node-1", "k8s.pod.uid": "ab-17"}, noSeverity, "SIGTERM received - shutting down", nil), testNow, &b)
	if len(b.Facts) != 0 {
		t.Errorf("%+v", b.Facts)
	}
}

func TestLogs_severity_by_name(t *testing.T) {
	for name, want := range map[string]int{"ERROR": 1, "Warning": 1, "crit": 1, "INFO": 0, "debug": 0, "": 1, "???": 1} {
		ld := logOf(t, attrs{"service.name": "payment"}, noSeverity, "no space left on device", nil)
		ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SetSeverityText(name)
		var b report.Batch
		New(Settings{}).Logs(ld, testNow, &b)
		if len(b.Facts) != want {
			t.Errorf("%q: %d facts, want %d", name, len(b.Facts), want)
		}
	}
}

func TestLogs_structured_body(t *testing.T) {
	ld := logOf(t, attrs{"service.name": "payment"}, errorLevel, "", nil)
	body := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().SetEmptyMap()
	body.PutStr("logger", "main")
	body.PutStr("msg", "no space left on device")
	var b report.Batch
	New(Settings{}).Logs(ld, testNow, &b)
	if !equalKinds(kinds(&b), []report.FactKind{report.FactDiskFull}) {
		t.Errorf("%+v", b.Facts)
	}
}

func TestLogs_about_a_peer(t *testing.T) {
	type call struct {
		address string
		outcome report.Outcome
		direct  bool
	}
	cases := map[string]struct {
		severity plog.SeverityNumber
		body     string
		attrs    attrs
		want     call
	}{
		"refused":                  {errorLevel, "charge: dial tcp 10.0.0.7:8080: connect: connection refused", nil, call{"10.0.0.7:8080", report.OutcomeRefused, true}},
		"in_an_attribute":          {errorLevel, "charge failed", attrs{"error": "dial tcp 10.0.0.7:8080: i/o timeout"}, call{"10.0.0.7:8080", report.OutcomeConnectTimeout, true}},
		"by_name":                  {warn, "Error 111 connecting to redis:6379. Connection refused.", nil, call{"redis:6379", report.OutcomeRefused, false}},
		"no_address":               {errorLevel, "connection refused", nil, call{}},
		"at_info":                  {info, "retry: dial tcp 10.0.0.7:8080: connect: connection refused", nil, call{}},
		"an_exporter_of_telemetry": {errorLevel, `failed to upload metrics: Post "http://10.0.0.9:4318/v1/metrics": dial tcp 10.0.0.9:4318: connect: connection refused`, nil, call{}},
		"one_behind_another_port":  {errorLevel, `traces export: Post "https://10.0.0.9:443/v1/traces": dial tcp 10.0.0.9:443: connect: connection refused`, nil, call{}},
		"a_server_on_a_client":     {errorLevel, "read tcp 10.0.0.7:8080->10.0.0.5:41234: read: connection reset by peer", nil, call{}},
		"look_up":                  {errorLevel, "dial tcp: lookup payment on 10.96.0.10:53: no such host", nil, call{}},
		"loopback":                 {errorLevel, "dial tcp 127.0.0.1:8080: connect: connection refused", nil, call{"127.0.0.1:8080@node-1", report.OutcomeRefused, true}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var b report.Batch
			New(Settings{}).Logs(logOf(t, checkout, c.severity, c.body, c.attrs), testNow, &b)
			if c.want.address == "" {
				if len(b.Calls) != 0 {
					t.Errorf("%+v", b.Calls)
				}
				return
			}
			if len(b.Calls) != 1 || len(b.Facts) != 0 {
				t.Fatalf("calls %+v facts %+v", b.Calls, b.Facts)
			}
			k := b.Calls[0]
			if got := (call{k.Callee.Address, k.Outcome, k.Callee.Direct}); got != c.want || k.Count != 1 || k.Caller.Service.Name != "checkout" {
				t.Errorf("%+v", k)
			}
		})
	}
}

func TestLogs_loopback_of_an_unknown_host_is_nobodys(t *testing.T) {
	var b report.Batch
	New(Settings{}).Logs(logOf(t, attrs{"service.name": "checkout"}, errorLevel, "dial tcp 127.0.0.1:8080: connect: connection refused", nil), testNow, &b)
	if len(b.Calls)+len(b.Facts) != 0 {
		t.Errorf("%+v %+v", b.Calls, b.Facts)
	}
}

func TestLogs_own_events_are_no_evidence(t *testing.T) {
	ld := logOf(t, attrs{"service.name": "payment"}, errorLevel, "panic: no space left on device", nil)
	sl := ld.ResourceLogs().At(0).ScopeLogs().At(0)
	sl.Scope().SetName(contract.ScopePrefix + "/receiver/failuremodelreceiver")
	sl.LogRecords().At(0).SetEventName(contract.EventFailureDetected)
	var b report.Batch
	New(Settings{}).Logs(ld, testNow, &b)
	if !b.Empty() {
		t.Errorf("%+v", b)
	}
}

func TestLogs_kubernetes(t *testing.T) {
	pod := attrs{"k8s.object.kind": "Pod", "k8s.object.uid": "pod-1", "k8s.object.name": "payment-7d9f", "k8s.object.fieldpath": "spec.containers{app}", "k8s.node.name": "node-1"}
	stranger := attrs{"k8s.object.kind": "Pod", "k8s.object.uid": "pod-9", "k8s.node.name": "node-1"}
	node := attrs{"k8s.object.kind": "Node", "k8s.object.name": "node-1", "k8s.object.uid": "node-1"}
	cases := map[string]struct {
		res             attrs
		reason, message string
		want            report.FactKind
		probe           report.Outcome
	}{
		"crash_loop":       {pod, "BackOff", "Back-off restarting failed container app in pod payment-7d9f", report.FactCrashLoop, 0},
		"image_back_off":   {pod, "BackOff", "Back-off pulling image \"payment:2\"", 0, 0},
		"stopped":          {pod, "Killing", "Stopping container app", report.FactStopping, 0},
		"killed_for_cause": {pod, "Killing", "Container app failed liveness probe, will be restarted", 0, 0},
		"evicted_memory":   {pod, "Evicted", "The node was low on resource: memory.", report.FactEvicted, 0},
		"evicted_disk":     {pod, "Evicted", "The node was low on resource: ephemeral-storage.", report.FactEvicted, 0},
		"evicted":          {pod, "Evicted", "by the descheduler", report.FactStopping, 0},
		"drained":          {pod, "TaintManagerEviction", "Marking for deletion Pod", 0, 0},
		"started":          {pod, "Started", "Started container app", report.FactStarted, 0},
		"scheduled":        {pod, "Scheduled", "Successfully assigned", 0, 0},
		"unhealthy":        {pod, "Unhealthy", "Liveness probe failed: Get \"http://10.1.2.3:8080/\": dial tcp 10.1.2.3:8080: connect: connection refused", 0, report.OutcomeRefused},
		"unhealthy_mute":   {pod, "Unhealthy", "Readiness probe failed: Get \"http://10.1.2.3:8080/\": context deadline exceeded", 0, report.OutcomeTimeout},
		"unhealthy_500":    {pod, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 500", 0, report.OutcomeServerError},
		"unknown_pod":      {stranger, "Killing", "Stopping container app", 0, 0},
		"node_not_ready":   {node, "NodeNotReady", "Node node-1 status is now: NodeNotReady", report.FactNodeDown, 0},
		"node_oom_of_one":  {node, "OOMKilling", "Memory cgroup out of memory: Killed process 4711 (java)", 0, 0},
		"something_else":   {attrs{"k8s.object.kind": "Deployment"}, "ScalingReplicaSet", "Scaled up", 0, 0},
		"lines_no_matter":  {pod, "Pulled", "panic: no space left on device", 0, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			x := heardOf(t)
			var b report.Batch
			x.Logs(logOf(t, c.res, warn, c.message, attrs{"k8s.event.reason": c.reason}), testNow, &b)
			var want []report.FactKind
			if c.want != 0 {
				want = []report.FactKind{c.want}
			}
			if got := kinds(&b); !equalKinds(got, want) {
				t.Fatalf("facts %v, want %v", got, want)
			}
			for _, f := range b.Facts {
				if c.want == report.FactNodeDown && (f.Source.Host != "node-1" || f.Source.Key != 0) ||
					c.want != report.FactNodeDown && f.Source.Service.Name != "payment" {
					t.Errorf("%+v", f)
				}
			}
			if c.probe == 0 {
				if len(b.Probes) != 0 {
					t.Errorf("%+v", b.Probes)
				}
			} else if len(b.Probes) != 1 || b.Probes[0].Outcome != c.probe || !strings.HasPrefix(b.Probes[0].Target, "kubelet:") {
				t.Errorf("%+v", b.Probes)
			}
		})
	}
}

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"  one \n two":                 "one",
		"\x00a\tb\xff":                 "a b\uFFFD",
		strings.Repeat("ä", 100):       strings.Repeat("ä", 100),
		strings.Repeat("ä", 101):       strings.Repeat("ä", 98) + "…",
		"x" + strings.Repeat("ä", 200): "x" + strings.Repeat("ä", 98) + "…",
	} {
		if got := line(in); got != want || !utf8.ValidString(got) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// A kernel's log is its host's: whose process it ended is told by the pid.
func TestLogs_the_kernel_tells_whose_process_it_ended(t *testing.T) {
	for body, want := range map[string]int{
		"[14377.56] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),task_memcg=/shop/payment,task=node,pid=4711,uid=0": 1,
		"Memory cgroup out of memory: Killed process 4711 (node) total-vm:1kB":                                              1,
		"Memory cgroup out of memory: Killed process 4712 (node) total-vm:1kB":                                              0,
	} {
		x := New(Settings{})
		x.Source(resource(t, attrs{"service.name": "payment", "host.name": "node-1", "process.pid": 4711}))
		var b report.Batch
		x.Logs(logOf(t, attrs{"host.name": "node-1"}, noSeverity, body, nil), testNow, &b)
		if len(b.Facts) != want || want > 0 && (b.Facts[0].Kind != report.FactOOMKill || b.Facts[0].Source.Service.Name != "payment") {
			t.Errorf("%q: %+v", body, b.Facts)
		}
	}
}

// A logged exception of a driver quotes the database: it is no want of one's own.
func TestLogs_an_exception_of_a_driver_is_its_databases_want(t *testing.T) {
	for name, c := range map[string]struct {
		a    attrs
		want []report.FactKind
	}{
		"redis":     {attrs{"exception.type": "OutOfMemoryError", "exception.message": "command not allowed when used memory > 'maxmemory'."}, nil},
		"psycopg":   {attrs{"exception.type": "DiskFull", "exception.message": "could not extend file \"base/5/1\": No space left on device"}, nil},
		"jvm":       {attrs{"exception.type": "java.lang.OutOfMemoryError", "exception.message": "Java heap space"}, []report.FactKind{report.FactOutOfMemory}},
		"own_files": {attrs{"exception.type": "OSError", "exception.message": "[Errno 28] No space left on device"}, []report.FactKind{report.FactDiskFull}},
	} {
		t.Run(name, func(t *testing.T) {
			var b report.Batch
			New(Settings{}).Logs(logOf(t, checkout, errorLevel, "Exception on /cart [GET]", c.a), testNow, &b)
			if got := kinds(&b); !equalKinds(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
