// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package probe looks at targets from outside: at endpoints by asking them, at
// processes of the same host by asking the kernel. What an outcome means is
// decided elsewhere; here each way of failing is kept apart from the others.
package probe

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Prober looks at one target. It is not safe for concurrent use.
type Prober interface {
	// Probe takes at most the target's timeout.
	Probe(ctx context.Context) Result
	// Close frees what is kept between probes; it may be called twice.
	Close() error
}

// New builds the prober of a target whose configuration is valid. It contacts
// nothing. It fails if a TLS file cannot be read, and for a process target on
// another system than Linux.
func New(ctx context.Context, cfg *Config) (Prober, error) {
	p := &prober{timeout: cfg.Timeout}
	if p.timeout <= 0 {
		p.timeout = defaultTimeout
	}
	var err error
	if cfg.Process != (ProcessConfig{}) {
		p.target, err = newProcess(cfg.Process)
		return p.orError(err)
	}
	ep, err := parseEndpoint(cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	expect, err := newExpectation(cfg.Expect)
	if err != nil {
		return nil, err
	}
	switch ep.kind {
	case "http":
		p.target, err = newHTTP(ctx, cfg, ep, expect)
	case "grpc":
		p.target, err = newGRPC(ctx, cfg, ep)
	case "tcp":
		p.target = &tcpTarget{address: ep.address, expect: expect}
	case "dns":
		p.target = newDNS(ep, cfg.Expect.Addresses)
	}
	return p.orError(err)
}

// target is one kind of prober; its context has a deadline.
type target interface {
	probe(ctx context.Context) Result
	close()
}

type prober struct {
	target  target
	timeout time.Duration
}

func (p *prober) orError(err error) (Prober, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (p *prober) Probe(parent context.Context) Result {
	ctx, cancel := context.WithTimeout(parent, p.timeout)
	defer cancel()
	r := p.target.probe(ctx)
	if errors.Is(parent.Err(), context.Canceled) {
		// Whatever failed may have failed because we gave up: nobody is to blame.
		return Result{}
	}
	r.Message = oneLine(r.Message)
	return r
}

func (p *prober) Close() error {
	p.target.close()
	return nil
}
