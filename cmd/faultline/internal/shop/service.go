// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package shop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

// Settings say what a service is and whom it calls.
type Settings struct {
	Service, Instance string
	Listen            string        // host:port
	Next              []string      // host:port of the instances that it calls in turn
	Timeout           time.Duration // of these calls
	OTLP              string        // host:port of the Collector's OTLP/HTTP receiver
	Heartbeats        string        // host:port of the Collector's heartbeat receiver
}

// drain is how long a service that stops finishes what it has begun.
const drain = 3 * time.Second

// Run serves until ctx ends, then says so, drains, and returns.
func Run(ctx context.Context, s Settings) error {
	shutdown, err := startTelemetry(ctx, s)
	if err != nil {
		return err
	}
	beats := startHeartbeat(s)

	server := &http.Server{Addr: s.Listen, Handler: newHandler(s), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	slog.Info("serving", "instance", s.Instance, "address", s.Listen)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}

	slog.Info("stopping", "instance", s.Instance)
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	beats.stop(late)
	return errors.Join(server.Shutdown(late), shutdown(late))
}

// handler answers a payment by doing a little work and asking the next service.
type handler struct {
	next   []string
	turn   atomic.Uint64
	client *http.Client
}

func newHandler(s Settings) http.Handler {
	h := &handler{next: s.Next, client: &http.Client{Timeout: s.Timeout, Transport: otelhttp.NewTransport(http.DefaultTransport)}}
	mux := http.NewServeMux()
	mux.Handle("GET /pay", otelhttp.NewHandler(http.HandlerFunc(h.pay), "GET /pay"))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	// The demo's way to a crash with an exit status of its own.
	mux.HandleFunc("POST /debug/panic", func(http.ResponseWriter, *http.Request) {
		go panic("demo: asked to panic")
	})
	return mux
}

func (h *handler) pay(w http.ResponseWriter, r *http.Request) {
	time.Sleep(time.Duration(2+rand.IntN(6)) * time.Millisecond)
	if len(h.next) == 0 {
		fmt.Fprintln(w, "booked")
		return
	}
	if err := h.ask(r.Context()); err != nil {
		slog.Warn("payment failed", "error", err)
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	fmt.Fprintln(w, "paid")
}

// ask calls the next instance in turn.
func (h *handler) ask(ctx context.Context) error {
	target := h.next[h.turn.Add(1)%uint64(len(h.next))]
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target+"/pay", nil)
	if err != nil {
		return err
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", target, resp.Status)
	}
	return nil
}
