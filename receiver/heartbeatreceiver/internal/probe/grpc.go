// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/faultline-otel/faultline/internal/contract"
)

// grpcTarget asks by grpc.health.v1.Health/Check.
type grpcTarget struct {
	address, service string
	creds            credentials.TransportCredentials
	headers          metadata.MD
}

func newGRPC(ctx context.Context, cfg *Config, ep endpoint) (*grpcTarget, error) {
	t := &grpcTarget{address: ep.address, service: ep.service, headers: metadata.MD{}, creds: insecure.NewCredentials()}
	for name, value := range cfg.Headers.Iter {
		t.headers.Set(name, string(value))
	}
	if ep.tls {
		c, err := loadTLS(ctx, cfg)
		if err != nil {
			return nil, err
		}
		t.creds = credentials.NewTLS(c)
	}
	return t, nil
}

func (t *grpcTarget) probe(ctx context.Context) Result {
	// grpc-go makes every failure to connect one status, Unavailable. So the
	// connection is watched from below, where errors still have their types.
	w := &grpcWatch{readFailed: make(chan struct{})}
	conn, err := grpc.NewClient("passthrough:///"+t.address,
		grpc.WithTransportCredentials(&watchedCreds{t.creds, w}),
		grpc.WithContextDialer(func(dialCtx context.Context, addr string) (net.Conn, error) {
			// The dialler outlives the call by itself, so the call's end ends it.
			dialCtx, cancel := context.WithCancel(dialCtx)
			defer cancel()
			defer context.AfterFunc(ctx, cancel)()
			return w.dial(dialCtx, addr)
		}),
		grpc.WithStatsHandler(w),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithUserAgent("faultline-probe"),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<10)),
	)
	if err != nil {
		return Result{Outcome: contract.OutcomeError, Message: err.Error()}
	}
	defer conn.Close()
	start := time.Now()
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(metadata.NewOutgoingContext(ctx, t.headers),
		&grpc_health_v1.HealthCheckRequest{Service: t.service})
	rtt := time.Since(start)
	switch {
	case err == nil && answer.Status == grpc_health_v1.HealthCheckResponse_SERVING:
		return Result{Outcome: contract.OutcomeOK, RTT: rtt}
	case err == nil:
		return Result{Outcome: contract.OutcomeError, RTT: rtt, Message: "answered " + answer.Status.String()}
	case w.answered.Load() && status.Code(err) == codes.DeadlineExceeded && outOfTime(ctx):
		// The server only repeats, a moment before we see it ourselves, that our own
		// time is over.
		return Result{Outcome: contract.OutcomeNoAnswer, Message: "no answer in time"}
	case w.answered.Load():
		s := status.Convert(err)
		return Result{Outcome: contract.OutcomeError, RTT: rtt, Message: fmt.Sprintf("answered with gRPC status %s: %s", s.Code(), s.Message())}
	}
	cause := w.cause(ctx)
	if cause == nil && status.Code(err) == codes.DeadlineExceeded && outOfTime(ctx) {
		cause = context.DeadlineExceeded
	}
	if cause != nil {
		return failure(cause, w.phase())
	}
	return Result{Outcome: contract.OutcomeError, Message: err.Error()}
}

// outOfTime says whether the deadline is over, or nearly so.
func outOfTime(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < nearly
}

// nearly is by how much a server may see a deadline before its client does.
const nearly = 50 * time.Millisecond

func (t *grpcTarget) close() {}

// grpcWatch sees what happens to the one connection of a probe.
type grpcWatch struct {
	tracker
	answered atomic.Bool // trailers came: the status is the server's own

	readFailed chan struct{} // closed when there is nothing more to read
	readOnce   sync.Once

	mu    sync.Mutex
	first error // the first that went wrong on the wire
}

func (w *grpcWatch) dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(w.watch(ctx), "tcp", addr)
	if err != nil {
		w.failed(err)
		return nil, err
	}
	w.reach(phaseHandshake)
	return c, nil
}

func (w *grpcWatch) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == nil {
		w.first = err
	}
}

// cause is why no answer came: what the wire said, else the deadline.
func (w *grpcWatch) cause(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	// What a cut-short dial or a connection closed by ourselves says is the
	// deadline's doing.
	if ctx.Err() != nil && (w.first == nil || errors.Is(w.first, context.Canceled) || errors.Is(w.first, net.ErrClosed)) {
		return ctx.Err()
	}
	return w.first
}

// TagRPC, HandleRPC, TagConn and HandleConn make it a stats.Handler.
func (*grpcWatch) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*grpcWatch) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*grpcWatch) HandleConn(context.Context, stats.ConnStats)                       {}
func (w *grpcWatch) HandleRPC(_ context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.InTrailer); ok {
		w.answered.Store(true)
	}
}

// watchedConn notes why reading or writing failed.
type watchedConn struct {
	net.Conn
	watch *grpcWatch
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.watch.failed(err)
		c.watch.readOnce.Do(func() { close(c.watch.readFailed) })
	}
	return n, err
}

// lastWords is how long a failed write waits for what the other end said before
// it hung up: a broken pipe does not tell, a TLS alert does.
const lastWords = 100 * time.Millisecond

func (c *watchedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		select {
		case <-c.watch.readFailed:
		case <-time.After(lastWords):
		}
		c.watch.failed(err)
	}
	return n, err
}

// watchedCreds notes why a handshake failed, and watches the connection after it.
type watchedCreds struct {
	credentials.TransportCredentials
	watch *grpcWatch
}

func (c *watchedCreds) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		c.watch.failed(err)
		return nil, nil, err
	}
	c.watch.reach(phaseWait)
	return &watchedConn{conn, c.watch}, info, nil
}

func (c *watchedCreds) Clone() credentials.TransportCredentials {
	return &watchedCreds{c.TransportCredentials.Clone(), c.watch}
}
