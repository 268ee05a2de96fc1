// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"
	"hash/crc32"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

// PricingName is the gRPC service of pricing.
const PricingName = "shop.Pricing"

const priceMethod = "/" + PricingName + "/Price"

// priceOf is the price list: everybody knows it, so wrong prices can be told.
func priceOf(item string) string {
	return strconv.Itoa(100 + int(crc32.ChecksumIEEE([]byte(item))%900))
}

// pricing answers prices over gRPC.
type pricing interface {
	price(ctx context.Context, item *wrapperspb.StringValue) (*structpb.Struct, error)
}

type pricer struct{ a *app }

func (p *pricer) price(ctx context.Context, item *wrapperspb.StringValue) (*structpb.Struct, error) {
	f := p.a.faults
	f.gate.RLock()
	f.gate.RUnlock() //nolint:staticcheck // passing the gate is all: in a deadlock nobody passes
	f.delay()
	f.work()
	switch {
	case f.hits(control.Reject) || f.quota.exceeded("checkout", f.number(control.Quota)):
		return nil, status.Error(codes.ResourceExhausted, "quota exceeded")
	case f.hits(control.Error500):
		slog.ErrorContext(ctx, "unexpected state of the price list")
		return nil, status.Error(codes.Internal, "unexpected state of the price list")
	}
	in, _ := metadata.FromIncomingContext(ctx)
	if keys := in.Get("authorization"); len(keys) == 0 || keys[0] != rightKey {
		return nil, status.Error(codes.Unauthenticated, "unknown key")
	}
	value := priceOf(item.GetValue())
	wrong := false
	remote := ""
	if from, ok := peer.FromContext(ctx); ok {
		remote = from.Addr.String()
	}
	if f.lies(callerOf("checkout/", remote)) || f.hits(control.Pretend) {
		value, wrong = wrongValue(value), true
	}
	sum := sumOf(value)
	if f.hits(control.Invalid) {
		sum, wrong = sumOf(value+"x"), true
	}
	if wrong {
		_ = grpc.SetHeader(ctx, metadata.Pairs(wrongHeader, "1"))
	}
	p.a.served.Add(1)
	return structpb.NewStruct(map[string]any{"service": "pricing", "value": value, "sum": sum})
}

var pricingDesc = grpc.ServiceDesc{
	ServiceName: PricingName,
	HandlerType: (*pricing)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Price",
		Handler: func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(wrapperspb.StringValue)
			if err := decode(in); err != nil {
				return nil, err
			}
			return srv.(pricing).price(ctx, in)
		},
	}},
}

func buildPricing(a *app) {
	// The price list is what its heartbeats vouch for.
	a.digest = func() string { return sumOf(priceOf("apple") + priceOf("pear")) }
	a.serve = func() (func(), error) {
		server := grpc.NewServer(grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithFilter(notHealth))))
		server.RegisterService(&pricingDesc, &pricer{a})
		h := health.NewServer()
		h.SetServingStatus(PricingName, grpc_health_v1.HealthCheckResponse_SERVING)
		grpc_health_v1.RegisterHealthServer(server, h)
		go func() { _ = server.Serve(a.door) }()
		return func() {
			kill := time.AfterFunc(drain, server.Stop)
			defer kill.Stop()
			server.GracefulStop()
		}, nil
	}
}

// notHealth leaves probes out of the spans.
func notHealth(info *stats.RPCTagInfo) bool { return info.FullMethodName == priceMethod }

// priceClient asks each instance of pricing in turn.
type priceClient struct {
	a *app

	mu    sync.Mutex
	conns map[string]*grpc.ClientConn
}

func newPriceClient(a *app) *priceClient {
	return &priceClient{a: a, conns: map[string]*grpc.ClientConn{}}
}

// maxConns bounds the connections that are kept: each of another instance.
const maxConns = 50

func (p *priceClient) conn(address string) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.conns[address]; c != nil {
		return c, nil
	}
	if len(p.conns) >= maxConns {
		return nil, fmt.Errorf("more than %d instances of pricing", maxConns)
	}
	c, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUserAgent("checkout/"+p.a.c.Version),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.5, Jitter: .2, MaxDelay: time.Second},
			MinConnectTimeout: usualTimeout,
		}),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler()), grpc.WithStatsHandler(&grpcAccount{p.a.account}))
	if err == nil {
		p.conns[address] = c
	}
	return c, err
}

// price asks for a price and compares it with the list.
func (p *priceClient) price(ctx context.Context, item string) (string, error) {
	price, err := p.once(ctx, item)
	for range p.a.faults.number(control.RetryStorm) {
		if err == nil || ctx.Err() != nil {
			break
		}
		price, err = p.once(ctx, item)
	}
	if err != nil {
		span := trace.SpanFromContext(ctx)
		span.RecordError(err)
		span.SetStatus(otelcodes.Error, err.Error())
	}
	return price, err
}

func (p *priceClient) once(ctx context.Context, item string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.a.client.timeout())
	defer cancel()
	key := rightKey
	if p.a.faults.text(control.Credential) == "wrong" {
		key = "Bearer expired"
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", key)
	address, err := p.a.client.endpoints.next("pricing")
	if err != nil {
		return "", err
	}
	conn, err := p.conn(address)
	if err != nil {
		return "", err
	}
	out := new(structpb.Struct)
	if err := conn.Invoke(ctx, priceMethod, wrapperspb.String(item), out); err != nil {
		return "", fmt.Errorf("pricing at %s: %w", address, err)
	}
	value := out.GetFields()["value"].GetStringValue()
	if out.GetFields()["sum"].GetStringValue() != sumOf(value) {
		return "", fmt.Errorf("invalid response from pricing at %s: checksum mismatch", address)
	}
	if value != priceOf(item) {
		return "", fmt.Errorf("wrong answer from pricing at %s: %s costs %s, not %s", address, item, priceOf(item), value)
	}
	return value, nil
}
