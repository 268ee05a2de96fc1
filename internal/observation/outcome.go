// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Codes of gRPC's status, by number.
const (
	grpcOK = iota
	grpcCanceled
	grpcUnknown
	grpcInvalidArgument
	grpcDeadlineExceeded
	grpcNotFound
	grpcAlreadyExists
	grpcPermissionDenied
	grpcResourceExhausted
	grpcFailedPrecondition
	grpcAborted
	grpcOutOfRange
	grpcUnimplemented
	grpcInternal
	grpcUnavailable
	grpcDataLoss
	grpcUnauthenticated
	numGRPC
)

var grpcNames = [numGRPC]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
	"UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// grpcOutcomes is what a code says of the callee. Those that blame the request
// prove that the callee is alive. UNAVAILABLE and DEADLINE_EXCEEDED come from
// the caller's own library as often as from the callee: the message tells more.
var grpcOutcomes = [numGRPC]report.Outcome{
	grpcOK:                 report.OutcomeOK,
	grpcCanceled:           report.OutcomeCanceled,
	grpcUnknown:            report.OutcomeServerError,
	grpcInvalidArgument:    report.OutcomeClientError,
	grpcDeadlineExceeded:   report.OutcomeTimeout,
	grpcNotFound:           report.OutcomeClientError,
	grpcAlreadyExists:      report.OutcomeClientError,
	grpcPermissionDenied:   report.OutcomeClientError,
	grpcResourceExhausted:  report.OutcomeOverloaded,
	grpcFailedPrecondition: report.OutcomeClientError,
	grpcAborted:            report.OutcomeClientError,
	grpcOutOfRange:         report.OutcomeClientError,
	grpcUnimplemented:      report.OutcomeServerError,
	grpcInternal:           report.OutcomeServerError,
	grpcUnavailable:        report.OutcomeUnavailable,
	grpcDataLoss:           report.OutcomeServerError,
	grpcUnauthenticated:    report.OutcomeClientError,
}

// grpcServerFails are the codes that are a server's own failure, by the semantic
// conventions for gRPC.
const grpcServerFails = 1<<grpcUnknown | 1<<grpcDeadlineExceeded | 1<<grpcUnimplemented |
	1<<grpcInternal | 1<<grpcUnavailable | 1<<grpcDataLoss

// grpcCode reads a code as a number or by name, in any case and spelling
// ("DEADLINE_EXCEEDED", "DeadlineExceeded", "deadline_exceeded", "4"). -1 is none.
func grpcCode(s string) int {
	if s == "" || len(s) > 24 {
		return -1
	}
	if s[0]-'0' <= 9 {
		if n, err := strconv.Atoi(s); err == nil && n < numGRPC {
			return n
		}
		return -1
	}
	for code, name := range grpcNames {
		if sameLetters(s, name) {
			return code
		}
	}
	if sameLetters(s, "CANCELED") {
		return grpcCanceled
	}
	return -1
}

// sameLetters compares without regard to case and underscores.
func sameLetters(a, b string) bool {
	i := 0
	for j := range len(b) {
		if b[j] == '_' {
			continue
		}
		if i < len(a) && a[i] == '_' {
			i++
		}
		if i == len(a) || a[i]|0x20 != b[j]|0x20 {
			return false
		}
		i++
	}
	return i == len(a)
}

// httpOutcome is what a status code of HTTP says; unset below 100, OK below 400.
func httpOutcome(status int32, retryAfter bool) report.Outcome {
	switch {
	case status < 100 || status > 999:
		return report.OutcomeUnset
	case status < 400:
		return report.OutcomeOK
	case status == 429, status == 503 && retryAfter:
		return report.OutcomeOverloaded
	case status == 499: // nginx: the client closed the request
		return report.OutcomeCanceled
	case status < 500:
		return report.OutcomeClientError
	case status >= 502 && status <= 504:
		return report.OutcomeUnavailable
	case status == 507: // insufficient storage, of object stores and WebDAV
		return report.OutcomeDiskFull
	}
	return report.OutcomeServerError
}

// proxyFlags are Envoy's response flags, the telling ones first.
var proxyFlags = [...]struct {
	flag    string
	outcome report.Outcome
}{
	{"UF", report.OutcomeUnavailable}, // upstream connection failure: refused, in vain for too long, or TLS failed
	{"UC", report.OutcomeReset},       // upstream connection termination
	{"UT", report.OutcomeTimeout},     // upstream request time-out
	{"UR", report.OutcomeReset},       // upstream remote reset
	{"LR", report.OutcomeReset},       // local reset
	{"UO", report.OutcomeOverloaded},
	{"RL", report.OutcomeOverloaded},
	{"OM", report.OutcomeOverloaded},
	{"DF", report.OutcomeDNS},
	{"UPE", report.OutcomeWrongAnswer}, // upstream protocol error
	{"UH", report.OutcomeUnavailable},  // no healthy upstream
	{"NC", report.OutcomeUnavailable},  // no cluster
	{"SI", report.OutcomeTimeout},      // stream idle
	{"DT", report.OutcomeTimeout},      // maximum duration
	{"DC", report.OutcomeCanceled},     // downstream disconnect
	{"NR", report.OutcomeOther},        // no route configured
}

// flagged is what Envoy's response flags say; unset if they say nothing.
func flagged(flags string) report.Outcome {
	if flags == "" || flags == "-" || len(flags) > 64 {
		return report.OutcomeUnset
	}
	for _, f := range &proxyFlags {
		for rest := flags; rest != ""; {
			var one string
			one, rest, _ = strings.Cut(rest, ",")
			if strings.TrimSpace(one) == f.flag {
				return f.outcome
			}
		}
	}
	return report.OutcomeUnset
}

// number reads an attribute that is an integer or the digits of one; -1 if it
// is neither.
func number(v pcommon.Value) int32 {
	switch v.Type() {
	case pcommon.ValueTypeInt:
		if n := v.Int(); n >= 0 && n <= 1<<30 {
			return int32(n)
		}
	case pcommon.ValueTypeStr:
		s := v.Str()
		if len(s) == 0 || len(s) > 9 {
			return -1
		}
		n := int32(0)
		for i := range len(s) {
			d := s[i] - '0'
			if d > 9 {
				return -1
			}
			n = n*10 + int32(d)
		}
		return n
	}
	return -1
}
