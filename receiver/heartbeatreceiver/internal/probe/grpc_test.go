// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configopaque"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/faultline-otel/faultline/internal/contract"
)

// healthServer answers as the asked service's name says.
type healthServer struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (*healthServer) Check(ctx context.Context, req *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	answer := func(s grpc_health_v1.HealthCheckResponse_ServingStatus) (*grpc_health_v1.HealthCheckResponse, error) {
		return &grpc_health_v1.HealthCheckResponse{Status: s}, nil
	}
	switch req.Service {
	case "", "payment.v1.Payment":
		return answer(grpc_health_v1.HealthCheckResponse_SERVING)
	case "draining":
		return answer(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	case "token":
		if md, _ := metadata.FromIncomingContext(ctx); len(md.Get("authorization")) == 1 {
			return answer(grpc_health_v1.HealthCheckResponse_SERVING)
		}
		return nil, status.Error(codes.Unauthenticated, "who are you?")
	case "internal":
		return nil, status.Error(codes.Internal, "it broke")
	case "unavailable":
		return nil, status.Error(codes.Unavailable, "not now")
	case "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, status.Error(codes.NotFound, "unknown service")
}

func serveHealth(t *testing.T, h grpc_health_v1.HealthServer, opts ...grpc.ServerOption) (hostport string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := grpc.NewServer(opts...)
	if h != nil {
		grpc_health_v1.RegisterHealthServer(s, h)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return l.Addr().String()
}

func TestGRPCHealth(t *testing.T) {
	addr := serveHealth(t, &healthServer{})
	for _, tt := range []struct {
		name    string
		service string
		cfg     Config
		want    string
		says    string
	}{
		{name: "whole_server_serves", want: contract.OutcomeOK},
		{name: "service_serves", service: "payment.v1.Payment", want: contract.OutcomeOK},
		{name: "not_serving_is_error", service: "draining", want: contract.OutcomeError, says: "NOT_SERVING"},
		{name: "unknown_service_is_error", service: "nobody", want: contract.OutcomeError, says: "NotFound"},
		{name: "internal_is_error", service: "internal", want: contract.OutcomeError, says: "it broke"},
		{name: "unavailable_said_by_the_server_is_error", service: "unavailable", want: contract.OutcomeError, says: "not now"},
		{name: "hang_is_no_answer", service: "hang", cfg: Config{Timeout: quick}, want: contract.OutcomeNoAnswer},
		{name: "headers_are_sent", service: "token", want: contract.OutcomeOK, cfg: Config{
			Headers: configopaque.MapList{{Name: "Authorization", Value: "Bearer x"}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Endpoint = "grpc://" + addr + "/" + tt.service
			r := probeOnce(t, tt.cfg)
			assert.Equal(t, tt.want, r.Outcome, "%+v", r)
			assert.Contains(t, r.Message, tt.says)
			assert.Equal(t, tt.want != contract.OutcomeNoAnswer, r.RTT > 0)
		})
	}
}

func TestGRPCServerWithoutHealthServiceIsError(t *testing.T) {
	r := probeOnce(t, Config{Endpoint: "grpc://" + serveHealth(t, nil)})
	assert.Equal(t, contract.OutcomeError, r.Outcome, "%+v", r)
	assert.Contains(t, r.Message, "Unimplemented")
}
