// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

func TestGRPCCode(t *testing.T) {
	for in, want := range map[string]int{
		"OK": 0, "0": 0, "14": grpcUnavailable, "UNAVAILABLE": grpcUnavailable, "unavailable": grpcUnavailable,
		"DeadlineExceeded": grpcDeadlineExceeded, "deadline_exceeded": grpcDeadlineExceeded, "CANCELLED": grpcCanceled,
		"canceled": grpcCanceled, "Canceled": grpcCanceled, "UNAUTHENTICATED": grpcUnauthenticated,
		"": -1, "17": -1, "-1": -1, "UNAVAILABL": -1, "UNAVAILABLES": -1, "java.io.IOException": -1, "1e3": -1,
		"a name that is longer than that of any code": -1,
	} {
		if got := grpcCode(in); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
	for code, name := range grpcNames {
		if grpcCode(name) != code {
			t.Errorf("%s is not %d", name, code)
		}
	}
}

func TestHTTPOutcome(t *testing.T) {
	for status, want := range map[int32]report.Outcome{
		-1: report.OutcomeUnset, 0: report.OutcomeUnset, 1000: report.OutcomeUnset,
		101: report.OutcomeOK, 200: report.OutcomeOK, 304: report.OutcomeOK,
		400: report.OutcomeClientError, 404: report.OutcomeClientError, 408: report.OutcomeClientError,
		429: report.OutcomeOverloaded, 499: report.OutcomeCanceled, 507: report.OutcomeDiskFull,
		500: report.OutcomeServerError, 501: report.OutcomeServerError, 505: report.OutcomeServerError, 599: report.OutcomeServerError,
		502: report.OutcomeUnavailable, 503: report.OutcomeUnavailable, 504: report.OutcomeUnavailable,
	} {
		if got := httpOutcome(status, false); got != want {
			t.Errorf("%d: %q, want %q", status, got, want)
		}
	}
	if got := httpOutcome(503, true); got != report.OutcomeOverloaded {
		t.Errorf("503 with Retry-After: %q", got)
	}
}

func TestCanonical(t *testing.T) {
	for _, c := range []struct {
		host        string
		port, usual int32
		place       string
		want        string
		ip          bool
	}{
		{"Payment", 8080, 0, "", "payment:8080", false},
		{"payment", 0, 443, "", "payment:443", false},
		{"payment", 0, 0, "", "payment", false},
		{"payment:9090", 0, 80, "", "payment:9090", false},
		{"payment:9090", 8080, 0, "", "payment:8080", false},
		{"10.0.0.7", 80, 0, "node-1", "10.0.0.7:80", true},
		{"fd00::7", 80, 0, "", "[fd00::7]:80", true},
		{"[FD00:0:0::7]", 80, 0, "", "[fd00::7]:80", true},
		{"[fd00::7]:81", 0, 0, "", "[fd00::7]:81", true},
		{"fe80::1%eth0", 80, 0, "", "[fe80::1]:80", true},
		{"::ffff:10.0.0.7", 80, 0, "", "10.0.0.7:80", true},
		{"127.0.0.1", 80, 0, "Node-1", "127.0.0.1:80@node-1", true},
		{"::1", 80, 0, "node-1", "[::1]:80@node-1", true},
		{"localhost", 80, 0, "", "localhost:80", false},
		{"::", 80, 0, "", "", false},
		{"", 80, 0, "", "", false},
		{" ", 80, 0, "", "", false},
		{"a b", 80, 0, "", "", false},
		{"payment", 70000, 0, "", "payment", false},
		{"pay\xff", 80, 0, "", "pay\uFFFD:80", false},
	} {
		if got, ip := canonical(c.host, c.port, c.usual, c.place); got != c.want || ip != c.ip {
			t.Errorf("%q port %d: %q %v, want %q %v", c.host, c.port, got, ip, c.want, c.ip)
		}
		// Whatever is loopback once it is written must be known for it before.
		if got, _ := canonical(c.host, c.port, c.usual, "x"); len(got) > 2 && got[len(got)-2:] == "@x" && !loopback(c.host) {
			t.Errorf("%q is not taken as loopback", c.host)
		}
	}
}
