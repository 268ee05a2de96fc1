// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/faultline-otel/faultline/lab/internal/fleet"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

const exhausted = "resource_exhaustion"

// overloadQuota is the quota of a processor, in microseconds of each tenth of a second for
// each request a second that usually comes from outside, under which pricing cannot do
// twice as many.
const overloadQuota = 425.0

// limited lowers a limit of a control group and may add demand.
func limited(services []string, file, value string, demand ...string) func(*fleet.Fleet, *rand.Rand) Aimed {
	return func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		in := among(f, dice, services...)
		return Aimed{
			Culprits: who(in),
			Inject: func(ctx context.Context) error {
				if err := in.SetCgroup(file, value); err != nil || len(demand) == 0 {
					return err
				}
				return in.Command(ctx, demand[0], demand[1:]...)
			},
			Heal: func(ctx context.Context) error {
				if err := in.ResetCgroup(); err != nil {
					return err
				}
				if in.PID() == 0 {
					return in.Start(ctx)
				}
				return in.Command(ctx, control.Reset)
			},
		}
	}
}

// fillPage takes what is left of a file's last page on a full disk, which would
// let its writer go on for some seconds.
func fillPage(path string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(bytes.Repeat([]byte("\n"), os.Getpagesize()))
	if errors.Is(err, unix.ENOSPC) {
		err = nil
	}
	return errors.Join(err, file.Close())
}

// crowded puts a busy neighbour, whom the scheduler prefers, on the processor of an
// instance.
func crowded(f *fleet.Fleet, dice *rand.Rand) Aimed {
	in := among(f, dice, "checkout", "payment")
	var neighbour *fleet.Instance
	return Aimed{
		Culprits: append(who(in), ledger.Culprit{Type: "node", Name: in.Node.Name}, ledger.Culprit{Type: "instance", Service: "inventory", Instance: "inventory-batch"}),
		Inject: func(ctx context.Context) (err error) {
			if neighbour, err = f.Add("inventory", "inventory-batch", in.Node.Name); err != nil {
				return err
			}
			if err := neighbour.Start(ctx); err != nil {
				return err
			}
			if err := errors.Join(in.SetCgroup("cpu.shares", "16"), in.Pin(true), neighbour.Pin(true)); err != nil {
				return err
			}
			return neighbour.Command(ctx, control.Burn, "4")
		},
		Heal: func(ctx context.Context) error {
			return errors.Join(f.Remove(ctx, neighbour), in.ResetCgroup(), in.Pin(false))
		},
	}
}

var exhaustion = []Entry{
	{Name: "oom_kill", Kind: ledger.Fault, Class: exhausted, Subclass: "oom_kill", Evidence: seen,
		Aim: limited(inGo, "memory.limit_in_bytes", strconv.Itoa(64<<20), control.LeakMemory, strconv.Itoa(40<<20))},
	{Name: "cpu_quota", Lasts: time.Minute, Kind: ledger.Fault, Class: exhausted, Subclass: "cpu", Evidence: []string{"spans", "process_probe"},
		Aim: limited([]string{"checkout", "payment"}, "cpu.cfs_quota_us", "2000")},
	{Name: "noisy_neighbour", Lasts: time.Minute, Kind: ledger.Fault, Class: exhausted, Subclass: "cpu", Evidence: []string{"spans", "process_probe"}, Aim: crowded},
	{Name: "disk_full", Kind: ledger.Fault, Class: exhausted, Subclass: "disk", Evidence: []string{"logs", "spans"},
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			in := among(f, dice, "ledger")
			return Aimed{
				Culprits: who(in),
				Inject: func(ctx context.Context) error {
					if err := in.Command(ctx, control.FillDisk, "0"); err != nil {
						return err
					}
					return fillPage(filepath.Join(in.DataDir(), "journal"))
				},
				Heal: func(ctx context.Context) error { return reset(ctx, in) },
			}
		}},
	{Name: "descriptors", Kind: ledger.Fault, Class: exhausted, Subclass: "file_descriptors", Evidence: []string{"logs", "spans"},
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			in := among(f, dice, "checkout", "payment")
			return Aimed{
				Culprits: who(in),
				Inject:   func(context.Context) error { return in.SetLimit(unix.RLIMIT_NOFILE, 12) },
				Heal:     func(context.Context) error { return in.SetLimit(unix.RLIMIT_NOFILE, 4096) },
			}
		}},
	{Name: "pool_drained", Kind: ledger.Fault, Class: exhausted, Subclass: "connection_pool", Evidence: []string{"logs", "metrics", "spans"},
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			in := among(f, dice, "payment")
			return Aimed{
				Culprits: who(in),
				Inject: func(ctx context.Context) error {
					if err := in.Command(ctx, control.ShrinkPool, "1"); err != nil {
						return err
					}
					return in.Command(ctx, control.HoldPool, "3s")
				},
				Heal: func(ctx context.Context) error { return in.Command(ctx, control.Reset) },
			}
		}},
	{Name: "rejected", Kind: ledger.Fault, Class: exhausted, Subclass: "quota", Evidence: []string{"spans"}, Aim: command([]string{"pricing", "payment"}, control.Reject, "0.8")},
	// One caller asks for far more than it used to: it is to blame, not who refuses.
	{Name: "quota_of_caller", Kind: ledger.Fault, Class: exhausted, Subclass: "quota", Evidence: []string{"spans"},
		Aim: func(f *fleet.Fleet, _ *rand.Rand) Aimed {
			callers, callees := f.Of("checkout"), f.Of("payment")
			a := all(callers, append([]ledger.Culprit{{Type: "client", Name: "checkout"}, {Type: "client", Service: "checkout"}}, whole("checkout", callers)...),
				[]string{control.Repeat, "5"})
			inject := a.Inject
			a.Inject = func(ctx context.Context) error {
				if err := each(callees, func(in *fleet.Instance) error { return in.Command(ctx, control.Quota, "30") }); err != nil {
					return err
				}
				return inject(ctx)
			}
			a.Heal = func(ctx context.Context) error { return reset(ctx, append(callers, callees...)...) }
			return a
		}},
	// What was served before, and twice as much.
	{Name: "overload", Lasts: time.Minute, Kind: ledger.Fault, Class: exhausted, Subclass: "cpu", Evidence: []string{"spans", "process_probe"},
		Aim: func(f *fleet.Fleet, _ *rand.Rand) Aimed {
			on := f.Of("pricing")
			a := all(on, whole("pricing", on), []string{control.Pressure, "400"})
			inject := a.Inject
			a.Inject = func(ctx context.Context) error {
				quota := fmt.Sprint(int(overloadQuota * f.Rate()))
				if err := each(on, func(in *fleet.Instance) error { return in.SetCgroup("cpu.cfs_quota_us", quota) }); err != nil {
					return err
				}
				if err := inject(ctx); err != nil {
					return err
				}
				return f.SetLoad(ctx, 2*f.Rate())
			}
			a.Heal = func(ctx context.Context) error {
				if err := f.Instance("load").Command(ctx, control.Reset); err != nil {
					return err
				}
				return reset(ctx, on...)
			}
			return a
		}},
	// The slow answers that began it are long over when the retries still keep it busy.
	{Name: "retry_storm", Lasts: time.Minute, Kind: ledger.Fault, Class: exhausted, Subclass: "cpu", Evidence: []string{"spans", "process_probe"},
		Aim: func(f *fleet.Fleet, _ *rand.Rand) Aimed {
			callers, on := f.Of("payment"), f.Of("ledger")
			a := all(callers, append(whole("ledger", on), ledger.Culprit{Type: "client", Name: "payment"}, ledger.Culprit{Type: "client", Service: "payment"}),
				[]string{control.Timeout, "200ms"}, []string{control.RetryStorm, "8"})
			inject := a.Inject
			a.Inject = func(ctx context.Context) error {
				if err := inject(ctx); err != nil {
					return err
				}
				if err := each(on, func(in *fleet.Instance) error {
					if err := in.Command(ctx, control.Pressure, "150"); err != nil {
						return err
					}
					if err := in.Command(ctx, control.Slow, "500ms"); err != nil {
						return err
					}
					return in.SetCgroup("cpu.cfs_quota_us", "30000")
				}); err != nil {
					return err
				}
				if err := sleep(ctx, 6*time.Second); err != nil {
					return err
				}
				return each(on, func(in *fleet.Instance) error { return in.Command(ctx, control.Slow, "0s") })
			}
			a.Heal = func(ctx context.Context) error { return reset(ctx, append(callers, on...)...) }
			return a
		}},
	// It is not killed while it lasts: the limit comes nearer, as a leak does.
	{Name: "memory_leak", Lasts: time.Minute, Kind: ledger.Fault, Class: exhausted, Subclass: "memory", Evidence: []string{"process_probe", "metrics"},
		Aim: limited(inGo, "memory.limit_in_bytes", strconv.Itoa(320<<20), control.LeakMemory, strconv.Itoa(7<<20))},
	// Each waits for an answer that never comes, and holds its memory.
	{Name: "goroutine_leak", Kind: ledger.Fault, Class: exhausted, Subclass: "oom_kill", Evidence: seen,
		Aim: limited(inGo, "memory.limit_in_bytes", strconv.Itoa(96<<20), control.LeakGoroutines, "4000")},
	{Name: "threads", Kind: ledger.Fault, Class: exhausted, Subclass: "threads", Evidence: []string{"logs", "process_probe"},
		Aim: limited(inGo, "pids.max", "24", control.LeakThreads, "20")},
	{Name: "files_leaked", Kind: ledger.Fault, Class: exhausted, Subclass: "file_descriptors", Evidence: []string{"logs", "spans", "process_probe"},
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			in := among(f, dice, inGo...)
			return Aimed{
				Culprits: who(in),
				Inject: func(ctx context.Context) error {
					if err := in.SetLimit(unix.RLIMIT_NOFILE, 100); err != nil {
						return err
					}
					return in.Command(ctx, control.LeakFiles, "20")
				},
				Heal: func(ctx context.Context) error {
					if err := in.SetLimit(unix.RLIMIT_NOFILE, 4096); err != nil {
						return err
					}
					return reset(ctx, in)
				},
			}
		}},
	// All local ports of the node towards one callee are taken.
	{Name: "ports", Kind: ledger.Fault, Class: exhausted, Subclass: "ports", Evidence: []string{"logs", "spans"},
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			in := among(f, dice, "checkout")
			to := f.Of("payment")
			ports := func(ctx context.Context, low, high int) error {
				_, err := in.Node.Run(ctx, "sysctl", "-q", "-w", fmt.Sprintf("net.ipv4.ip_local_port_range=%d %d", low, high))
				return err
			}
			culprits := append(who(in), ledger.Culprit{Type: "node", Name: in.Node.Name})
			for _, other := range f.On(in.Node.Name) { // it is their range, too
				culprits = append(culprits, who(other)...)
			}
			return Aimed{
				Culprits: culprits,
				Inject: func(ctx context.Context) error {
					if err := ports(ctx, 40000, 40040); err != nil {
						return err
					}
					return each(to, func(callee *fleet.Instance) error {
						return in.Command(ctx, control.UsePorts, callee.Addr.String(), "41")
					})
				},
				Heal: func(ctx context.Context) error {
					if err := in.Command(ctx, control.Reset); err != nil {
						return err
					}
					return ports(ctx, 32768, 60999)
				},
			}
		}},
	{Name: "queue_grows", Lasts: time.Minute, Kind: ledger.Fault, Class: exhausted, Subclass: "queue", Evidence: []string{"metrics", "spans"},
		Aim: func(f *fleet.Fleet, _ *rand.Rand) Aimed {
			on := f.Of("mailer")
			return all(on, slices.Concat(who(on[0]), who(f.Instance("broker-1"))), []string{control.Slow, "250ms"})
		}},
	{Name: "queue_full", Kind: ledger.Fault, Class: exhausted, Subclass: "queue", Evidence: []string{"metrics", "spans"},
		Aim: func(f *fleet.Fleet, _ *rand.Rand) Aimed {
			broker, mailer := f.Instance("broker-1"), f.Instance("mailer-1")
			return Aimed{
				Culprits: slices.Concat(who(broker), who(mailer)),
				Inject: func(ctx context.Context) error {
					if err := broker.Command(ctx, control.QueueLimit, "60"); err != nil {
						return err
					}
					return mailer.Command(ctx, control.Slow, "1s")
				},
				Heal: func(ctx context.Context) error { return reset(ctx, broker, mailer) },
			}
		}},
	// The journal is slow as on a disk that stalls: a write takes seconds.
	{Name: "disk_stall", Kind: ledger.Fault, Class: exhausted, Subclass: "disk_io", Hidden: true, Aim: command([]string{"ledger"}, control.SlowDisk, "3s")},
}
