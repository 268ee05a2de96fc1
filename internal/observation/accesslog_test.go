// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// besideCheckout is the proxy in the pod of checkout.
var besideCheckout = attrs{"k8s.pod.uid": "pod-1", "k8s.container.name": "istio-proxy", "k8s.node.name": "node-1"}

// istioLine is a line in Istio's text format, of a call that began a second before testNow.
func istioLine(request, code, flags, details, reason, upstream, cluster string) string {
	return fmt.Sprintf(`[%s] "%s" %s %s %s - "%s" 0 95 20 - "-" "client/1.0" "57fe7198-0415-4401-a135-8549cba29285" "payment:8080" "%s" %s 10.244.4.6:35042 10.96.1.8:8080 10.244.4.6:53891 - default`,
		testNow.Add(-time.Second).UTC().Format("2006-01-02T15:04:05.000Z"), request, code, flags, details, reason, upstream, cluster)
}

const toPayment = "outbound|8080||payment.shop.svc.cluster.local"

func TestAccessLogOfAProxyTellsCallsOfWhomItStandsBeside(t *testing.T) {
	const expired = "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_certificate_has_expired:TLS_error_end"
	for name, c := range map[string]struct {
		line string
		want report.Outcome // unset: no call
	}{
		"answered":             {istioLine("GET /a HTTP/1.1", "200", "-", "via_upstream", "-", "10.244.1.8:8080", toPayment), report.OutcomeOK},
		"failed_by_the_callee": {istioLine("GET /a HTTP/1.1", "500", "-", "via_upstream", "-", "10.244.1.8:8080", toPayment), report.OutcomeServerError},
		"certificate_expired":  {istioLine("GET /a HTTP/1.1", "503", "UF,URX", "upstream_reset_before_response_started{remote_connection_failure|"+expired+"}", "-", "10.244.1.8:8080", toPayment), report.OutcomeTLS},
		"reason_by_itself":     {istioLine("GET /a HTTP/1.1", "503", "UF", "upstream_reset_before_response_started{remote_connection_failure}", expired, "10.244.1.8:8080", toPayment), report.OutcomeTLS},
		"refused":              {istioLine("GET /a HTTP/1.1", "503", "UF", "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_111}", "delayed_connect_error:_111", "10.244.1.8:8080", toPayment), report.OutcomeRefused},
		"connect_in_vain":      {istioLine("GET /a HTTP/1.1", "503", "UF,URX", "upstream_reset_before_response_started{connection_timeout}", "-", "10.244.1.8:8080", toPayment), report.OutcomeConnectTimeout},
		"no_connection":        {istioLine("GET /a HTTP/1.1", "503", "UF", "upstream_reset_before_response_started{remote_connection_failure}", "-", "10.244.1.8:8080", toPayment), report.OutcomeUnavailable},
		"given_up":             {istioLine("GET /a HTTP/1.1", "0", "DC", "downstream_remote_disconnect", "-", "10.244.1.8:8080", toPayment), report.OutcomeCanceled},
		"a_connection":         {istioLine("- - -", "0", "-", "-", "-", "10.244.1.8:8080", toPayment), report.OutcomeOK},
		"as_JSON": {`{"start_time":"2026-01-05T08:59:59.000Z","response_code":503,"response_flags":"UF","response_code_details":"x","upstream_transport_failure_reason":"` + expired +
			`","duration":3,"upstream_host":"10.244.1.8:8080","upstream_cluster":"` + toPayment + `"}`, report.OutcomeTLS},
		"call_that_came_in":    {istioLine("GET /a HTTP/1.1", "500", "-", "via_upstream", "-", "10.244.1.8:8080", "inbound|8080||"), report.OutcomeUnset},
		"quotes_in_the_path":   {istioLine(`GET /" 503 UF x - "-" 0 HTTP/1.1`, "200", "-", "via_upstream", "-", "10.244.1.8:8080", toPayment), report.OutcomeUnset},
		"line_that_breaks_off": {istioLine("GET /a HTTP/1.1", "503", "UF", "x", "-", "10.244.1.8:8080", toPayment)[:230], report.OutcomeUnset},
		"cluster_without_port": {istioLine("GET /a HTTP/1.1", "503", "UF", "x", "-", "10.244.1.8:8080", "outbound|x||payment"), report.OutcomeUnset},
	} {
		t.Run(name, func(t *testing.T) {
			x := New(Settings{})
			src := x.Source(resource(t, attrs{"service.name": "checkout", "k8s.pod.uid": "pod-1"}))
			var b report.Batch
			x.Logs(logOf(t, besideCheckout, plog.SeverityNumberUnspecified, c.line, nil), testNow, &b)
			if c.want == report.OutcomeUnset {
				assert.Empty(t, b.Calls)
				return
			}
			require.Len(t, b.Calls, 1)
			got := b.Calls[0]
			assert.Same(t, src, got.Caller)
			assert.Equal(t, report.Callee{Address: "10.244.1.8:8080", Direct: true, Named: "payment.shop.svc.cluster.local:8080"}, got.Callee)
			assert.Equal(t, c.want.String(), got.Outcome.String())
			assert.True(t, got.Counted, "spans tell the same")
		})
	}
}

func TestAccessLogThatWasParsedOrHasNoAddress(t *testing.T) {
	x := New(Settings{})
	x.Source(resource(t, attrs{"service.name": "checkout", "k8s.pod.uid": "pod-1"}))
	var b report.Batch
	parsed := attrs{"upstream_cluster": toPayment, "response_code": 503, "response_flags": "UH", "upstream_host": "-", "start_time": "2026-01-05T08:59:59Z", "duration": 3}
	ld := logOf(t, besideCheckout, plog.SeverityNumberUnspecified, "", parsed)
	again := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	again.At(0).CopyTo(again.AppendEmpty())
	x.Logs(ld, testNow, &b)
	require.Len(t, b.Calls, 1)
	assert.Equal(t, 2, b.Calls[0].Count)
	assert.Equal(t, "payment.shop.svc.cluster.local:8080", b.Calls[0].Callee.Address)
	assert.Equal(t, report.OutcomeUnavailable, b.Calls[0].Outcome)
}

func TestAccessLogInAPodThatNobodyKnowsIsNobodysCall(t *testing.T) {
	x := New(Settings{})
	var b report.Batch
	x.Logs(logOf(t, besideCheckout, plog.SeverityNumberUnspecified, istioLine("GET /a HTTP/1.1", "503", "UF", "x", "-", "10.244.1.8:8080", toPayment), nil), testNow, &b)
	assert.True(t, b.Empty())
}
