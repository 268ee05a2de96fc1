// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/stats"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// The lab's own marks on answers; no instrumentation records them.
const (
	wrongHeader = "X-Lab-Wrong" // the answer is wrong, and its sender knows
	routeHeader = "X-Lab-Route"
)

// account is the process's log of the calls that it makes: all processes of a
// run append to one file, each line by one write.
type account struct {
	file *os.File
	c    Config
}

func openAccount(c Config) (*account, error) {
	file, err := os.OpenFile(c.file(ledger.CallsFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return &account{file, c}, err
}

func (a *account) note(ctx context.Context, callee, route string, start time.Time, failed string, wrong bool) {
	sc := trace.SpanContextFromContext(ctx)
	line, err := json.Marshal(ledger.Call{
		Trace: sc.TraceID().String(), Span: sc.SpanID().String(), Start: start, Duration: time.Since(start),
		Service: a.c.Service, Instance: a.c.Instance, Callee: callee, Route: route,
		OK: failed == "", Wrong: wrong, Error: failed,
	})
	if err != nil {
		return
	}
	_, _ = a.file.Write(append(line, '\n'))
}

type calleeKey struct{}

// accounted logs each call. It stands inside of otelhttp's transport, where the
// context carries the client span.
type accounted struct {
	account *account
	next    http.RoundTripper
}

func (t *accounted) RoundTrip(r *http.Request) (*http.Response, error) {
	callee, _ := r.Context().Value(calleeKey{}).(string)
	start := time.Now()
	resp, err := t.next.RoundTrip(r)
	failed, wrong := "", false
	switch {
	case err != nil:
		failed = err.Error()
	case resp.StatusCode >= 400:
		failed = resp.Status
	default:
		wrong = resp.Header.Get(wrongHeader) != ""
	}
	t.account.note(r.Context(), callee, r.URL.Path, start, failed, wrong)
	return resp, err
}

// grpcAccount logs each gRPC call. It comes after otelgrpc's handler, which
// puts the client span into the context.
type grpcAccount struct{ account *account }

type grpcCall struct {
	start time.Time
	route string
	wrong bool
}

type grpcCallKey struct{}

func (h *grpcAccount) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, grpcCallKey{}, &grpcCall{start: time.Now(), route: info.FullMethodName})
}

func (h *grpcAccount) HandleRPC(ctx context.Context, s stats.RPCStats) {
	call, ok := ctx.Value(grpcCallKey{}).(*grpcCall)
	if !ok {
		return
	}
	switch s := s.(type) {
	case *stats.InHeader:
		call.wrong = len(s.Header.Get(wrongHeader)) > 0
	case *stats.End:
		failed := ""
		if s.Error != nil {
			failed = s.Error.Error()
		}
		h.account.note(ctx, "pricing", call.route, call.start, failed, call.wrong)
	}
}

func (h *grpcAccount) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (h *grpcAccount) HandleConn(context.Context, stats.ConnStats) {}
