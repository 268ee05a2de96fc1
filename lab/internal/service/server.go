// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"

	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

// drain is how long a service that stops finishes what it has begun.
const drain = 3 * time.Second

// app is one running service.
type app struct {
	c       Config
	faults  *faults
	client  *client
	account *account
	mux     *http.ServeMux
	door    *door
	trouble error        // of what could not be built
	served  atomic.Int64 // answers, of the counter that can run backwards

	digest func() string                   // of its state, for heartbeats; nil: none
	begin  func(ctx context.Context)       // what runs beside the server; nil: nothing
	serve  func() (stop func(), err error) // instead of HTTP; nil: HTTP
}

// runService serves until ctx ends, then says so, drains, and returns.
func runService(ctx context.Context, c Config) error {
	shutdown, err := startTelemetry(ctx, c)
	if err != nil {
		return err
	}
	a, err := newApp(c)
	if err != nil {
		return err
	}
	var ready atomic.Bool
	a.faults.on(control.Ready, func([]string) (string, error) {
		if !ready.Load() {
			return "", errors.New("starting")
		}
		return "", nil
	})
	mischief(a.faults, c, a.door)
	if err := control.Serve(c.Socket, a.faults.do); err != nil {
		return err
	}
	var beats *heart
	if c.Agent != "" {
		beats = startHeart(c, a.faults, a.digest)
	}
	stop, err := a.start()
	if err != nil {
		return err
	}
	background, cancelBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelBackground()
	if a.begin != nil {
		go a.begin(background)
	}
	ready.Store(true)
	slog.Info("serving", "address", c.Listen)
	<-ctx.Done()

	slog.Info("stopping")
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if beats != nil {
		beats.stop(late)
	}
	stop()
	cancelBackground()
	flush, cancelFlush := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancelFlush()
	_ = shutdown(flush) // an agent that is away costs the last batch, not the exit status
	return nil
}

func newApp(c Config) (*app, error) {
	f := newFaults()
	account, err := openAccount(c)
	if err != nil {
		return nil, err
	}
	cl, err := newClient(c, f, account)
	if err != nil {
		return nil, err
	}
	d, err := newDoor(c.Listen)
	if err != nil {
		return nil, err
	}
	a := &app{c: c, faults: f, client: cl, account: account, mux: http.NewServeMux(), door: d}
	if err := a.count(); err != nil {
		return nil, err
	}
	a.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	a.mux.HandleFunc("GET /known", a.known)
	build, ok := shop[c.Service]
	if !ok {
		return nil, fmt.Errorf("no service %q", c.Service)
	}
	build(a)
	return a, a.trouble
}

// count makes the counter that can run backwards.
func (a *app) count() error {
	_, err := otel.Meter("lab").Int64ObservableCounter("shop.answers", metric.WithUnit("{answer}"),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			n := a.served.Load()
			if a.faults.is(control.Backwards) {
				n = max(0, 1_000_000-n)
			}
			o.Observe(n)
			return nil
		}))
	return err
}

// start serves HTTP, or what the service has instead.
func (a *app) start() (stop func(), err error) {
	if a.serve != nil {
		return a.serve()
	}
	server := &http.Server{Handler: a.mux, ReadHeaderTimeout: 5 * time.Second}
	l := net.Listener(a.door)
	if a.c.Service == "bank" {
		l, err = a.encrypted()
		if err != nil {
			return nil, err
		}
		server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	}
	go func() { _ = server.Serve(l) }()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			_ = server.Close()
		}
	}, nil
}

// encrypted serves TLS with the certificate that the lab wants it to show.
func (a *app) encrypted() (net.Listener, error) {
	var pairs [2]tls.Certificate
	for i, name := range []string{"tls/good.pem", "tls/expired.pem"} {
		var err error
		if pairs[i], err = tls.LoadX509KeyPair(a.c.file(name), a.c.file(name+".key")); err != nil {
			return nil, err
		}
	}
	return tls.NewListener(a.door, &tls.Config{
		MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if a.faults.is(control.Expired) {
				return &pairs[1], nil
			}
			return &pairs[0], nil
		},
	}), nil
}

// handle serves a route: instrumented, if the service is, with what the lab
// does to it inside of the span.
func (a *app) handle(pattern string, answer func(r *http.Request) (string, error)) {
	h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.answer(w, r, answer) }))
	if a.c.Agent != "" {
		h = otelhttp.NewHandler(h, pattern)
	}
	a.mux.Handle(pattern, h)
}

func (a *app) answer(w http.ResponseWriter, r *http.Request, answer func(r *http.Request) (string, error)) {
	f := a.faults
	f.gate.RLock()
	f.gate.RUnlock() //nolint:staticcheck // passing the gate is all: in a deadlock nobody passes
	f.delay()
	f.work()
	caller, _ := callerOf(r.UserAgent(), r.RemoteAddr)
	switch {
	case f.hits(control.Reject) || f.quota.exceeded(caller, f.number(control.Quota)):
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests: quota exceeded", http.StatusTooManyRequests)
		return
	case f.hits(control.Error500):
		slog.ErrorContext(r.Context(), "unexpected state of the order", "order", r.URL.Path)
		http.Error(w, "internal error: unexpected state", http.StatusInternalServerError)
		return
	case r.Header.Get("Authorization") != rightKey && a.c.Service != "web":
		http.Error(w, "unknown key", http.StatusUnauthorized)
		return
	}
	if f.hits(control.Pretend) {
		w.Header().Set(wrongHeader, "1")
		a.write(w, r, "0")
		return
	}
	value, err := answer(r)
	if err != nil {
		slog.ErrorContext(r.Context(), "request failed", "route", r.URL.Path, "error", err)
		status := http.StatusBadGateway
		var own *ownError
		if errors.As(err, &own) {
			status = http.StatusInternalServerError
		}
		http.Error(w, err.Error(), status)
		return
	}
	a.write(w, r, value)
}

// ownError is a failure of the service itself, not of one that it calls.
type ownError struct{ error }

func (e *ownError) Unwrap() error { return e.error }

// write writes an answer, or what the lab makes of it.
func (a *app) write(w http.ResponseWriter, r *http.Request, value string) {
	if a.faults.lies(callerOf(r.UserAgent(), r.RemoteAddr)) {
		w.Header().Set(wrongHeader, "1")
		value = wrongValue(value)
	}
	out := reply{Service: a.c.Service, Value: value, Sum: sumOf(value)}
	if a.faults.hits(control.Invalid) {
		w.Header().Set(wrongHeader, "1")
		out.Sum = sumOf(value + "x")
	}
	a.served.Add(1)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // the caller may be gone
}

func wrongValue(value string) string { return value + "1" }

// known answers what everybody knows.
func (a *app) known(w http.ResponseWriter, r *http.Request) {
	a.faults.gate.RLock()
	a.faults.gate.RUnlock() //nolint:staticcheck // as above
	text := KnownAnswer(a.c.Service)
	if a.faults.lies(callerOf(r.UserAgent(), r.RemoteAddr)) {
		text = wrongValue(text)
	}
	_, _ = w.Write([]byte(text))
}

// callerOf says which service calls, and from which zone.
func callerOf(agent, remote string) (service, zone string) {
	service, _, _ = strings.Cut(agent, "/")
	host, _, _ := net.SplitHostPort(remote)
	if parts := strings.Split(host, "."); len(parts) == 4 {
		switch parts[2] {
		case "1", "2", "3":
			zone = "zone-" + string('a'+parts[2][0]-'1')
		}
	}
	return service, zone
}
