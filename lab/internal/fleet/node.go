// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
)

// Node is a network namespace with one address, a host name of its own, and a
// cable to the bridge.
type Node struct {
	Name  string // also its host.name
	Zone  string // "" outside of the zones
	Addr  netip.Addr
	Netns string // name of the namespace; the node's end of the cable is eth0
	Cable string // name of the cable's other end, in the namespace Fleet.Switch

	mu   sync.Mutex
	wire *wire // in the cable while it is shaped; nil: none
}

// Run runs a program in the node's network, such as "ip route add blackhole …",
// and returns what it wrote.
func (n *Node) Run(ctx context.Context, program string, args ...string) (string, error) {
	return ip(ctx, append([]string{"netns", "exec", n.Netns, program}, args...)...)
}

// Client makes HTTP requests from the node: what a program on it would see.
func (n *Node) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialIn(ctx, n.Netns, network, address)
		},
	}}
}

// On returns the instances on a node, Collectors included.
func (f *Fleet) On(node string) []*Instance {
	return slices.DeleteFunc(f.Instances(), func(in *Instance) bool { return in.Node.Name != node })
}

// ip runs the command ip; what it wrote is part of the error.
func ip(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// lay lays the network: the bridge, and each node's cable to it.
func (f *Fleet) lay(ctx context.Context) error {
	var steps [][]string
	step := func(line string, a ...any) { steps = append(steps, strings.Fields(fmt.Sprintf(line, a...))) }
	step("netns add %s", f.Switch)
	step("-n %s link set lo up", f.Switch)
	step("-n %s link add br0 type bridge", f.Switch)
	step("-n %s link set br0 up", f.Switch)
	for _, n := range f.nodes {
		step("netns add %s", n.Netns)
		step("-n %s link add %s type veth peer name eth0 netns %s", f.Switch, n.Cable, n.Netns)
		step("-n %s link set %s master br0 up", f.Switch, n.Cable)
		step("-n %s link set lo up", n.Netns)
		step("-n %s addr add %s/%d dev eth0", n.Netns, n.Addr, network.Bits())
		step("-n %s link set eth0 up", n.Netns)
	}
	for _, s := range steps {
		if _, err := ip(ctx, s...); err != nil {
			return err
		}
	}
	return nil
}

// direct plugs a node's cable into the bridge again.
func (f *Fleet) direct(ctx context.Context, node *Node) error {
	return f.batch(ctx, "link del w-"+node.Cable, "link set "+node.Cable+" master br0")
}

// batch gives commands to ip in the bridge's namespace, all in one go: meanwhile a
// cable is unplugged.
func (f *Fleet) batch(ctx context.Context, lines ...string) error {
	file, err := os.CreateTemp(f.Dir, "ip-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString(strings.Join(lines, "\n") + "\n")
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	_, err = ip(ctx, "-n", f.Switch, "-batch", file.Name())
	return err
}
