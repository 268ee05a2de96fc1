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

	"go.opentelemetry.io/collector/pdata/plog"

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
func newTargets(ctx context.Context, cfgs []probe.Config) ([]*target, error) {
	var targets []*target
	for i := range cfgs {
		c := &cfgs[i]
		p, err := probe.New(ctx, c)
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

// watch probes t at its interval.
func (r *heartbeatReceiver) watch(ctx context.Context, t *target) {
	r.every(ctx, t.interval, func() {
		result := t.prober.Probe(ctx) // bounded by the target's timeout
		// What the shutdown broke off says nothing about the target.
		if ctx.Err() == nil && result.Outcome != "" {
			r.probed(t, result)
		}
	})
}

// every looks at its interval, beginning at a random moment of the first one so
// that many do not burst together. Looks never overlap: those for which there is
// no time are left out and counted.
func (r *heartbeatReceiver) every(ctx context.Context, interval time.Duration, look func()) {
	due := time.Now().Add(rand.N(interval))
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		look()
		if ctx.Err() != nil {
			return
		}
		due = due.Add(interval)
		if behind := time.Since(due); behind >= 0 {
			missed := behind/interval + 1
			due = due.Add(missed * interval)
			r.telemetry.ReceiverHeartbeatProbesSkipped.Add(ctx, int64(missed))
		}
		timer.Reset(time.Until(due))
	}
}

// probed notes a result and hands it on.
func (r *heartbeatReceiver) probed(t *target, result probe.Result) {
	t.mu.Lock()
	t.checks[result.Outcome]++
	t.latest = result
	t.mu.Unlock()
	r.tell(t.id, t.name, t.interval, result, nil)
}

// tell hands on what was seen of a target that stands for id.
func (r *heartbeatReceiver) tell(id *identity, name string, interval time.Duration, result probe.Result, addresses []string) {
	at := r.now()
	if r.batch == nil {
		return
	}
	if !r.batch.reserve(1) {
		r.refused(1, reasonQueueFull)
		return
	}
	r.batch.add(func(dst plog.ResourceLogsSlice) {
		res, lr := newRecord(dst)
		id.putTo(res)
		attrs := lr.Attributes()
		attrs.EnsureCapacity(8)
		r.stamper.put(lr, at)
		attrs.PutStr(contract.HeartbeatTarget, name)
		attrs.PutDouble(contract.HeartbeatInterval, interval.Seconds())
		putStr(attrs, contract.HeartbeatZone, id.zone)
		if len(addresses) > 0 {
			list := attrs.PutEmptySlice(contract.HeartbeatAddresses)
			list.EnsureCapacity(len(addresses))
			for _, a := range addresses {
				list.AppendEmpty().SetStr(a)
			}
		}
		result.PutTo(attrs)
		lr.Body().SetStr(probeSentence(name, result))
	})
	r.accepted(1, sourceProbe)
}

func probeSentence(name string, result probe.Result) string {
	s := "probe of " + name + ": " + result.Outcome
	if result.Message != "" {
		s += ": " + result.Message
	}
	return s
}
