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

const (
	client   = ptrace.SpanKindClient
	server   = ptrace.SpanKindServer
	producer = ptrace.SpanKindProducer
	consumer = ptrace.SpanKindConsumer
	internal = ptrace.SpanKindInternal

	unset  = ptrace.StatusCodeUnset
	failed = ptrace.StatusCodeError
)

func TestLook_who_turns_a_caller_away_may_be_hurt(t *testing.T) {
	for status, late := range map[int]bool{200: false, 404: false, 429: true} {
		td, span := spanOf(t, checkout, server, unset, "", attrs{"http.response.status_code": status})
		x := New(Settings{})
		if look := x.Look(x.Source(td.ResourceSpans().At(0).Resource()), span, nil); look.Late != late || look.Failed || look.Slow {
			t.Errorf("%d: %+v, want late %v", status, look, late)
		}
	}
}

func TestLook_unresolved_only_if_no_name_server_answers(t *testing.T) {
	x := New(Settings{})
	for text, want := range map[string]bool{
		"dial tcp: lookup bank.example: i/o timeout":                          true,
		"[Errno -3] Temporary failure in name resolution":                     true,
		"getaddrinfo EAI_AGAIN bank.example":                                  true,
		"dial tcp: lookup bank.example on 10.0.0.2:53: no such host":          false,
		"[Errno -2] Name or service not known":                                false,
		"dial tcp 10.0.0.7:443: i/o timeout":                                  false,
		"dial tcp: lookup bank.example on 10.0.0.2:53: server misbehaving":    false,
		"Post \"http://timeout.example\": dial tcp 10.0.0.7: refused to talk": false,
	} {
		span := ptrace.NewSpan()
		span.SetKind(ptrace.SpanKindClient)
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Status().SetMessage(text)
		if got := x.Look(nil, span, nil).Unresolved; got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestLook_outcome(t *testing.T) {
	const refused = "dial tcp 10.0.0.7:8080: connect: connection refused"
	cases := map[string]struct {
		kind    ptrace.SpanKind
		status  ptrace.StatusCode
		message string
		attrs   attrs
		event   attrs
		outcome report.Outcome
		failed  bool
	}{
		"client_ok":                       {client, unset, "", attrs{"http.response.status_code": 200}, nil, report.OutcomeOK, false},
		"client_404_is_the_clients_fault": {client, failed, "", attrs{"http.response.status_code": 404, "error.type": "404"}, nil, report.OutcomeClientError, false},
		"client_429":                      {client, failed, "", attrs{"http.response.status_code": 429}, nil, report.OutcomeOverloaded, true},
		"client_500":                      {client, failed, "", attrs{"http.response.status_code": 500}, nil, report.OutcomeServerError, true},
		"client_500_status_unset":         {client, unset, "", attrs{"http.status_code": 500}, nil, report.OutcomeServerError, true},
		"client_503":                      {client, failed, "", attrs{"http.status_code": 503}, nil, report.OutcomeUnavailable, true},
		"client_503_retry_after": {client, failed, "", attrs{"http.status_code": 503,
			"http.response.header.retry-after": []any{"5"}}, nil, report.OutcomeOverloaded, true},
		"client_504":                    {client, failed, "", attrs{"http.response.status_code": 504}, nil, report.OutcomeUnavailable, true},
		"client_499":                    {client, failed, "", attrs{"http.response.status_code": 499}, nil, report.OutcomeCanceled, true},
		"envoy_status_is_a_string":      {client, failed, "", attrs{"http.status_code": "500", "response_flags": "-"}, nil, report.OutcomeServerError, true},
		"envoy_UF":                      {client, failed, "", attrs{"http.status_code": "503", "response_flags": "UF,URX"}, nil, report.OutcomeUnavailable, true},
		"envoy_UF_details":              {client, failed, "delayed connect error: 113", attrs{"http.status_code": "503", "response_flags": "UF"}, nil, report.OutcomeUnreachable, true},
		"envoy_UF_of_a_certificate":     {client, failed, "", attrs{"http.status_code": "503", "response_flags": "UF", "response_code_details": "upstream_reset_before_response_started{remote_connection_failure|TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end}"}, nil, report.OutcomeTLS, true},
		"envoy_UF_in_vain":              {client, failed, "", attrs{"http.status_code": "503", "response_flags": "UF", "response_code_details": "upstream_reset_before_response_started{connection_timeout}"}, nil, report.OutcomeConnectTimeout, true},
		"envoy_UT":                      {client, failed, "", attrs{"http.status_code": "504", "response_flags": "UT"}, nil, report.OutcomeTimeout, true},
		"envoy_UO":                      {client, failed, "", attrs{"http.status_code": "503", "response_flags": "UO"}, nil, report.OutcomeOverloaded, true},
		"envoy_UH":                      {client, failed, "", attrs{"http.status_code": "503", "response_flags": "UH"}, nil, report.OutcomeUnavailable, true},
		"envoy_DC":                      {client, failed, "", attrs{"http.status_code": "0", "response_flags": "DC"}, nil, report.OutcomeCanceled, true},
		"server_404_is_no_failure":      {server, unset, "", attrs{"http.response.status_code": 404}, nil, report.OutcomeClientError, false},
		"server_404_with_error_status":  {server, failed, "", attrs{"http.response.status_code": 404}, nil, report.OutcomeClientError, false},
		"server_429_is_no_failure":      {server, unset, "", attrs{"http.response.status_code": 429}, nil, report.OutcomeOverloaded, false},
		"server_500":                    {server, unset, "", attrs{"http.response.status_code": 500}, nil, report.OutcomeServerError, true},
		"server_error_without_code":     {server, failed, "oops", attrs{}, nil, report.OutcomeOther, true},
		"grpc_ok":                       {client, unset, "", attrs{"rpc.grpc.status_code": 0}, nil, report.OutcomeOK, false},
		"grpc_not_found":                {client, failed, "", attrs{"rpc.grpc.status_code": 5}, nil, report.OutcomeClientError, false},
		"grpc_unavailable_tells":        {client, failed, `connection error: desc = "transport: Error while dialing: ` + refused + `"`, attrs{"rpc.grpc.status_code": 14}, nil, report.OutcomeRefused, true},
		"grpc_unavailable_tells_little": {client, failed, "", attrs{"rpc.grpc.status_code": 14}, nil, report.OutcomeUnavailable, true},
		"grpc_new_name":                 {client, failed, "", attrs{"rpc.response.status_code": "DEADLINE_EXCEEDED"}, nil, report.OutcomeTimeout, true},
		"grpc_deadline_while_dialing": {client, failed, "context deadline exceeded: latest balancer error: dial tcp 10.0.0.7:50051: i/o timeout",
			attrs{"rpc.grpc.status_code": 4}, nil, report.OutcomeConnectTimeout, true},
		"connect_code":              {client, failed, "", attrs{"rpc.connect_rpc.error_code": "resource_exhausted"}, nil, report.OutcomeOverloaded, true},
		"grpc_unknown_is_an_answer": {client, failed, refused, attrs{"rpc.grpc.status_code": 2}, nil, report.OutcomeServerError, true},
		"grpc_code_out_of_range":    {client, failed, "", attrs{"rpc.grpc.status_code": 99}, nil, report.OutcomeOther, true},
		"grpc_server_not_found":     {server, unset, "", attrs{"rpc.grpc.status_code": 5}, nil, report.OutcomeClientError, false},
		"grpc_server_internal":      {server, unset, "", attrs{"rpc.grpc.status_code": 13}, nil, report.OutcomeServerError, true},
		"grpc_canceled":             {client, failed, "context canceled", attrs{"rpc.grpc.status_code": 1}, nil, report.OutcomeCanceled, true},
		"error_type_class":          {client, failed, "", attrs{"error.type": "java.net.ConnectException"}, nil, report.OutcomeRefused, true},
		"error_type_timeout":        {client, failed, "", attrs{"error.type": "timeout"}, nil, report.OutcomeTimeout, true},
		"error_type_errno":          {client, failed, "", attrs{"error.type": "ECONNREFUSED"}, nil, report.OutcomeRefused, true},
		"error_type_status":         {client, failed, "", attrs{"error.type": "503"}, nil, report.OutcomeUnavailable, true},
		"error_type_grpc":           {client, failed, "", attrs{"error.type": "RESOURCE_EXHAUSTED"}, nil, report.OutcomeOverloaded, true},
		"error_type_refined": {client, failed, "connect timed out", attrs{"error.type": "java.net.SocketTimeoutException"}, nil,
			report.OutcomeConnectTimeout, true},
		"error_type_go_tells_nothing": {client, failed, refused, attrs{"error.type": "*net.OpError"}, nil, report.OutcomeRefused, true},
		"exception_event": {client, failed, "", attrs{}, attrs{"exception.type": "ConnectionRefusedError",
			"exception.message": "[Errno 111] Connect call failed ('10.0.0.7', 8080)"}, report.OutcomeRefused, true},
		"cause_in_stack_trace": {client, failed, "", attrs{}, attrs{"exception.type": "org.acme.PaymentException", "exception.message": "payment failed",
			"exception.stacktrace": "org.acme.PaymentException: payment failed\n\tat A.b(A.java:1)\nCaused by: java.net.SocketTimeoutException: Read timed out\n"},
			report.OutcomeTimeout, true},
		"error_without_anything": {client, failed, "", attrs{}, nil, report.OutcomeOther, true},
		"business_error":         {client, failed, "insufficient funds", attrs{}, nil, report.OutcomeOther, true},
		"consumer_fails_itself":  {consumer, failed, refused, attrs{}, nil, report.OutcomeRefused, true},
		"producer_refused":       {producer, failed, refused, attrs{}, nil, report.OutcomeRefused, true},
		"micrometer_server_500":  {server, unset, "", attrs{"method": "POST", "uri": "/pay", "status": "500", "outcome": "SERVER_ERROR", "exception": "none"}, nil, report.OutcomeServerError, true},
		"micrometer_client_503":  {client, failed, "", attrs{"client.name": "payment", "status": "503", "outcome": "SERVER_ERROR"}, nil, report.OutcomeUnavailable, true},
		"micrometer_client_404":  {client, failed, "", attrs{"client.name": "payment", "status": "404", "outcome": "CLIENT_ERROR"}, nil, report.OutcomeClientError, false},
		"micrometer_ok":          {server, unset, "", attrs{"status": "200", "outcome": "SUCCESS"}, nil, report.OutcomeOK, false},
		"an_outcome_of_a_deal":   {server, unset, "", attrs{"status": "500", "outcome": "rejected"}, nil, report.OutcomeOK, false},
		"internal_ok":            {internal, unset, "", attrs{"http.response.status_code": 500}, nil, report.OutcomeOK, false},
		"internal_error":         {internal, failed, "", attrs{}, nil, report.OutcomeOther, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, span := spanOf(t, checkout, c.kind, c.status, c.message, c.attrs)
			if c.event != nil {
				ev := span.Events().AppendEmpty()
				ev.SetName("exception")
				c.event.putTo(t, ev.Attributes())
			}
			x := New(Settings{})
			got := x.Look(x.Source(resource(t, checkout)), span, nil)
			if got.Outcome != c.outcome || got.Failed != c.failed {
				t.Errorf("outcome %q failed %v, want %q %v", got.Outcome, got.Failed, c.outcome, c.failed)
			}
			if want := c.kind == client || c.kind == producer; got.Client != want {
				t.Errorf("client %v", got.Client)
			}
		})
	}
}

func TestLook_callee(t *testing.T) {
	cases := map[string]struct {
		status  ptrace.StatusCode
		message string
		attrs   attrs
		want    report.Callee
	}{
		"peer_and_server": {unset, "", attrs{"network.peer.address": "10.0.0.7", "network.peer.port": 8080, "server.address": "Payment", "server.port": 80},
			report.Callee{Address: "10.0.0.7:8080", Direct: true, Named: "payment:80"}},
		"server_alone":                      {unset, "", attrs{"server.address": "payment.", "server.port": 8080}, report.Callee{Address: "payment:8080"}},
		"server_is_an_ip":                   {unset, "", attrs{"server.address": "10.0.0.7", "server.port": 8080}, report.Callee{Address: "10.0.0.7:8080", Direct: true}},
		"ipv6":                              {unset, "", attrs{"network.peer.address": "FD00::7", "network.peer.port": 8080}, report.Callee{Address: "[fd00::7]:8080", Direct: true}},
		"ipv4_in_ipv6":                      {unset, "", attrs{"network.peer.address": "::ffff:10.0.0.7", "network.peer.port": 8080}, report.Callee{Address: "10.0.0.7:8080", Direct: true}},
		"peer_without_port":                 {unset, "", attrs{"network.peer.address": "10.0.0.7", "server.address": "payment", "server.port": 8080}, report.Callee{Address: "10.0.0.7:8080", Direct: true, Named: "payment:8080"}},
		"url":                               {unset, "", attrs{"url.full": "https://user:pw@pay.example.com/charge?a=b"}, report.Callee{Address: "pay.example.com:443"}},
		"url_gives_usual_port":              {unset, "", attrs{"url.full": "http://payment/charge", "server.address": "payment"}, report.Callee{Address: "payment:80"}},
		"old_url":                           {unset, "", attrs{"http.url": "http://payment:8080/charge"}, report.Callee{Address: "payment:8080"}},
		"old_host":                          {unset, "", attrs{"http.host": "payment:8080"}, report.Callee{Address: "payment:8080"}},
		"old_names":                         {unset, "", attrs{"net.peer.name": "payment", "net.peer.port": 8080, "net.sock.peer.addr": "10.0.0.7"}, report.Callee{Address: "10.0.0.7:8080", Direct: true, Named: "payment:8080"}},
		"port_as_string":                    {unset, "", attrs{"server.address": "payment", "server.port": "8080"}, report.Callee{Address: "payment:8080"}},
		"absurd_port":                       {unset, "", attrs{"server.address": "payment", "server.port": 123456}, report.Callee{Address: "payment"}},
		"envoy_upstream":                    {unset, "", attrs{"upstream_address": "10.0.0.7:8080", "http.url": "http://payment/"}, report.Callee{Address: "10.0.0.7:8080", Direct: true}},
		"database":                          {unset, "", attrs{"db.system": "postgresql", "server.address": "db", "db.namespace": "orders"}, report.Callee{Address: "db:5432"}},
		"database_name_only":                {unset, "", attrs{"db.system": "postgresql", "db.name": "orders"}, report.Callee{Service: "postgresql/orders"}},
		"rpc_service_only":                  {unset, "", attrs{"rpc.system": "grpc", "rpc.service": "acme.Payment"}, report.Callee{Service: "acme.Payment"}},
		"peer_service":                      {unset, "", attrs{"peer.service": "payment"}, report.Callee{Service: "payment"}},
		"messaging":                         {unset, "", attrs{"messaging.system": "kafka", "messaging.destination.name": "orders"}, report.Callee{Service: "kafka/orders"}},
		"messages_through_an_untold_broker": {unset, "", attrs{"celery.action": "apply_async", "messaging.destination": "celery"}, report.Callee{Service: "queue/celery"}},
		"loopback_is_of_the_callers_host": {unset, "", attrs{"network.peer.address": "127.0.0.1", "network.peer.port": 8080, "server.address": "localhost", "server.port": 8080},
			report.Callee{Address: "127.0.0.1:8080@node-1", Direct: true, Named: "localhost:8080@node-1"}},
		"unspecified_address_is_none": {unset, "", attrs{"network.peer.address": "0.0.0.0", "network.peer.port": 8080}, report.Callee{}},
		"white_space_is_no_address":   {unset, "", attrs{"server.address": "pay\nment"}, report.Callee{}},
		"unspecified_peer_of_a_name":  {unset, "", attrs{"network.peer.address": "0.0.0.0", "server.address": "payment", "server.port": 80}, report.Callee{Address: "payment:80"}},
		"socket":                      {unset, "", attrs{"network.peer.address": "/var/run/pay.sock"}, report.Callee{Address: "unix:/var/run/pay.sock@node-1"}},
		"nothing":                     {unset, "", attrs{}, report.Callee{}},
		"message_names_the_instance": {failed, "dial tcp 10.0.0.7:8080: connect: connection refused", attrs{"server.address": "payment", "server.port": 80},
			report.Callee{Address: "10.0.0.7:8080", Direct: true, Named: "payment:80"}},
		"message_is_all_there_is": {failed, "connection refused: payment:8080", attrs{}, report.Callee{Address: "payment:8080"}},
		"failed_look_up_names_the_name_server": {failed, "dial tcp: lookup payment on 10.96.0.10:53: no such host", attrs{"server.address": "payment", "server.port": 80},
			report.Callee{Address: "payment:80"}},
		"answer_that_mentions_an_address": {failed, "upstream: dial tcp 10.0.0.9:1: connect: connection refused",
			attrs{"http.response.status_code": 502, "server.address": "payment", "server.port": 80}, report.Callee{Address: "payment:80"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, span := spanOf(t, checkout, client, c.status, c.message, c.attrs)
			x := New(Settings{})
			src := x.Source(resource(t, checkout))
			for range 2 { // the second is interned
				if got := x.Look(src, span, nil).Callee; got != c.want {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
			}
		})
	}
}

// A callee that passes its own callee's status on has answered.
func TestLook_status_passed_on_is_an_answer(t *testing.T) {
	_, span := spanOf(t, checkout, client, failed, "dial tcp 10.0.0.9:9000: connect: connection refused", attrs{
		"rpc.grpc.status_code": 14, "network.peer.address": "10.0.0.7", "network.peer.port": 8080,
	})
	x := New(Settings{})
	got := x.Look(x.Source(resource(t, checkout)), span, nil)
	if got.Outcome != report.OutcomeServerError || got.Callee.Address != "10.0.0.7:8080" || !got.Failed {
		t.Errorf("%+v", got)
	}
}

// What is learned while calls succeed must be found when they fail.
func TestLook_failed_and_healthy_calls_share_an_address(t *testing.T) {
	x := New(Settings{})
	src := x.Source(resource(t, checkout))
	_, healthy := spanOf(t, checkout, client, unset, "", attrs{
		"http.response.status_code": 200, "server.address": "payment", "server.port": 8080, "network.peer.address": "10.0.0.7", "network.peer.port": 8080,
	})
	known := x.Look(src, healthy, nil).Callee
	for name, c := range map[string]struct {
		message string
		attrs   attrs
	}{
		"go_tells_the_address":     {"dial tcp 10.0.0.7:8080: connect: connection refused", attrs{"server.address": "payment", "server.port": 8080}},
		"only_the_name_is_known":   {"connection refused", attrs{"server.address": "payment", "server.port": 8080}},
		"only_the_url_is_known":    {"ECONNREFUSED", attrs{"url.full": "http://payment:8080/"}},
		"a_new_address_same_name":  {"dial tcp 10.0.0.8:8080: i/o timeout", attrs{"server.address": "payment", "server.port": 8080}},
		"reset_on_the_known_peer":  {"connection reset by peer", attrs{"network.peer.address": "10.0.0.7", "network.peer.port": 8080}},
		"java_names_host_slash_ip": {"Connection refused: payment/10.0.0.7:8080", attrs{}},
	} {
		t.Run(name, func(t *testing.T) {
			_, span := spanOf(t, checkout, client, failed, c.message, c.attrs)
			got := x.Look(src, span, nil).Callee
			if got.Address != known.Address && got.Address != known.Named && got.Named != known.Named {
				t.Errorf("failed call to %+v, healthy ones to %+v", got, known)
			}
		})
	}
}

func TestLook_slow(t *testing.T) {
	x := New(Settings{})
	src := x.Source(resource(t, checkout))
	td, span := spanOf(t, checkout, internal, unset, "", attrs{})
	bl := baselines(t, spanKey(src, span, "", 0))
	for name, c := range map[string]struct {
		took       time.Duration
		late, slow bool
	}{
		"as_usual":        {10 * time.Millisecond, false, false},
		"half_as_much":    {15 * time.Millisecond, true, false}, // rare, and nobody would call it slow
		"ten_times":       {100 * time.Millisecond, true, true},
		"ends_before":     {-time.Second, false, false},
		"a_year":          {366 * 24 * time.Hour, false, false}, // its times make no sense
		"no_time_at_all":  {0, false, false},
		"thirty_times_it": {300 * time.Millisecond, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			span.SetEndTimestamp(span.StartTimestamp() + pcommon.Timestamp(c.took))
			got := x.Look(src, span, bl)
			if got.Slow != c.slow || got.Late != c.late || c.slow && got.Surprise < 4 {
				t.Errorf("slow %v, late %v, surprise %v", got.Slow, got.Late, got.Surprise)
			}
			var b report.Batch
			if odd := x.Traces(td, testNow, bl, &b); (len(odd) == 1) != c.slow {
				t.Errorf("Traces says %d odd", odd)
			}
		})
	}
	if got := x.Look(src, span, nil); got.Slow || got.Surprise != 0 {
		t.Errorf("without baselines: %+v", got)
	}
}
