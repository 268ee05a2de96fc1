// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

// runProxy runs a proxy as they stand at the edge of many fleets: it knows
// nothing of telemetry, and turns every failure of its upstream into a 503.
func runProxy(ctx context.Context, c Config) error {
	d, err := newDoor(c.Listen)
	if err != nil {
		return err
	}
	f := newFaults()
	mischief(f, c, d)
	f.on(control.Ready, func([]string) (string, error) { return "", nil })
	upstreams := newTable(c.file(EndpointsFile))
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			host, err := upstreams.next("search")
			if err != nil {
				host = "127.0.0.1:1" // refused, as by a proxy without upstreams
			}
			r.Out.URL.Scheme, r.Out.URL.Host = "http", host
		},
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: time.Second}).DialContext, ResponseHeaderTimeout: 2 * time.Second,
			MaxIdleConnsPerHost: 16, IdleConnTimeout: turnover,
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			http.Error(w, "upstream connect error or disconnect/reset before headers", http.StatusServiceUnavailable)
		},
		ModifyResponse: func(r *http.Response) error {
			if r.StatusCode >= 500 {
				_ = r.Body.Close()
				r.StatusCode, r.Status = http.StatusServiceUnavailable, "503 Service Unavailable"
				text := "no healthy upstream\n"
				r.Body = io.NopCloser(strings.NewReader(text))
				r.ContentLength = int64(len(text))
				r.Header.Set("Content-Type", "text/plain")
				r.Header.Set("Content-Length", "20")
			}
			return nil
		},
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.gate.RLock()
		f.gate.RUnlock() //nolint:staticcheck // passing the gate is all: in a deadlock nobody passes
		f.delay()
		switch {
		case f.hits(control.Reject):
			http.Error(w, "too many requests", http.StatusTooManyRequests)
		case f.hits(control.Error500):
			http.Error(w, "internal error", http.StatusInternalServerError)
		default:
			proxy.ServeHTTP(w, r)
		}
	})
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = server.Serve(d) }()
	if err := control.Serve(c.Socket, f.do); err != nil {
		return err
	}
	<-ctx.Done()
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if server.Shutdown(late) != nil {
		_ = server.Close()
	}
	return nil
}

// runDNS runs the fleet's resolver, for the names in NamesFile.
func runDNS(ctx context.Context, c Config) error {
	f := newFaults()
	var closed atomic.Bool
	f.on(control.Ready, func([]string) (string, error) { return "", nil })
	f.on(control.Close, func([]string) (string, error) { closed.Store(true); return "", nil })
	f.on(control.Listen, func([]string) (string, error) { closed.Store(false); return "", nil })
	f.on(control.Reset, func([]string) (string, error) { closed.Store(false); f.reset(); return "", nil })
	conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", c.Listen)
	if err != nil {
		return err
	}
	if err := control.Serve(c.Socket, f.do); err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		_ = conn.Close()
	}()
	table := newTable(c.file(NamesFile))
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil // it was stopped
		}
		if err != nil {
			return err
		}
		if closed.Load() {
			continue
		}
		f.delay()
		if out := resolve(buf[:n], table, f); out != nil {
			_, _ = conn.WriteTo(out, from)
		}
	}
}

// resolve answers a query; nil where it is none.
func resolve(query []byte, table *table, f *faults) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil || header.Response {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	name := strings.TrimSuffix(q.Name.String(), ".")
	// One address a query, in turn: resolvers sort several by nearness.
	var addresses []string
	if a, err := table.next(name); err == nil {
		addresses = []string{a}
	}
	reply := dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true}
	gone, told := f.told(control.NameGone)
	if len(addresses) == 0 || told && (len(gone) == 0 || slices.Contains(gone, name)) {
		reply.RCode, addresses = dnsmessage.RCodeNameError, nil
	}
	b := dnsmessage.NewBuilder(nil, reply)
	b.EnableCompression()
	if b.StartQuestions() != nil || b.Question(q) != nil || b.StartAnswers() != nil {
		return nil
	}
	for _, a := range addresses {
		ip, err := netip.ParseAddr(a)
		if err != nil || q.Type != dnsmessage.TypeA {
			continue
		}
		rh := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
		if b.AResource(rh, dnsmessage.AResource{A: ip.As4()}) != nil {
			return nil
		}
	}
	out, err := b.Finish()
	if err != nil {
		return nil
	}
	return out
}
