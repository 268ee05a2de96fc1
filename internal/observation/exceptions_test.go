// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Many instrumentations tell no more of a failed request than the type of what was
// thrown. Where that is what a client throws, the failure is that of a call.
func TestTraces_the_type_of_an_exception_tells_whose_failure_it_is(t *testing.T) {
	for errorType, own := range map[string]bool{
		"Microsoft.Data.SqlClient.SqlException":                             false,
		"Npgsql.NpgsqlException":                                            false,
		"StackExchange.Redis.RedisConnectionException":                      false,
		"System.Net.Http.HttpRequestException":                              false,
		"Microsoft.EntityFrameworkCore.Storage.RetryLimitExceededException": false,
		"PDOException":                                                       false,
		`Illuminate\Database\QueryException`:                                 false,
		`GuzzleHttp\Exception\ServerException`:                               false,
		"ActiveRecord::ConnectionNotEstablished":                             false,
		"RedisClient::CannotConnectError":                                    false,
		"DBConnection.ConnectionError":                                       false,
		"Mint.TransportError":                                                false,
		"org.elasticsearch.client.ResponseException":                         false,
		"com.datastax.oss.driver.api.core.servererrors.UnavailableException": false,
		"software.amazon.awssdk.services.dynamodb.model.DynamoDbException":   false,
		"System.NullReferenceException":                                      true,
		"System.FormatException":                                             true,
		"NoMethodError":                                                      true,
		"TypeError":                                                          true,
		"FunctionClauseError":                                                true,
		"java.lang.IllegalStateException":                                    true,
	} {
		td, _ := spanOf(t, checkout, server, failed, "", attrs{"http.response.status_code": 500, "error.type": errorType})
		var b report.Batch
		New(Settings{}).Traces(td, testNow, nil, &b)
		want := report.Served{Failed: 1, Passed: 1, Wants: 1, Says: errorType}
		if own {
			want = report.Served{Failed: 1, Faults: 1}
		}
		if s := b.Served; len(s) != 1 || s[0].Faults != want.Faults || s[0].Passed != want.Passed || s[0].Wants != want.Wants || s[0].Says != want.Says {
			t.Errorf("%s: %+v", errorType, b.Served)
		}
	}
}

// A call that is turned down for who makes it, or for what it asks, is no want of another.
func TestTraces_whose_failures_are_for_want_of_another(t *testing.T) {
	for message, wants := range map[string]int{
		"kombu.exceptions.OperationalError: [Errno 111] Connection refused":                 1,
		"pricing: rpc error: code = Unavailable desc = connection error":                    1,
		"pricing: rpc error: code = Unauthenticated desc = unknown key":                     0,
		"HikariPool-1 - Connection is not available, request timed out after 3001ms":        0,
		"java.lang.IllegalStateException: unexpected null tariff":                           0,
		"org.springframework.web.client.ResourceAccessException: I/O error: Read timed out": 1,
	} {
		for _, status := range []int{500, 502} {
			td, _ := spanOf(t, checkout, server, failed, message, attrs{"http.response.status_code": status})
			var b report.Batch
			New(Settings{}).Traces(td, testNow, nil, &b)
			want := wants
			if status == 502 && strings.Contains(message, "IllegalState") {
				want = 1 // the status says so
			}
			if len(b.Served) != 1 || b.Served[0].Wants != want {
				t.Errorf("%d, %s: %+v", status, message, b.Served)
			}
		}
	}
}

func TestTraces_the_status_of_a_gateway_is_anothers(t *testing.T) {
	for status, passed := range map[int]int{500: 0, 502: 1, 504: 1} {
		td, _ := spanOf(t, checkout, server, failed, "", attrs{"http.status_code": status})
		var b report.Batch
		New(Settings{}).Traces(td, testNow, nil, &b)
		if len(b.Served) != 1 || b.Served[0].Passed != passed || b.Served[0].Faults != 1-passed || b.Served[0].Wants != passed {
			t.Errorf("%d: %+v", status, b.Served)
		}
	}
}

// How calls of clients that were not met before end.
func TestTraces_what_further_clients_write(t *testing.T) {
	const es = "org.elasticsearch.client.ResponseException"
	type call = map[string]any
	for name, c := range map[string]struct {
		attrs         attrs
		kind, message string
		want          report.Outcome
	}{
		"elasticsearch_has_no_such_document": {attrs{"db.system": "elasticsearch"}, es, "method [GET], host [http://es:9200], URI [/orders/_doc/5], status line [HTTP/1.1 404 Not Found]", report.OutcomeClientError},
		"elasticsearch_does_not_understand":  {attrs{"db.system": "elasticsearch"}, es, "method [POST], host [http://es:9200], URI [/orders/_search], status line [HTTP/1.1 400 Bad Request]", report.OutcomeClientError},
		"elasticsearch_turns_away":           {attrs{"db.system": "elasticsearch"}, es, "method [POST], host [http://es:9200], URI [/orders/_search], status line [HTTP/1.1 429 Too Many Requests]", report.OutcomeOverloaded},
		"elasticsearch_does_not_serve":       {attrs{"db.system": "elasticsearch"}, es, "method [POST], host [http://es:9200], URI [/orders/_search], status line [HTTP/1.1 503 Service Unavailable]", report.OutcomeUnavailable},
		"an_answer_that_is_none":             {attrs{}, "", "Invalid status line", report.OutcomeWrongAnswer},
		"dynamodb_turns_away":                {attrs{"rpc.system": "aws-api", "http.response.status_code": 400}, "ProvisionedThroughputExceededException", "The level of configured provisioned throughput for the table was exceeded.", report.OutcomeOverloaded},
		"s3_turns_away":                      {attrs{"rpc.system": "aws-api", "http.response.status_code": 503}, "S3Exception", "Please reduce your request rate. (Service: S3, Status Code: 503)", report.OutcomeOverloaded},
		"dynamodb_finds_a_condition_not_met": {attrs{"rpc.system": "aws-api", "http.response.status_code": 400}, "ConditionalCheckFailedException", "The conditional request failed", report.OutcomeClientError},
		"cassandra_turns_away":               {attrs{"db.system": "cassandra"}, "com.datastax.oss.driver.api.core.servererrors.OverloadedException", "Server is overloaded", report.OutcomeOverloaded},
		"cassandra_is_gone":                  {attrs{"db.system": "cassandra"}, "com.datastax.oss.driver.api.core.AllNodesFailedException", "All 1 node(s) tried for the query failed", report.OutcomeUnavailable},
		"reqwest_tells_why_in_the_chain":     {attrs{"error.message": "error sending request for url (http://payment:8080/)", "error.cause_chain": "client error (Connect): tcp connect error: Connection refused (os error 111)"}, "", "", report.OutcomeRefused},
		"guzzle_calls_any_timeout_connect":   {attrs{}, `GuzzleHttp\Exception\ConnectException`, "cURL error 28: Operation timed out after 3000 milliseconds with 0 bytes received", report.OutcomeTimeout},
		"guzzle_could_not_connect":           {attrs{}, `GuzzleHttp\Exception\ConnectException`, "cURL error 28: Connection timed out after 3000 milliseconds", report.OutcomeConnectTimeout},
		"mongodb_for_node_lost_its_socket":   {attrs{"db.system": "mongodb"}, "", "connection 12 to 10.0.0.7:27017 closed", report.OutcomeReset},
	} {
		t.Run(name, func(t *testing.T) {
			td, span := spanOf(t, checkout, client, failed, "", c.attrs)
			span.Attributes().PutStr("server.address", "payment")
			if c.kind != "" {
				ev := span.Events().AppendEmpty()
				ev.SetName("exception")
				attrs(call{"exception.type": c.kind, "exception.message": c.message}).putTo(t, ev.Attributes())
			} else {
				span.Status().SetMessage(c.message)
			}
			var b report.Batch
			New(Settings{}).Traces(td, testNow, nil, &b)
			if len(b.Calls) != 1 || b.Calls[0].Outcome != c.want {
				t.Errorf("%+v, want %q", b.Calls, c.want)
			}
		})
	}
}

// Browsers write the status 0 where no answer came.
func TestTraces_a_status_of_zero_is_no_answer(t *testing.T) {
	td, _ := spanOf(t, attrs{"service.name": "web"}, client, unset, "", attrs{"http.method": "GET", "http.url": "https://shop.example/", "http.status_code": 0})
	var b report.Batch
	New(Settings{}).Traces(td, testNow, nil, &b)
	if len(b.Calls) != 1 || b.Calls[0].Outcome != report.OutcomeCanceled {
		t.Errorf("%+v", b.Calls)
	}
}

// Couchbase's client names both ends of the connection in what it throws.
func TestTraces_the_callers_own_end_is_no_callee(t *testing.T) {
	const timeout = `GetRequest, Reason: TIMEOUT {"lastDispatchedFrom":"10.1.0.2:50123","lastDispatchedTo":"cb:11210","timeoutMs":2500}`
	td, _ := spanOf(t, checkout, client, failed, timeout, attrs{"db.system": "couchbase", "db.name": "shop"})
	var b report.Batch
	New(Settings{}).Traces(td, testNow, nil, &b)
	if len(b.Calls) != 1 || b.Calls[0].Callee.Service != "couchbase/shop" || b.Calls[0].Callee.Address != "" {
		t.Errorf("%+v", b.Calls)
	}
}

// Who answers and writes no span of any call may be a proxy.
func TestTraces_servers_that_write_no_calls_are_told(t *testing.T) {
	nginx, span := spanOf(t, attrs{"service.name": "nginx"}, server, unset, "", attrs{"http.status_code": 200})
	var b report.Batch
	x := New(Settings{})
	x.Traces(nginx, testNow, nil, &b)
	behind, below := spanOf(t, attrs{"service.name": "api"}, server, failed, "", attrs{"http.status_code": 500})
	below.SetSpanID([8]byte{9})
	below.SetParentSpanID(span.SpanID())
	x.Traces(behind, testNow, nil, &b)
	if len(b.Passing) != 2 || len(b.Hops) != 1 || b.Passing[0].Span != b.Hops[0].Span || !b.Hops[0].Failed {
		t.Errorf("%+v, %+v", b.Passing, b.Hops)
	}
	one, _ := spanOf(t, checkout, server, unset, "", attrs{"http.status_code": 200})
	other, _ := spanOf(t, checkout, client, unset, "", attrs{"server.address": "payment"})
	other.ResourceSpans().At(0).ScopeSpans().MoveAndAppendTo(one.ResourceSpans().At(0).ScopeSpans())
	b = report.Batch{}
	x.Traces(one, testNow, nil, &b)
	if len(b.Passing) != 0 {
		t.Errorf("one that writes its calls is told as a proxy: %+v", b.Passing)
	}
}

// Agents that do not read lines leave their severity in them.
func TestLogs_a_line_tells_its_own_severity(t *testing.T) {
	for line, told := range map[string]bool{
		`{"level":"info","msg":"no space left on device: none in the last hour"}`: false,
		`{"time":1,"level": "debug", "msg":"no space left on device"}`:            false,
		`{"level":30,"msg":"no space left on device"}`:                            false,
		`ts=1 level=info msg="no space left on device: none"`:                     false,
		`{"level":"error","msg":"write /data: no space left on device"}`:          true,
		`{"level":50,"msg":"write /data: no space left on device"}`:               true,
		`level=error msg="write /data: no space left on device"`:                  true,
		`write /data: no space left on device`:                                    true,
		`{"msg":"write /data: no space left on device"}`:                          true,
	} {
		var b report.Batch
		New(Settings{}).Logs(logOf(t, checkout, plog.SeverityNumberUnspecified, line, nil), testNow, &b)
		if got := len(b.Facts) == 1 && b.Facts[0].Kind == report.FactDiskFull; got != told {
			t.Errorf("%s: %+v", line, b.Facts)
		}
	}
}
