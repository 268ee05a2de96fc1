// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
)

const maxRedirects = 5

// httpTarget asks over HTTP/1.1.
type httpTarget struct {
	method, url string
	header      http.Header
	host        string
	follow      bool
	expect      expectation
	transport   *http.Transport
}

func newHTTP(ctx context.Context, cfg *Config, ep endpoint, expect expectation) (*httpTarget, error) {
	t := &httpTarget{
		method: cfg.Method, url: ep.url, header: http.Header{}, follow: cfg.FollowRedirects, expect: expect,
		transport: &http.Transport{
			// A kept connection would hide that nobody listens any more, and a
			// proxy from the environment would answer in the target's place.
			DisableKeepAlives:      true,
			Proxy:                  nil,
			DialContext:            new(net.Dialer).DialContext,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true, // the digest is of what was sent
		},
	}
	t.header.Set("User-Agent", "faultline-probe")
	for name, value := range cfg.Headers.Iter {
		t.header.Set(name, string(value))
	}
	// net/http takes the host from elsewhere than from the headers.
	t.host = t.header.Get("Host")
	t.header.Del("Host")
	var err error
	t.transport.TLSClientConfig, err = loadTLS(ctx, cfg)
	return t, err
}

func loadTLS(ctx context.Context, cfg *Config) (*tls.Config, error) {
	c, err := cfg.TLS.LoadTLSConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	if c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12} // `insecure: true` has no meaning where the scheme decides
	}
	return c, nil
}

func (t *httpTarget) probe(ctx context.Context) Result {
	var at tracker
	req, err := http.NewRequestWithContext(at.watch(ctx), t.method, t.url, nil)
	if err != nil {
		return Result{Outcome: contract.OutcomeError, Message: err.Error()}
	}
	req.Header, req.Host = t.header.Clone(), t.host
	client := http.Client{Transport: t.transport, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if !t.follow {
			return http.ErrUseLastResponse
		}
		if len(via) > maxRedirects {
			return errTooManyRedirects
		}
		at.again()
		return nil
	}}
	start := time.Now()
	resp, err := client.Do(req)
	if errors.Is(err, errTooManyRedirects) {
		return Result{Outcome: contract.OutcomeError, RTT: time.Since(start), Message: errTooManyRedirects.Error()}
	}
	if err != nil {
		return failure(err, at.phase())
	}
	defer resp.Body.Close()
	at.reach(phaseAnswer)
	// It is read even if nothing is expected of it: an answer that never ends is none.
	var body bytes.Buffer
	sink := io.Discard
	if t.expect.ofBody() {
		sink = &body
	}
	n, err := io.Copy(sink, io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return failure(err, phaseAnswer)
	}
	rtt := time.Since(start)
	r := Result{}
	if r.Outcome, r.Message = t.expect.checkStatus(resp.StatusCode); r.Outcome == contract.OutcomeOK && t.expect.ofBody() {
		r = t.expect.checkBody(body.Bytes()[:min(n, maxBody)], n > maxBody)
	}
	r.RTT = rtt
	if loc := resp.Header.Get("Location"); r.Message != "" && loc != "" && !t.follow {
		r.Message += ", a redirect (follow_redirects is off)"
	}
	return r
}

var errTooManyRedirects = fmt.Errorf("more than %d redirects", maxRedirects)

func (t *httpTarget) close() { t.transport.CloseIdleConnections() }
