// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Verdicts hang on the traces: who reads documents later may not hold them up.
func TestAnElasticsearchThatHangsHoldsUpNoTraceOfTheGateway(t *testing.T) {
	bin := builtBinary(t, "otelcol-faultline")
	a := newAddresses(t)
	out := newSink(t)
	end := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-end }))
	t.Cleanup(hanging.Close)
	t.Cleanup(func() { close(end) })
	environment := append(a.environment(),
		"FAULTLINE_STATE="+t.TempDir(), "FAULTLINE_JAEGER_OTLP="+out.address, "FAULTLINE_ELASTICSEARCH="+hanging.URL)
	c := spawn(t, "collector", collector(bin, environment, "", shippedConfig(t, "gateway.yaml")))
	c.awaitHTTP(t, "http://"+a.health+"/")

	load := startSender(t, a.http, 40*time.Millisecond)
	const spans = 3000 // 6 s, and 30 batches
	began := time.Now()
	eventually(t, 30*time.Second, func() string {
		if n := len(out.received()); n < spans {
			return fmt.Sprintf("%d spans came through, %d were acknowledged", n, load.acknowledged())
		}
		return ""
	})
	// At full speed it takes 6 s, and the failed spans come 3 s late.
	assert.Less(t, time.Since(began), 20*time.Second)
	load.stop()
	_ = c.cmd.Process.Kill() // it would try to the last to deliver
}
