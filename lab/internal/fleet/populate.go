// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
)

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

// Remove ends what runs in a slot that Add made, if anything does, and takes the
// slot away. What it made on the machine goes with the fleet.
func (f *Fleet) Remove(ctx context.Context, in *Instance) error {
	if in.PID() != 0 {
		if err := in.Stop(ctx); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instances = slices.DeleteFunc(f.instances, func(other *Instance) bool { return other == in })
	return nil
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
