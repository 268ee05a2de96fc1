// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/probe"
)

// target is something that this receiver probes, and the account of it.
type target struct {
	name     string // endpoint, or "process:…"
	id       *identity
	interval time.Duration
	prober   probe.Prober

	mu     sync.Mutex
	checks map[string]int64 // probes so far, by outcome
	latest probe.Result
}

// newTargets makes a prober for each target. A target that cannot be set up is
// an error that names it, and those made before it are closed.
func newTargets(ctx context.Context, cfgs []probe.Config, host component.Host, set component.TelemetrySettings) ([]*target, error) {
	var targets []*target
	for i := range cfgs {
		c := &cfgs[i]
		p, err := probe.New(ctx, c, host, set)
		if err != nil {
			err = fmt.Errorf("targets::%d: %w", i, err)
			for _, t := range targets {
				err = errors.Join(err, t.prober.Close())
			}
			return nil, err
		}
		targets = append(targets, &target{
			name: c.Target(),
			id: &identity{
				service: c.Service, instance: c.Instance, namespace: c.Namespace,
				environment: c.Environment, zone: c.Zone, version: c.Version,
			},
			interval: c.CollectionInterval,
			prober:   p,
			checks:   map[string]int64{},
		})
	}
	return targets, nil
}

// watch probes t at its interval, beginning at a random moment of the first one
// so that many targets do not burst together. Probes of one target never
// overlap: those for which there is no time are left out and counted.
func (r *heartbeatReceiver) watch(ctx context.Context, t *target) {
	due := time.Now().Add(rand.N(t.interval))
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		result := t.prober.Probe(ctx) // bounded by the target's timeout
		if ctx.Err() != nil {
			return // the shutdown broke it off: it says nothing about the target
		}
		if result.Outcome != "" {
			r.probed(t, result)
		}
		due = due.Add(t.interval)
		if behind := time.Since(due); behind >= 0 {
			missed := behind/t.interval + 1
			due = due.Add(missed * t.interval)
			r.telemetry.ReceiverHeartbeatProbesSkipped.Add(ctx, int64(missed))
		}
		timer.Reset(time.Until(due))
	}
}

// probed notes a result and hands it on.
func (r *heartbeatReceiver) probed(t *target, result probe.Result) {
	at := r.now()
	t.mu.Lock()
	t.checks[result.Outcome]++
	t.latest = result
	t.mu.Unlock()
	if r.batch == nil {
		return
	}
	if !r.batch.reserve(1) {
		r.refused(1, reasonQueueFull)
		return
	}
	q := r.batch
	q.mu.Lock()
	res, lr := newRecord(q.current.ResourceLogs())
	t.id.putTo(res)
	attrs := lr.Attributes()
	attrs.EnsureCapacity(8)
	r.stamper.put(lr, at)
	attrs.PutStr(contract.HeartbeatTarget, t.name)
	attrs.PutDouble(contract.HeartbeatInterval, t.interval.Seconds())
	putStr(attrs, contract.HeartbeatZone, t.id.zone)
	result.PutTo(attrs)
	lr.Body().SetStr(probeSentence(t.name, result))
	q.added()
	q.mu.Unlock()
	r.accepted(1, sourceProbe)
}

func probeSentence(name string, result probe.Result) string {
	s := "probe of " + name + ": " + result.Outcome
	if result.Message != "" {
		s += ": " + result.Message
	}
	return s
}
