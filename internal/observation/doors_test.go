// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

func TestServersTellAtWhichAddressTheyAreCalled(t *testing.T) {
	for name, c := range map[string]struct {
		span attrs
		want string
	}{
		"socket":               {attrs{"network.local.address": "10.0.0.7", "network.local.port": 8000}, "10.0.0.7:8000 node-1:8000"},
		"older_socket":         {attrs{"net.sock.host.addr": "10.0.0.7", "net.host.port": 8000}, "10.0.0.7:8000 node-1:8000"},
		"client_goes_by_ip":    {attrs{"server.address": "10.0.0.7", "server.port": 8000}, "10.0.0.7:8000 node-1:8000"},
		"older_client":         {attrs{"http.host": "10.0.0.7:8000"}, "10.0.0.7:8000"},
		"ipv6":                 {attrs{"network.local.address": "fd00::7", "network.local.port": 8000}, "[fd00::7]:8000 node-1:8000"},
		"client_goes_by_name":  {attrs{"server.address": "web", "server.port": 80}, ""},
		"no_port":              {attrs{"server.address": "10.0.0.7"}, ""},
		"no_port_ipv6":         {attrs{"network.local.address": "fd00::7"}, ""},
		"loopback_is_anybodys": {attrs{"server.address": "127.0.0.1", "server.port": 8000}, "node-1:8000"},
		"mapped_loopback":      {attrs{"network.local.address": "::ffff:127.0.0.1", "network.local.port": 8000}, "node-1:8000"},
		"name_like_an_address": {attrs{"server.address": "10.0.0.7.example", "server.port": 80}, "node-1:80"},
	} {
		t.Run(name, func(t *testing.T) {
			x := New(Settings{})
			td, _ := spanOf(t, checkout, ptrace.SpanKindServer, ptrace.StatusCodeUnset, "", c.span)
			var b report.Batch
			x.Traces(td, testNow, nil, &b)
			var got []string
			for _, d := range b.Doors {
				got = append(got, d.Address)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("told %q, want %q", got, c.want)
			}
		})
	}
	t.Run("a_caller_tells_nothing_of_itself", func(t *testing.T) {
		td, _ := spanOf(t, checkout, ptrace.SpanKindClient, ptrace.StatusCodeUnset, "", attrs{"server.address": "10.0.0.7", "server.port": 8000})
		var b report.Batch
		New(Settings{}).Traces(td, testNow, nil, &b)
		if len(b.Doors) > 0 {
			t.Errorf("told %v", b.Doors)
		}
	})
	t.Run("its_agent_tells_the_host", func(t *testing.T) {
		res := attrs{"service.name": "web", "host.name": "h", "host.ip": []any{"fe80::1", "10.0.0.7", "::1"}}
		td, _ := spanOf(t, res, ptrace.SpanKindServer, ptrace.StatusCodeUnset, "", attrs{"server.address": "shop.example"})
		var b report.Batch
		New(Settings{}).Traces(td, testNow, nil, &b)
		if len(b.Doors) != 1 || b.Doors[0].Address != "10.0.0.7" {
			t.Errorf("told %v, want 10.0.0.7", b.Doors)
		}
	})
}

func TestAgentTellsTheAddressesOfItsHost(t *testing.T) {
	for name, c := range map[string]struct {
		res  attrs
		want int
	}{
		"of_an_agent":    {attrs{"host.name": "h", "host.ip": []any{"127.0.0.1", "10.0.0.7", "fe80::1", "fd00::7"}}, 2},
		"of_a_service":   {attrs{"service.name": "web", "host.name": "h", "host.ip": []any{"10.0.0.7"}}, 0}, // its spans do
		"without_a_name": {attrs{"host.ip": []any{"10.0.0.7"}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			md := pmetric.NewMetrics()
			rm := md.ResourceMetrics().AppendEmpty()
			require.NoError(t, rm.Resource().Attributes().FromRaw(map[string]any(c.res)))
			m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
			m.SetName("system.memory.usage")
			m.SetEmptySum().DataPoints().AppendEmpty().SetIntValue(1)
			var b report.Batch
			New(Settings{}).Metrics(md, testNow, nil, &b)
			if len(b.Doors) != c.want || c.want > 0 && (b.Doors[0].Address != "10.0.0.7" || b.Doors[1].Address != "fd00::7") {
				t.Errorf("told %v", b.Doors)
			}
		})
	}
}

func TestLogsOfProxiesTellOfThoseBehindThem(t *testing.T) {
	const tail = `, client: 10.0.0.2, server: , request: "GET /cart HTTP/1.1", upstream: "http://10.0.0.7:8000/cart", host: "10.0.0.3:80"`
	edge := attrs{"host.name": "edge"}
	for name, c := range map[string]struct {
		line string
		want report.Outcome
		who  string
	}{
		"nginx_refused":      {"[error] 28#28: *1 connect() failed (111: Connection refused) while connecting to upstream" + tail, report.OutcomeRefused, "10.0.0.7:8000"},
		"nginx_no_answer":    {"[error] 28#28: *1 upstream timed out (110: Connection timed out) while reading response header from upstream" + tail, report.OutcomeTimeout, "10.0.0.7:8000"},
		"nginx_no_connect":   {"[error] 28#28: *1 upstream timed out (110: Connection timed out) while connecting to upstream" + tail, report.OutcomeConnectTimeout, "10.0.0.7:8000"},
		"nginx_broke_off":    {"[error] 28#28: *1 upstream prematurely closed connection while reading response header from upstream" + tail, report.OutcomeReset, "10.0.0.7:8000"},
		"httpd_refused":      {"(111)Connection refused: AH00957: http: attempt to connect to 10.0.0.7:8000 (10.0.0.7:8000) failed", report.OutcomeRefused, "10.0.0.7:8000"},
		"traefik_refused":    {`'502 Bad Gateway' caused by: dial tcp 10.0.0.7:8000: connect: connection refused`, report.OutcomeRefused, "10.0.0.7:8000"},
		"disabled_says_why":  {"[warn] 28#28: *1 upstream server temporarily disabled while connecting to upstream" + tail, 0, ""},
		"client_writes_it":   {`[error] connect() failed (111: Connection refused) while connecting to upstream, request: "GET /?upstream: "http://10.0.0.9:80/"", upstream: "http://10.0.0.7:8000/"`, 0, ""},
		"a_group_of_servers": {`[error] no live upstreams while connecting to upstream, request: "GET /", upstream: "http://web/cart", host: "10.0.0.3:80"`, 0, ""},
		"its_own_host":       {"connect() failed (111: Connection refused) while connecting to upstream, upstream: \"http://127.0.0.1:8000/\"", 0, ""},
		"of_telemetry":       {"dial tcp 10.0.0.7:4317: connect: connection refused", 0, ""},
		"nothing_failed":     {`10.0.0.2 - "GET /connect to 10.0.0.7:8000"`, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var b report.Batch
			New(Settings{}).Logs(logOf(t, edge, plog.SeverityNumberUnspecified, c.line, nil), testNow, &b)
			if c.want == 0 {
				if len(b.Calls) > 0 {
					t.Errorf("told %+v", b.Calls)
				}
				return
			}
			if len(b.Calls) != 1 || b.Calls[0].Outcome != c.want || b.Calls[0].Callee.Address != c.who || !b.Calls[0].Hearsay || b.Calls[0].Caller.Host != "edge" {
				t.Errorf("told %+v, want %s of %s", b.Calls, c.want, c.who)
			}
		})
	}
}
