// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// What stock drivers with stock instrumentation wrote of real failures of real
// servers: PostgreSQL 15, MariaDB 10.11, Redis 7.0, nginx 1.22, memcached 1.6.
func TestStockDrivers(t *testing.T) {
	const why = "\n\nThe above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n  File \"client.py\""
	pg, redis, mysql := attrs{"db.system": "postgresql"}, attrs{"db.system.name": "redis"}, attrs{"db.system": "mysql"}
	with := func(a attrs, k string, v any) attrs {
		b := attrs{k: v}
		for k, v := range a {
			b[k] = v
		}
		return b
	}
	exception := func(kind, message, stack string) attrs {
		return attrs{"exception.type": kind, "exception.message": message, "exception.stacktrace": stack}
	}
	for name, c := range map[string]struct {
		status  ptrace.StatusCode
		message string
		attrs   attrs
		event   attrs
		outcome report.Outcome
	}{
		"aiohttp_refused_tells_why_in_the_stack": {failed, "ClientConnectorError", attrs{"http.method": "GET", "http.url": "http://10.0.0.7:1/"},
			exception("aiohttp.client_exceptions.ClientConnectorError", "Cannot connect to host 10.0.0.7:1 ssl:default [Connect call failed ('10.0.0.7', 1)]",
				"Traceback (most recent call last):\nConnectionRefusedError: [Errno 111] Connect call failed ('10.0.0.7', 1)"+why), report.OutcomeRefused},
		"aiohttp_no_route": {failed, "ClientConnectorError", attrs{"http.method": "GET"},
			exception("aiohttp.client_exceptions.ClientConnectorError", "Cannot connect to host 10.0.0.7:1 ssl:default [Connect call failed ('10.0.0.7', 1)]",
				"Traceback (most recent call last):\nOSError: [Errno 113] Connect call failed ('10.0.0.7', 1)"+why), report.OutcomeUnreachable},
		"jdk_http_client_refused": {failed, "", attrs{"error.type": "java.net.ConnectException"}, exception("java.net.ConnectException", "",
			"java.net.ConnectException\n\tat a.B\nCaused by: java.net.ConnectException\n\tat a.B\nCaused by: java.nio.channels.ClosedChannelException\n\tat a.B"), report.OutcomeRefused},
		"jdk_http_client_unknown_name": {failed, "", attrs{"error.type": "java.net.ConnectException"}, exception("java.net.ConnectException", "",
			"java.net.ConnectException\n\tat a.B\nCaused by: java.nio.channels.UnresolvedAddressException\n\tat a.B"), report.OutcomeDNS},
		"dotnet_tells_why_in_the_stack": {failed, "", attrs{}, exception("System.Net.Http.HttpRequestException", "An error occurred while sending the request.",
			"System.Net.Http.HttpRequestException: An error occurred\n ---> System.Net.Sockets.SocketException (113): No route to host\n   at A.B()"), report.OutcomeUnreachable},
		"asyncio_wait_for_leaves_no_status":    {unset, "", attrs{"http.method": "GET", "http.url": "http://10.0.0.7/"}, nil, report.OutcomeCanceled},
		"fetch_abort_leaves_no_status":         {unset, "", attrs{"http.request.method": "GET", "url.full": "http://10.0.0.7/"}, nil, report.OutcomeCanceled},
		"undici_other_side_closed":             {failed, "other side closed", attrs{"error.type": "UND_ERR_SOCKET"}, nil, report.OutcomeReset},
		"node_garbled_answer":                  {failed, "Parse Error: Expected HTTP/, RTSP/ or ICE/", attrs{"error.type": "Error"}, nil, report.OutcomeWrongAnswer},
		"apache_client_waits_for_its_own_pool": {failed, "", attrs{"error.type": "org.apache.hc.core5.http.ConnectionRequestTimeoutException"}, nil, report.OutcomeOther},
		"grpc_python_unknown_name":             {failed, "errors resolving nx.test:1: [field:hostname lookup error:address lookup failed for nx.test:1: Domain name not found]", attrs{"rpc.grpc.status_code": 14}, nil, report.OutcomeDNS},
		"grpc_python_socket_closed":            {failed, "failed to connect to all addresses; last error: UNAVAILABLE: ipv4:10.0.0.7:1: Socket closed", attrs{"rpc.grpc.status_code": 14}, nil, report.OutcomeReset},
		"grpc_java_deadline": {failed, "DEADLINE_EXCEEDED: CallOptions deadline exceeded after 1.999s. Name resolution delay 0.002 seconds. [closed=[], open=[[buffered_nanos=35, remote_addr=db/10.0.0.7:2379]]]",
			attrs{"rpc.grpc.status_code": 4}, nil, report.OutcomeTimeout},
		"grpc_java_unknown_name": {failed, "UNAVAILABLE: Name resolution failed for target dns:db", attrs{"rpc.grpc.status_code": 14}, nil, report.OutcomeDNS},
		"grpc_js_refused": {failed, "", attrs{"rpc.grpc.status_code": "14", "grpc.error_name": "Error",
			"grpc.error_message": "14 UNAVAILABLE: No connection established. Last error: Error: connect ECONNREFUSED 10.0.0.7:2379. Resolution note: "}, nil, report.OutcomeRefused},
		"grpc_js_deadline": {failed, "", attrs{"rpc.grpc.status_code": "4", "grpc.error_name": "Error",
			"grpc.error_message": "4 DEADLINE_EXCEEDED: Deadline exceeded after 1.999s,name resolution: 0.003s,remote_addr=10.0.0.7:2379"}, nil, report.OutcomeTimeout},
		"grpc_js_given_up_by_the_client": {failed, "", attrs{"rpc.grpc.status_code": "14", "grpc.error_name": "Error",
			"grpc.error_message": "14 UNAVAILABLE: Channel closed before call started"}, nil, report.OutcomeUnavailable},

		"psycopg_syntax":            {failed, `SyntaxError: syntax error at or near "selec"`, pg, exception("psycopg.errors.SyntaxError", "", ""), report.OutcomeClientError},
		"psycopg_lock_timeout":      {failed, "LockNotAvailable: canceling statement due to lock timeout", pg, exception("psycopg.errors.LockNotAvailable", "", ""), report.OutcomeClientError},
		"psycopg_statement_timeout": {failed, "QueryCanceled: canceling statement due to statement timeout", pg, exception("psycopg.errors.QueryCanceled", "", ""), report.OutcomeOther},
		"psycopg_disk_full":         {failed, `DiskFull: could not extend file "base/5/1": No space left on device`, pg, exception("psycopg.errors.DiskFull", "", ""), report.OutcomeDiskFull},
		"psycopg_out_of_memory":     {failed, "OutOfMemory: out of memory", pg, exception("psycopg.errors.OutOfMemory", "", ""), report.OutcomeMemoryFull},
		"psycopg_shut_down":         {failed, "AdminShutdown: terminating connection due to administrator command", pg, exception("psycopg.errors.AdminShutdown", "", ""), report.OutcomeReset},
		"psycopg_cut_off":           {failed, "OperationalError: consuming input failed: could not receive data from server: Connection timed out", pg, nil, report.OutcomeTimeout},
		"sqlalchemy_password":       {failed, `OperationalError: (psycopg2.OperationalError) connection to server at "10.0.0.7", port 5432 failed: FATAL:  password authentication failed for user "a"`, pg, nil, report.OutcomeClientError},
		"sqlalchemy_starting_up":    {failed, `OperationalError: connection to server at "10.0.0.7", port 5432 failed: FATAL:  the database system is starting up`, pg, nil, report.OutcomeUnavailable},
		"pg_too_many":               {failed, "sorry, too many clients already", pg, nil, report.OutcomeOverloaded},
		"pg_pool":                   {failed, "timeout exceeded when trying to connect", pg, nil, report.OutcomeOther},
		"pg_waits_to_be_let_in":     {failed, "Connection terminated due to connection timeout", pg, nil, report.OutcomeTimeout},
		"pg_killed":                 {failed, "Connection terminated unexpectedly", pg, nil, report.OutcomeReset},
		"jdbc_state_of_a_request":   {failed, "", with(pg, "error.type", "42601"), nil, report.OutcomeClientError},
		"jdbc_state_of_the_disk":    {failed, "", with(pg, "db.response.status_code", "53100"), nil, report.OutcomeDiskFull},
		"jdbc_socket_timeout": {failed, "", with(pg, "error.type", "08006"), exception("org.postgresql.util.PSQLException", "An I/O error occurred while sending to the backend.",
			"org.postgresql.util.PSQLException: An I/O error\n\tat a.B\nCaused by: java.net.SocketTimeoutException: Read timed out\n\tat a.B"), report.OutcomeTimeout},
		"pgx_shut_down":                    {failed, "FATAL: terminating connection due to administrator command (SQLSTATE 57P01)", pg, nil, report.OutcomeReset},
		"pgbouncer_whose_database_is_gone": {failed, "FATAL: server login has been failing, try again later (server_login_retry) (SQLSTATE 08P01)", pg, nil, report.OutcomeUnavailable},
		"pgbouncer_with_the_error_it_met":  {failed, `FATAL:  server login has been failing, cached error: connect failed (server_login_retry)`, pg, nil, report.OutcomeUnavailable},
		"proxysql_that_gets_to_no_server":  {failed, "Max connect timeout reached while reaching hostgroup 0 after 10000ms", mysql, nil, report.OutcomeUnavailable},
		"npgsql_no_such_row":               {failed, `42P01: relation "nope" does not exist`, pg, nil, report.OutcomeClientError},

		"mysql_refused": {failed, "Communications link failure", mysql, exception("com.mysql.cj.jdbc.exceptions.CommunicationsException", "Communications link failure",
			"com.mysql.cj.A: Communications link failure\n\tat a.B\nCaused by: java.net.ConnectException: Connection refused\n\tat a.B"), report.OutcomeRefused},
		"pymysql_lock_wait": {failed, "OperationalError: (1205, 'Lock wait timeout exceeded; try restarting transaction')", mysql, nil, report.OutcomeClientError},
		"pymysql_killed":    {failed, "OperationalError: (2013, 'Lost connection to MySQL server during query')", mysql, nil, report.OutcomeReset},
		"pymysql_slow":      {failed, "OperationalError: (2013, 'Lost connection to MySQL server during query (timed out)')", mysql, nil, report.OutcomeTimeout},

		"redis_py_connect_timeout":  {failed, "TimeoutError: Timeout connecting to server", redis, nil, report.OutcomeConnectTimeout},
		"redis_py_own_pool":         {failed, "MaxConnectionsError: Too many connections", redis, nil, report.OutcomeOther},
		"redis_py_maxmemory":        {failed, "OutOfMemoryError: command not allowed when used memory > 'maxmemory'.", redis, exception("redis.exceptions.OutOfMemoryError", "", ""), report.OutcomeMemoryFull},
		"redis_maxmemory":           {failed, "OOM command not allowed when used memory > 'maxmemory'.", redis, nil, report.OutcomeMemoryFull},
		"redis_wrong_type":          {failed, "WRONGTYPE Operation against a key holding the wrong kind of value", redis, nil, report.OutcomeClientError},
		"redis_unknown_subcommand":  {failed, "ERR unknown subcommand 'SETINFO'. Try CLIENT HELP.", redis, nil, report.OutcomeClientError},
		"redis_password":            {failed, "", with(redis, "error.type", "NOAUTH"), nil, report.OutcomeClientError},
		"redis_readonly":            {failed, "READONLY You can't write against a read only replica.", redis, nil, report.OutcomeOther},
		"redis_no_master":           {failed, "", with(redis, "error.type", "MASTERDOWN"), nil, report.OutcomeUnavailable},
		"redis_max_clients":         {failed, "ConnectionError: max number of clients reached", redis, nil, report.OutcomeOverloaded},
		"memcached_max_connections": {failed, "ERROR Too many open connections", attrs{"db.system": "memcached"}, nil, report.OutcomeOverloaded},
		"memcached_own_descriptors": {failed, "accept4(): Too many open files", attrs{"db.system": "memcached"}, nil, report.OutcomeOther},
		"nats_max_connections":      {failed, "nats: maximum connections exceeded", attrs{"messaging.system": "nats"}, nil, report.OutcomeOverloaded},
		"ioredis_gave_up":           {failed, "Reached the max retries per request limit (which is 1).", redis, nil, report.OutcomeUnavailable},
		"lettuce_ended_unset":       {unset, "", redis, exception("java.util.concurrent.CancellationException", "", ""), report.OutcomeCanceled},
		"pymemcache_closed":         {failed, "MemcacheUnexpectedCloseError: ", attrs{"db.system": "memcached"}, nil, report.OutcomeReset},
		"capitals_are_no_code":      {failed, "BUSY Redis", attrs{}, nil, report.OutcomeOther},
		"an_error_class_is_no_code": {failed, "", with(pg, "error.type", "ERROR"), nil, report.OutcomeOther},
	} {
		t.Run(name, func(t *testing.T) {
			td, span := spanOf(t, checkout, client, c.status, c.message, c.attrs)
			span.Attributes().PutStr("server.address", "10.0.0.7")
			if c.event != nil {
				ev := span.Events().AppendEmpty()
				ev.SetName("exception")
				c.event.putTo(t, ev.Attributes())
			}
			x := New(Settings{})
			if got := x.Look(x.Source(resource(t, checkout)), span, nil).Outcome; got != c.outcome {
				t.Errorf("look: %q, want %q", got, c.outcome)
			}
			var b report.Batch
			x.Traces(td, testNow, nil, &b)
			if len(b.Calls) != 1 || b.Calls[0].Outcome != c.outcome {
				t.Errorf("calls: %+v, want one that was %q", b.Calls, c.outcome)
			}
			for _, f := range b.Facts {
				if f.Kind == report.FactDiskFull || f.Kind == report.FactOutOfMemory {
					t.Errorf("the caller is told to be short of its own: %+v", f)
				}
			}
		})
	}
}

func TestTraces_spans_that_end_before_the_answer(t *testing.T) {
	for name, c := range map[string]struct {
		scope, span string
		want        report.Outcome // unset: no call is counted
	}{
		"jedis":              {"io.opentelemetry.jedis-4.0", "GET", report.OutcomeSent},
		"ioredis_connect":    {"@opentelemetry/instrumentation-ioredis", "connect", report.OutcomeUnset},
		"ioredis_get":        {"@opentelemetry/instrumentation-ioredis", "get", report.OutcomeOK},
		"sqlalchemy_connect": {"opentelemetry.instrumentation.sqlalchemy", "connect", report.OutcomeUnset},
		"pg_pool_connect":    {"@opentelemetry/instrumentation-pg", "pg-pool.connect", report.OutcomeUnset},
		"pg_connect":         {"@opentelemetry/instrumentation-pg", "pg.connect", report.OutcomeSent},
		"otelsql_connect":    {"github.com/XSAM/otelsql", "sql.connector.connect", report.OutcomeSent},
		"otelsql_reset":      {"github.com/XSAM/otelsql", "sql.conn.reset_session", report.OutcomeUnset},
		"otelsql_query":      {"github.com/XSAM/otelsql", "sql.conn.query", report.OutcomeOK},
		"confluent_kafka":    {"opentelemetry.instrumentation.confluent_kafka", "t send", report.OutcomeUnset},
		"lettuce":            {"io.opentelemetry.lettuce-5.1", "GET", report.OutcomeOK},
	} {
		t.Run(name, func(t *testing.T) {
			td, span := spanOf(t, checkout, client, unset, "", attrs{"db.system": "redis", "server.address": "redis"})
			td.ResourceSpans().At(0).ScopeSpans().At(0).Scope().SetName(c.scope)
			span.SetName(c.span)
			var b report.Batch
			New(Settings{}).Traces(td, testNow, nil, &b)
			got := report.OutcomeUnset
			if len(b.Calls) == 1 {
				got = b.Calls[0].Outcome
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestTraces_given_up_after_long_is_a_timeout(t *testing.T) {
	x := New(Settings{})
	td, span := spanOf(t, checkout, client, unset, "", attrs{"http.request.method": "GET", "server.address": "payment"})
	src := x.Source(resource(t, checkout))
	bl := baselines(t, spanKey(src, span, "payment", 0))
	for d, want := range map[time.Duration]report.Outcome{10 * time.Millisecond: report.OutcomeCanceled, 2 * time.Second: report.OutcomeTimeout} {
		span.SetEndTimestamp(span.StartTimestamp() + pcommon.Timestamp(d))
		var b report.Batch
		x.Traces(td, testNow, bl, &b)
		if len(b.Calls) != 1 || b.Calls[0].Outcome != want {
			t.Errorf("after %s: %+v, want %q", d, b.Calls, want)
		}
		if got := x.Look(src, span, bl).Outcome; got != want {
			t.Errorf("after %s: look says %q, want %q", d, got, want)
		}
	}
}

// A connection that breaks is a death of the callee, unless it breaks when the
// caller's patience may have ended.
func TestTraces_broken_after_long_is_no_answer(t *testing.T) {
	for name, c := range map[string]struct {
		span, message string
		took          time.Duration
		want          report.Outcome
	}{
		"connecting_for_long":         {"pg.connect", "Connection terminated unexpectedly", 2 * time.Second, report.OutcomeNoAnswer},
		"connecting_to_one_that_dies": {"pg.connect", "Connection terminated unexpectedly", 20 * time.Millisecond, report.OutcomeReset},
		"somehow_after_long":          {"SELECT", "(conn=6) Socket error", 8 * time.Second, report.OutcomeTimeout},
		"somehow_at_once":             {"SELECT", "(conn=6) Socket error", 10 * time.Millisecond, report.OutcomeReset},
		"by_the_server_after_long":    {"SELECT", "connection reset by peer", 8 * time.Second, report.OutcomeReset},
	} {
		t.Run(name, func(t *testing.T) {
			x := New(Settings{})
			td, span := spanOf(t, checkout, client, failed, c.message, attrs{"db.system": "postgresql", "server.address": "db"})
			span.SetName(c.span)
			src := x.Source(resource(t, checkout))
			bl := baselines(t, spanKey(src, span, "db:5432", 0))
			span.SetEndTimestamp(span.StartTimestamp() + pcommon.Timestamp(c.took))
			var b report.Batch
			x.Traces(td, testNow.Add(10*time.Second), bl, &b)
			if len(b.Calls) != 1 || b.Calls[0].Outcome != c.want {
				t.Errorf("%+v, want %q", b.Calls, c.want)
			}
			if got := x.Look(src, span, bl).Outcome; got != c.want {
				t.Errorf("look says %q, want %q", got, c.want)
			}
		})
	}
}

// Who fails after having waited for something gives no wrong answer in time.
func TestTraces_failures_after_long_are_none_of_ones_own(t *testing.T) {
	x := New(Settings{})
	td, span := spanOf(t, checkout, server, failed, "", attrs{"http.response.status_code": 500})
	bl := baselines(t, spanKey(x.Source(resource(t, checkout)), span, "", 0))
	for took, want := range map[time.Duration][2]int{10 * time.Millisecond: {1, 0}, 2 * time.Second: {0, 1}} {
		span.SetEndTimestamp(span.StartTimestamp() + pcommon.Timestamp(took))
		var b report.Batch
		x.Traces(td, testNow, bl, &b)
		if len(b.Served) != 1 || b.Served[0].Failed != 1 || [2]int{b.Served[0].Faults, b.Served[0].Waited} != want {
			t.Errorf("after %s: %+v, want %v faults and waits", took, b.Served, want)
		}
		span.SetName("never seen before")
		b = report.Batch{}
		x.Traces(td, testNow, bl, &b)
		if len(b.Served) != 1 || [2]int{b.Served[0].Faults, b.Served[0].Waited} != want {
			t.Errorf("of an unknown kind, after %s: %+v, want %v faults and waits", took, b.Served, want)
		}
		span.SetName("charge")
	}
}

// Drivers that write no span of a connection which they could not set up.
func TestTraces_failures_told_beside_the_call(t *testing.T) {
	add := func(td ptrace.Traces, kind ptrace.SpanKind, name, message string, a attrs) {
		one, span := spanOf(t, checkout, kind, failed, message, a)
		span.SetName(name)
		one.ResourceSpans().At(0).ScopeSpans().At(0).Spans().MoveAndAppendTo(td.ResourceSpans().At(0).ScopeSpans().At(0).Spans())
	}
	type call struct {
		address string
		outcome report.Outcome
		count   int
	}
	const psycopg2 = `OperationalError: connection to server at "10.0.0.7", port 5432 failed: Connection refused`
	for name, c := range map[string]struct {
		spans func(ptrace.Traces)
		want  []call
	}{
		"served_call_whose_exception_names_the_database": {func(td ptrace.Traces) {
			add(td, server, "GET /", psycopg2, attrs{"http.status_code": 500})
		}, []call{{"10.0.0.7:5432", report.OutcomeRefused, 1}}},
		"served_call_that_waited_for_the_database": {func(td ptrace.Traces) {
			add(td, server, "GET /", `OperationalError: connection to server at "10.0.0.7", port 5432 failed: timeout expired`, attrs{"http.status_code": 500})
		}, []call{{"10.0.0.7:5432", report.OutcomeTimeout, 1}}},
		"served_call_that_found_no_slot": {func(td ptrace.Traces) {
			add(td, server, "GET /", `OperationalError: connection to server at "10.0.0.7", port 5432 failed: FATAL:  sorry, too many clients already`, attrs{"http.status_code": 500})
		}, []call{{"10.0.0.7:5432", report.OutcomeOverloaded, 1}}},
		"not_twice_what_the_call_itself_told": {func(td ptrace.Traces) {
			add(td, server, "GET /", psycopg2, attrs{"http.status_code": 500})
			add(td, client, "connect", psycopg2, attrs{"db.system": "postgresql", "net.peer.name": "10.0.0.7", "net.peer.port": 5432})
		}, []call{{"10.0.0.7:5432", report.OutcomeRefused, 1}}},
		"socket_of_mysql2": {func(td ptrace.Traces) {
			add(td, internal, "tcp.connect", "connect ECONNREFUSED 10.0.0.7:3306", attrs{"server.address": "db", "server.port": 3306})
		}, []call{{"10.0.0.7:3306", report.OutcomeRefused, 1}}},
		"socket_tells_why_axios_ran_out_of_time": {func(td ptrace.Traces) {
			for range 3 {
				add(td, client, "GET", "timeout of 1500ms exceeded", attrs{"server.address": "payment", "server.port": 80})
			}
			add(td, internal, "tcp.connect", "timeout of 1500ms exceeded", attrs{"server.address": "payment", "server.port": 80})
		}, []call{{"payment:80", report.OutcomeConnectTimeout, 1}, {"payment:80", report.OutcomeTimeout, 2}}},
		"socket_tells_why_ioredis_gave_up": {func(td ptrace.Traces) {
			add(td, client, "get", "Reached the max retries per request limit (which is 1).", attrs{"db.system.name": "redis", "server.address": "10.0.0.7", "server.port": 6379})
			add(td, internal, "tcp.connect", "connect ECONNREFUSED 10.0.0.7:6379", attrs{"server.address": "10.0.0.7", "server.port": 6379})
		}, []call{{"10.0.0.7:6379", report.OutcomeRefused, 1}}},
		"other_inner_spans_tell_nobody": {func(td ptrace.Traces) {
			add(td, internal, "request handler", "connect ECONNREFUSED 10.0.0.7:6379", attrs{})
		}, nil},
		"a_caller_that_hung_up_is_no_callee": {func(td ptrace.Traces) {
			add(td, server, "GET /", "write tcp 10.0.0.5:8080->10.0.0.9:41234: write: broken pipe", attrs{})
		}, nil},
		"a_wrong_password_is_no_failure": {func(td ptrace.Traces) {
			add(td, server, "GET /", `connection to server at "10.0.0.7", port 5432 failed: FATAL:  password authentication failed`, attrs{"http.status_code": 500})
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			td, _ := spanOf(t, checkout, internal, unset, "", attrs{})
			c.spans(td)
			var b report.Batch
			New(Settings{}).Traces(td, testNow, nil, &b)
			var got []call
			for _, one := range b.Calls {
				got = append(got, call{one.Callee.Address, one.Outcome, one.Count})
			}
			if len(got) != len(c.want) {
				t.Fatalf("calls %+v, want %+v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("call %+v, want %+v", got[i], c.want[i])
				}
			}
		})
	}
}

// Who fails because a call of its own failed did not make that failure.
func TestTraces_faults_of_ones_own_making(t *testing.T) {
	for message, want := range map[string]struct {
		faults int
		fact   report.FactKind
	}{
		"AttributeError: 'NoneType' object has no attribute 'x'": {1, 0},
		"OSError: [Errno 28] No space left on device":            {1, report.FactDiskFull},
		"MemoryError: ": {1, report.FactOutOfMemory},
		`OperationalError: connection to server at "10.0.0.7", port 5432 failed: Connection refused`:                        {0, 0},
		`DiskFull: could not extend file "base/5/1": No space left on device`:                                               {0, 0},
		"OutOfMemoryError: command not allowed when used memory > 'maxmemory'.":                                             {0, 0},
		"QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00":                                {0, report.FactPoolEmpty},
		"HikariPool-1 - Connection is not available, request timed out after 2004ms (total=5, active=5, idle=0, waiting=4)": {0, report.FactPoolEmpty},
		"HikariPool-1 - Connection is not available, request timed out after 2004ms (total=0, active=0, idle=0, waiting=4)": {0, 0},
	} {
		td, _ := spanOf(t, checkout, server, failed, message, attrs{"http.response.status_code": 500})
		var b report.Batch
		New(Settings{}).Traces(td, testNow, nil, &b)
		if len(b.Served) != 1 || b.Served[0].Failed != 1 || b.Served[0].Faults != want.faults {
			t.Errorf("%q: served %+v, want %d faults", message, b.Served, want.faults)
		}
		fact := report.FactNone
		if len(b.Facts) > 0 {
			fact = b.Facts[0].Kind
		}
		if fact != want.fact {
			t.Errorf("%q: fact %d, want %d", message, fact, want.fact)
		}
	}
}
