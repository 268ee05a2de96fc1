// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
	"github.com/faultline-otel/faultline/lab/internal/service"
	"github.com/faultline-otel/faultline/lab/internal/service/control"
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

// populate makes the slots of all processes.
func (f *Fleet) populate() error {
	for _, z := range f.zones {
		if f.opt.Single {
			break
		}
		agent := &Instance{
			Name: "agent" + z.Name[len("zone"):], Service: "agent", Kind: Collector,
			Node: f.Node("watch" + z.Name[len("zone"):]),
		}
		agent.Addr = netip.AddrPortFrom(agent.Node.Addr, 4317)
		z.Agent = agent
		if err := f.add(agent); err != nil {
			return err
		}
	}
	hub := f.Node(nodeHub)
	if err := f.add(&Instance{
		Name: "gateway", Service: "gateway", Kind: Collector, Node: hub, Addr: netip.AddrPortFrom(hub.Addr, 4317),
	}); err != nil {
		return err
	}
	for _, r := range roles {
		for i, node := range r.nodes {
			n := f.Node(node)
			in := &Instance{
				Name: fmt.Sprintf("%s-%d", r.service, i+1), Service: r.service, Version: "1.0.0", Kind: r.kind,
				Node: n, Addr: netip.AddrPortFrom(n.Addr, r.port), Calls: r.calls,
			}
			if r.kind == Load {
				in.Name = r.service
			}
			if err := f.add(in); err != nil {
				return err
			}
			f.endpoints[r.service] = append(f.endpoints[r.service], in.Addr.String())
		}
	}
	return nil
}

// Add makes a slot for one more instance of a service on a node, under a name
// of its own, and starts nothing: SetVersion and Start it, then SetEndpoints.
func (f *Fleet) Add(service, name, node string) (*Instance, error) {
	of := f.Of(service)
	if len(of) == 0 {
		return nil, fmt.Errorf("no service %q in the fleet", service)
	}
	n := f.Node(node)
	if n == nil {
		return nil, fmt.Errorf("no node %q in the fleet", node)
	}
	if f.Instance(name) != nil {
		return nil, fmt.Errorf("%s: there is one already", name)
	}
	port := of[0].Addr.Port()
	for slices.ContainsFunc(f.Instances(), func(in *Instance) bool { return in.Addr == netip.AddrPortFrom(n.Addr, port) }) {
		port += 100
	}
	in := &Instance{
		Name: name, Service: service, Version: of[0].Version, Kind: of[0].Kind,
		Node: n, Addr: netip.AddrPortFrom(n.Addr, port), Calls: of[0].Calls,
	}
	return in, f.add(in)
}

// add makes what an instance needs on the machine.
func (f *Fleet) add(in *Instance) error {
	in.fleet = f
	if err := f.groups.create(in.Name); err != nil {
		return err
	}
	if err := os.MkdirAll(in.DataDir(), 0o750); err != nil {
		return err
	}
	if in.Kind != Collector && in.Kind != Load {
		if err := mountData(f.Prefix+"-"+in.Name, in.DataDir()); err != nil {
			return err
		}
	}
	in.spec = spec{
		Netns: in.Node.Netns, Hostname: in.Node.Name, Version: in.Version,
		Hosts: filepath.Join(f.Dir, "config", "hosts"), Resolv: filepath.Join(f.Dir, "config", "resolv.conf"),
		env: map[string]string{},
	}
	for _, c := range controllers {
		in.spec.Cgroups = append(in.spec.Cgroups, f.groups.folder(c, in.Name))
	}
	in.spec.Argv = f.argv(in)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instances = append(f.instances, in)
	return nil
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

// WaitHealthy waits until every process serves and for two seconds no customer
// was turned away.
func (f *Fleet) WaitHealthy(ctx context.Context) error {
	var before service.Load
	good := 0
	for {
		var now service.Load
		var errs []error
		for _, in := range f.Instances() {
			errs = append(errs, in.ready(ctx))
		}
		text, err := f.Instance("load").Ask(ctx, control.Stats)
		if err == nil {
			err = json.Unmarshal([]byte(text), &now)
		}
		unhealthy := errors.Join(append(errs, err)...)
		if unhealthy == nil && now.Failed > before.Failed {
			unhealthy = fmt.Errorf("%d requests failed in half a second", now.Failed-before.Failed)
		}
		before = now
		good++
		if unhealthy != nil {
			good = 0
		}
		if good > 4 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("fleet is not healthy: %w: %w", ctx.Err(), unhealthy)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// Endpoints returns where callers find each service.
func (f *Fleet) Endpoints() map[string][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.endpoints)
}

// SetEndpoints sets where callers find a service; they read it anew within half
// a second. A service that is looked up by name answers with these addresses.
func (f *Fleet) SetEndpoints(service string, instances ...*Instance) error {
	f.mu.Lock()
	f.endpoints[service] = nil
	for _, in := range instances {
		f.endpoints[service] = append(f.endpoints[service], in.Addr.String())
	}
	f.mu.Unlock()
	return f.publish()
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
