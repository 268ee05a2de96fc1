// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

// timeouts of calls that lead to others, which must fail first.
var timeouts = map[string]time.Duration{"web": 4 * time.Second, "checkout": 2 * time.Second}

const (
	usualTimeout = time.Second
	// connectWithin is shorter, so that it shows where it hangs.
	connectWithin = 700 * time.Millisecond
	// turnover is how often connections are made anew: a firewall, a name and a
	// certificate matter to new ones only.
	turnover = 3 * time.Second
	rightKey = "Bearer shop-lab"
)

// reply is what every service answers: checkable, and so breakable.
type reply struct {
	Service string `json:"service"`
	Value   string `json:"value"`
	Sum     string `json:"sum"` // CRC-32 of the value, in hex
}

func sumOf(value string) string {
	return strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(value))), 16)
}

// client makes the calls of a service.
type client struct {
	c         Config
	faults    *faults
	endpoints *table
	http      *http.Client
	transport *http.Transport
	pools     map[string]*pool // by callee
}

func newClient(c Config, f *faults, a *account) (*client, error) {
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(c.file("tls/ca.pem"))
	if err != nil {
		return nil, err
	}
	roots.AppendCertsFromPEM(ca)
	// Go's own resolver: it reads resolv.conf, which is the lab's.
	dialer := &net.Dialer{Timeout: connectWithin, Resolver: &net.Resolver{PreferGo: true}}
	transport := &http.Transport{
		DialContext: dialer.DialContext, MaxIdleConnsPerHost: 16, IdleConnTimeout: 10 * time.Second,
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	cl := &client{
		c: c, faults: f, endpoints: newTable(c.file(EndpointsFile)), transport: transport, pools: map[string]*pool{},
		http: &http.Client{Transport: otelhttp.NewTransport(&accounted{a, transport})},
	}
	go func() {
		for range time.Tick(turnover) {
			transport.CloseIdleConnections()
		}
	}()
	return cl, nil
}

func (cl *client) timeout() time.Duration {
	if d := cl.faults.duration(control.Timeout); d > 0 {
		return d
	}
	if d := timeouts[cl.c.Service]; d > 0 {
		return d
	}
	return usualTimeout
}

// call asks a service, and tries again as often as a retry storm wants.
func (cl *client) call(ctx context.Context, service, method, path string) (string, error) {
	if cl.faults.text(control.Breaker) == service {
		trace.SpanFromContext(ctx).RecordError(fmt.Errorf("circuit breaker %q is open and does not permit further calls", service))
		return "0", nil
	}
	for range cl.faults.number(control.Repeat) {
		_, _ = cl.once(ctx, service, method, path)
	}
	value, err := cl.once(ctx, service, method, path)
	for range cl.faults.number(control.RetryStorm) {
		if err == nil || ctx.Err() != nil {
			break
		}
		value, err = cl.once(ctx, service, method, path)
	}
	if err != nil {
		span := trace.SpanFromContext(ctx)
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	return value, err
}

func (cl *client) once(ctx context.Context, service, method, path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, calleeKey{}, service), cl.timeout())
	defer cancel()
	if p := cl.pools[service]; p != nil {
		release, err := p.acquire(ctx)
		if err != nil {
			return "", err
		}
		defer release()
	}
	host, err := cl.endpoints.next(service)
	if err != nil {
		return "", err
	}
	scheme := "http://"
	if service == "bank" {
		scheme = "https://"
	}
	req, err := http.NewRequestWithContext(ctx, method, scheme+host+path, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("User-Agent", cl.c.Service+"/"+cl.c.Version)
	key := rightKey
	if cl.faults.text(control.Credential) == "wrong" {
		key = "Bearer expired"
	}
	req.Header.Set("Authorization", key)
	resp, err := cl.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if resp.StatusCode >= 400 {
		return "", fmt.Errorf("%s answered %s: %s", service, resp.Status, strings.TrimSpace(string(body)))
	}
	return check(service, body)
}

// check says whether an answer is one: right in form, not in content.
func check(service string, body []byte) (string, error) {
	var r reply
	if err := json.Unmarshal(body, &r); err != nil {
		return "", fmt.Errorf("invalid response from %s: %w", service, err)
	}
	if r.Service == "" {
		return "", fmt.Errorf("invalid response from %s: schema: field service is missing", service)
	}
	if r.Sum != sumOf(r.Value) {
		return "", fmt.Errorf("invalid response from %s: checksum mismatch: %s, not %s", service, sumOf(r.Value), r.Sum)
	}
	return r.Value, nil
}

// errPool is how a drained pool fails.
var errPool = errors.New("timeout waiting for a connection from the pool: connection pool exhausted")

// pool is a pool of connections as database clients have it: so many calls at a
// time, the others wait.
type pool struct {
	faults *faults
	size   int
	used   chan struct{}
	meter  poolMeter
}

const poolWait = 500 * time.Millisecond

func newPool(name string, size int, f *faults) (*pool, error) {
	p := &pool{faults: f, size: size, used: make(chan struct{}, size)}
	return p, p.meter.register(otel.Meter("lab"), name, p)
}

// limit is how many connections there are at the moment.
func (p *pool) limit() int {
	if n := p.faults.number(control.ShrinkPool); n > 0 && n < p.size {
		return n
	}
	return p.size
}

// acquire takes a connection.
func (p *pool) acquire(ctx context.Context) (release func(), err error) {
	p.meter.waiting.Add(1)
	defer p.meter.waiting.Add(-1)
	deadline := time.NewTimer(poolWait)
	defer deadline.Stop()
	// A pool that was shrunk has slots that nobody may use.
	for len(p.used) >= p.limit() && p.limit() < p.size {
		select {
		case <-deadline.C:
			p.meter.timeouts.Add(1)
			return nil, fmt.Errorf("%w (%d in use)", errPool, len(p.used))
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	select {
	case p.used <- struct{}{}:
	case <-deadline.C:
		p.meter.timeouts.Add(1)
		return nil, fmt.Errorf("%w (%d in use)", errPool, len(p.used))
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return func() {
		if d := p.faults.duration(control.HoldPool); d > 0 {
			time.AfterFunc(d, func() { <-p.used })
			return
		}
		<-p.used
	}, nil
}
