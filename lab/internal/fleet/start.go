// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// Start starts a fleet and returns once every process serves. The end of ctx
// does not end the fleet: Close does. On an error nothing is left behind.
func Start(ctx context.Context, opt Options) (_ *Fleet, err error) {
	if err := Available(); err != nil {
		return nil, err
	}
	if err := opt.complete(); err != nil {
		return nil, err
	}
	if err := sweep(); err != nil {
		return nil, fmt.Errorf("what a killed run left: %w", err)
	}
	prefix, err := claim()
	if err != nil {
		return nil, err
	}
	f := &Fleet{
		Dir: opt.Dir, Prefix: prefix, Switch: prefix + "-sw", opt: opt,
		groups: &groups{prefix}, endpoints: map[string][]string{},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	f.zones, f.nodes = plan(prefix)
	if err := f.prepare(); err != nil {
		return f, err
	}
	f.say("laying the network: %d nodes in %d zones, namespaces %s-*", len(f.nodes), len(f.zones), prefix)
	if err := f.lay(ctx); err != nil {
		return f, err
	}
	if err := f.populate(); err != nil {
		return f, err
	}
	if err := f.publish(); err != nil {
		return f, err
	}
	if err := f.watch(); err != nil {
		return f, err
	}
	return f, f.startAll(ctx)
}

func (o *Options) complete() (err error) {
	if o.Dir == "" {
		return errors.New("fleet: Dir: must not be empty: write the run's folder")
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return err
	}
	if o.Rate == 0 {
		o.Rate = DefaultRate
	}
	if o.Rate < 0 || o.Rate > 1000 {
		return fmt.Errorf("fleet: Rate: %v is not between 0 and 1000 requests a second", o.Rate)
	}
	root, err := workTree()
	if err != nil {
		return err
	}
	o.root = root
	for _, p := range []struct {
		path      *string
		usual     string
		otherwise string
	}{
		{&o.Collector, filepath.Join(root, "bin", "otelcol-faultline"), "run make bin/otelcol-faultline"},
		{&o.Clients, filepath.Join(root, ".cache", "lab"), "run make lab-clients"},
	} {
		if *p.path == "" {
			*p.path = p.usual
		}
		if _, err := os.Stat(*p.path); err != nil {
			return fmt.Errorf("fleet: %w: %s", err, p.otherwise)
		}
	}
	if o.Program == "" {
		if o.Program, err = os.Executable(); err != nil {
			return err
		}
	}
	return nil
}

// workTree is the folder of the repository: the nearest one above that has the
// shipped configurations.
func workTree() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "distribution", "config", "agent.yaml")); err == nil {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("fleet: %s is not in Faultline's work tree: start the lab there", dir)
		}
	}
}

// prepare makes the run's folders and what is in them for all processes.
func (f *Fleet) prepare() error {
	for _, d := range []string{"run", "logs", "data", "state", "config", "tls"} {
		if err := os.MkdirAll(filepath.Join(f.Dir, d), 0o750); err != nil {
			return err
		}
	}
	// So that a reader finds it from the beginning.
	calls, err := os.OpenFile(f.File(ledger.CallsFile), os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := calls.Close(); err != nil {
		return err
	}
	return certify(filepath.Join(f.Dir, "tls"))
}

// startAll starts the services, each after those that it calls, then the
// Collectors, so that nobody is missed who was not there yet, then the load.
func (f *Fleet) startAll(ctx context.Context) error {
	all := f.Instances()
	f.say("starting %d processes", len(all))
	up := map[string]*sync.WaitGroup{} // by service
	for _, in := range all {
		if up[in.Service] == nil {
			up[in.Service] = new(sync.WaitGroup)
		}
		up[in.Service].Add(1)
	}
	for _, kinds := range [][]Kind{{Service, Stock, Bare}, {Collector}, {Load}} {
		var wg sync.WaitGroup
		errs := make([]error, len(all))
		for i, in := range all {
			if !slices.Contains(kinds, in.Kind) {
				continue
			}
			wg.Go(func() {
				defer up[in.Service].Done()
				for _, callee := range in.Calls {
					if callee != in.Service {
						up[callee].Wait()
					}
				}
				errs[i] = in.Start(ctx)
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	return nil
}

// Close ends every process of the fleet and removes all that it made on the
// machine but the run's folder. It may be called twice.
func (f *Fleet) Close() error {
	f.mu.Lock()
	closed := f.closed
	f.closed = true
	f.mu.Unlock()
	if closed {
		return nil
	}
	for _, n := range f.nodes {
		n.mu.Lock()
		if n.wire != nil {
			n.wire.close()
			n.wire = nil
			_ = f.direct(context.Background(), n) // its namespace goes in a moment
		}
		n.mu.Unlock()
	}
	// Customers first, Collectors last, so that the end is in the record.
	all := f.Instances()
	for _, kinds := range [][]Kind{{Load}, {Service, Stock, Bare}, {Collector}} {
		var wg sync.WaitGroup
		for _, in := range all {
			if slices.Contains(kinds, in.Kind) && in.PID() != 0 {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
					defer cancel()
					_ = in.ResetCgroup()
					_ = in.Resume()
					_ = in.Stop(ctx) // at worst it was killed
				})
			}
		}
		wg.Wait()
		if kinds[0] == Service {
			time.Sleep(time.Second) // the last batches
		}
	}
	return cleanUp(f.Prefix)
}
