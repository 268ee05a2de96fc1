// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// ErrNoRoot is returned by Start where namespaces and control groups cannot be made.
var ErrNoRoot = errors.New("the fleet needs root on Linux, for network namespaces and control groups: run as root")

// Options say what fleet to start.
type Options struct {
	Dir       string    // run's folder, made if it is not there; the ledger's files are written into it
	Seed      uint64    // of the load
	Rate      float64   // requests a second from outside, all routes together; 0: DefaultRate
	Single    bool      // no agents: one Collector, with the shipped sidecar.yaml, does it all
	Raw       bool      // keep all that reaches the gateway
	Daily     bool      // let the rate swing like a day of 10 minutes, by half
	Out       io.Writer // progress for a person; nil: none
	Collector string    // the Collector's binary; "": bin/otelcol-faultline of the work tree
	Clients   string    // folder with the other languages' dependencies; "": .cache/lab of the work tree
	Program   string    // program whose main begins with Main; "": this one

	root string // of the work tree
}

// DefaultRate is the load that leaves two cores room, in requests a second.
const DefaultRate = 40

// Fleet is a running fleet. Its methods may be called by several goroutines.
type Fleet struct {
	Dir    string
	Prefix string // of all names that the fleet made on this machine
	Switch string // namespace in which the bridge is, and the other end of each node's cable

	opt    Options
	zones  []*Zone
	nodes  []*Node
	groups *groups

	mu        sync.Mutex
	instances []*Instance // in the order in which they are started
	endpoints map[string][]string
	closed    bool
}

// Zones returns the zones: zone-a, zone-b, zone-c.
func (f *Fleet) Zones() []*Zone { return f.zones }

// Nodes returns all nodes, those of the gateway and of the load included.
func (f *Fleet) Nodes() []*Node { return f.nodes }

// Node returns the node with this name, or nil.
func (f *Fleet) Node(name string) *Node {
	for _, n := range f.nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Instances returns all processes of the fleet, Collectors included.
func (f *Fleet) Instances() []*Instance {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.instances)
}

// Instance returns the process with this name ("payment-1", "agent-a",
// "gateway", "load"), or nil.
func (f *Fleet) Instance(name string) *Instance {
	for _, in := range f.Instances() {
		if in.Name == name {
			return in
		}
	}
	return nil
}

// Of returns the instances of a service.
func (f *Fleet) Of(service string) []*Instance {
	var of []*Instance
	for _, in := range f.Instances() {
		if in.Service == service {
			of = append(of, in)
		}
	}
	return of
}

// Gateway returns the Collector whose engine judges.
func (f *Fleet) Gateway() *Instance { return f.Instance("gateway") }

// Rate is how many requests a second usually come from outside.
func (f *Fleet) Rate() float64 { return f.opt.Rate }

// SetLoad sets the requests a second that come from outside.
func (f *Fleet) SetLoad(ctx context.Context, rate float64) error {
	return f.Instance("load").Command(ctx, "rate", fmt.Sprint(rate))
}

// File returns the path of one of the ledger's files.
func (f *Fleet) File(name string) string { return filepath.Join(f.Dir, name) }

func (f *Fleet) say(format string, a ...any) {
	if f.opt.Out != nil {
		fmt.Fprintf(f.opt.Out, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, a...)...)
	}
}

// Available says why no fleet can be started here; nil: one can.
func Available() error {
	if os.Geteuid() != 0 {
		return ErrNoRoot
	}
	return available()
}
