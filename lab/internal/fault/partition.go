// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/fleet"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

const partition = "network_partition"

var paths = []string{"spans", "probes", "two_sided"}

// links are both ways to write a link.
func links(a, b string) []ledger.Culprit {
	return []ledger.Culprit{{Type: "link", Name: a + "→" + b}, {Type: "link", Name: b + "→" + a}}
}

// shaped puts a shape on nodes and takes it off again.
func shaped(f *fleet.Fleet, nodes []*fleet.Node, culprits []ledger.Culprit, s fleet.Shape) Aimed {
	return Aimed{
		Culprits: culprits,
		Inject: func(ctx context.Context) error {
			return each(nodes, func(n *fleet.Node) error { return f.Shape(ctx, n, s) })
		},
		Heal: func(ctx context.Context) error {
			return each(nodes, func(n *fleet.Node) error { return f.Shape(ctx, n) })
		},
	}
}

// pair chooses two zones.
func pair(f *fleet.Fleet, dice *rand.Rand) (a, b *fleet.Zone) {
	z := f.Zones()
	i := dice.IntN(len(z))
	return z[i], z[(i+1+dice.IntN(len(z)-1))%len(z)]
}

// between shapes what goes between two zones.
func between(s fleet.Shape) func(*fleet.Fleet, *rand.Rand) Aimed {
	return func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		a, b := pair(f, dice)
		s.To = []netip.Prefix{b.Subnet}
		return shaped(f, f.NodesIn(a), links(a.Name, b.Name), s)
	}
}

var partitions = []Entry{
	{Name: "zone_cut", Kind: ledger.Fault, Class: partition, Subclass: "complete", Evidence: paths, OneSided: true,
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			z, _ := pair(f, dice)
			return shaped(f, f.NodesIn(z), []ledger.Culprit{{Type: "zone", Name: z.Name}}, fleet.Shape{Loss: 1, To: f.Outside(z)})
		}},
	{Name: "zones_partial", Kind: ledger.Fault, Class: partition, Subclass: "partial", Evidence: paths, Aim: between(fleet.Shape{Loss: 1})},
	{Name: "zones_one_way", Kind: ledger.Fault, Class: partition, Subclass: "one_way", Evidence: paths, Aim: between(fleet.Shape{Loss: 1, Way: fleet.Out})},
	{Name: "packet_loss", Kind: ledger.Fault, Class: partition, Subclass: "lossy_link", Evidence: paths, Aim: between(fleet.Shape{Loss: 0.5})},
	// There and back twice, for a connection and a request, is within every patience.
	{Name: "slow_link", Kind: ledger.Fault, Class: partition, Subclass: "slow_link", Evidence: paths, Aim: between(fleet.Shape{Delay: 120 * time.Millisecond, Jitter: 30 * time.Millisecond})},
	{Name: "node_cut", Kind: ledger.Fault, Class: partition, Subclass: "complete", Evidence: paths, OneSided: true,
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			n := f.Node([]string{"node-b1", "node-b2", "node-c1"}[dice.IntN(3)])
			return shaped(f, []*fleet.Node{n}, []ledger.Culprit{{Type: "node", Name: n.Name}}, fleet.Shape{Loss: 1})
		}},
	// The gateway is on one side of the cut with one zone; it hears nothing of the others.
	{Name: "gateway_side_cut", Kind: ledger.Fault, Class: partition, Subclass: "complete", Evidence: []string{"spans", "heartbeat"}, OneSided: true,
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			with, _ := pair(f, dice)
			culprits := []ledger.Culprit{{Type: "zone", Name: with.Name}}
			var beyond []netip.Prefix
			for _, z := range f.Zones() {
				if z != with {
					beyond = append(beyond, z.Subnet)
					culprits = slices.Concat(culprits, []ledger.Culprit{{Type: "zone", Name: z.Name}}, links(with.Name, z.Name))
				}
			}
			return shaped(f, append(f.NodesIn(with), f.Gateway().Node), culprits, fleet.Shape{Loss: 1, To: beyond})
		}},
	// Both replicas of the store take writes that contradict each other.
	{Name: "split_brain", Kind: ledger.Fault, Class: partition, Subclass: "split_brain", Evidence: []string{"digest", "spans", "probes"},
		Aim: func(f *fleet.Fleet, _ *rand.Rand) Aimed {
			one, other := f.Instance("ledger-1"), f.Instance("ledger-2")
			culprits := slices.Concat(links(one.Zone(), other.Zone()), links(one.Name, other.Name), links(one.Node.Name, other.Node.Name), whole("ledger", f.Of("ledger")))
			cut := shaped(f, []*fleet.Node{one.Node}, culprits, fleet.Shape{Loss: 1, To: []netip.Prefix{netip.PrefixFrom(other.Addr.Addr(), 32)}})
			inject := cut.Inject
			cut.Inject = func(ctx context.Context) error {
				if err := inject(ctx); err != nil {
					return err
				}
				if err := one.Command(ctx, control.SplitWrite, "currency", "USD"); err != nil {
					return err
				}
				return other.Command(ctx, control.SplitWrite, "currency", "YEN")
			}
			return cut
		}},
	{Name: "port_blocked", Kind: ledger.Fault, Class: partition, Subclass: "partial", Evidence: paths,
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			caller, callee := f.Of("checkout")[dice.IntN(2)], among(f, dice, "pricing", "payment")
			for callee.Node == caller.Node {
				callee = among(f, dice, "pricing", "payment")
			}
			culprits := append(links(caller.Name, callee.Name), links(caller.Node.Name, callee.Name)...)
			culprits = append(append(culprits, links(caller.Node.Name, callee.Node.Name)...), links(caller.Service, callee.Service)...)
			return shaped(f, []*fleet.Node{caller.Node}, culprits, fleet.Shape{
				Loss: 1, To: []netip.Prefix{netip.PrefixFrom(callee.Addr.Addr(), 32)}, Port: callee.Addr.Port(),
			})
		}},
	{Name: "flapping", Kind: ledger.Fault, Class: partition, Subclass: "flapping", Evidence: paths,
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			a, b := pair(f, dice)
			cut := shaped(f, f.NodesIn(a), links(a.Name, b.Name), fleet.Shape{Loss: 1, To: []netip.Prefix{b.Subnet}})
			return Aimed{
				Culprits: cut.Culprits, Heal: cut.Heal,
				Inject: func(ctx context.Context) error {
					for range 2 {
						if err := cut.Inject(ctx); err != nil {
							return err
						}
						if err := sleep(ctx, 6*time.Second); err != nil {
							return err
						}
						if err := cut.Heal(ctx); err != nil {
							return err
						}
						if err := sleep(ctx, 4*time.Second); err != nil {
							return err
						}
					}
					return cut.Inject(ctx)
				},
			}
		}},
	{Name: "certificate_expired", Kind: ledger.Fault, Class: partition, Subclass: "tls", Evidence: []string{"spans"},
		Aim: func(f *fleet.Fleet, _ *rand.Rand) Aimed {
			in := f.Instance("bank-1")
			return Aimed{
				Culprits: []ledger.Culprit{{Type: "external"}, {Type: "instance", Service: "bank"}, {Type: "service", Service: "bank"}},
				Inject:   func(ctx context.Context) error { return in.Command(ctx, control.Expired, "true") },
				Heal:     func(ctx context.Context) error { return in.Command(ctx, control.Reset) },
			}
		}},
	{Name: "name_gone", Kind: ledger.Fault, Class: partition, Subclass: "dns", Evidence: []string{"spans"},
		Aim: func(f *fleet.Fleet, _ *rand.Rand) Aimed {
			in := f.Instance("dns-1")
			return Aimed{
				Culprits: []ledger.Culprit{{Type: "external"}, {Type: "instance", Service: "bank"}, {Type: "service", Service: "bank"}},
				Inject:   func(ctx context.Context) error { return in.Command(ctx, control.NameGone, fleet.DNSName("bank")) },
				Heal:     func(ctx context.Context) error { return in.Command(ctx, control.Reset) },
			}
		}},
}
