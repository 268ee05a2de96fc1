// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func TestShortResourcesThatHurtAreExhaustion(t *testing.T) {
	const who = "svc1-b0"
	slow := func(z *zones) { z.late = func(to *zoned) bool { return to.src.Instance == who } }
	some := func(z *zones) {
		z.times = 3
		z.late = func(to *zoned) bool { return to.src.Instance == who && z.rand.IntN(7) == 0 }
	}
	level := func(kind report.LevelKind, share, waiting float64) func(z *zones) {
		return func(z *zones) {
			z.more = func(b *report.Batch) {
				if (z.now/1e8)%50 == 0 {
					b.Levels = append(b.Levels, report.Level{Source: z.who(who).src, Kind: kind, Share: share, Waiting: waiting, At: z.now})
				}
			}
		}
	}
	for name, c := range map[string]struct {
		inject   []func(z *zones)
		subclass string
	}{
		"throttled and slow":           {[]func(z *zones){slow, level(report.LevelThrottled, 0.6, 0)}, "cpu"},
		"throttled, and some are slow": {[]func(z *zones){some, level(report.LevelThrottled, 0.6, 0)}, "cpu"},
		"no connection left, and slow": {[]func(z *zones){slow, level(report.LevelPool, 1, 12)}, "connection_pool"},
		"its host's disk is full, and it fails": {[]func(z *zones){func(z *zones) {
			z.answer = func(_, to *zoned) report.Outcome {
				if to.src.Instance == who {
					return report.OutcomeServerError
				}
				return report.OutcomeOK
			}
			z.more = func(b *report.Batch) {
				if (z.now/1e8)%50 == 0 {
					b.Facts = append(b.Facts, report.Fact{Source: z.who(who).src, Kind: report.FactDiskFull, At: z.now, Text: "write x: no space left on device"})
				}
			}
		}}, "disk"},
		"more than it can do": {[]func(z *zones){slow, func(z *zones) {
			z.times = 4
			z.answer = func(_, to *zoned) report.Outcome {
				if to.src.Instance == who && z.rand.Float64() < 0.4 {
					return report.OutcomeTimeout
				}
				return report.OutcomeOK
			}
		}}, "overload"},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.run(90 * time.Second)
			for _, inject := range c.inject {
				inject(z)
			}
			z.run(40 * time.Second)
			z.expect(t, verdict.ClassExhaustion, "instance "+who)
			if v := z.verdicts()["instance "+who]; v != nil && string(v.Subclass) != c.subclass {
				t.Errorf("subclass %q, want %q: %s", v.Subclass, c.subclass, v.Reason)
			}
		})
	}
}

func TestBusyIsNotExhausted(t *testing.T) {
	for name, inject := range map[string]func(z *zones){
		"a spike that is served": func(z *zones) { z.times = 4 },
		"a batch job at its quota": func(z *zones) {
			z.more = func(b *report.Batch) {
				b.Levels = append(b.Levels, report.Level{Source: z.instances[3].src, Kind: report.LevelThrottled, Share: 0.9, At: z.now},
					report.Level{Source: z.instances[3].src, Kind: report.LevelCPU, Share: 1, At: z.now})
			}
		},
		"slow for reasons that nobody tells": func(z *zones) {
			z.late = func(to *zoned) bool { return to.src.Instance == "svc1-b0" }
		},
		"some slow answers of one that is held back as ever": func(z *zones) {
			z.more = func(b *report.Batch) {
				b.Levels = append(b.Levels, report.Level{Source: z.who("svc1-b0").src, Kind: report.LevelThrottled, Share: 0.6, At: z.now})
			}
			z.run(40 * time.Minute)
			z.late = func(to *zoned) bool { return to.src.Instance == "svc1-b0" && z.rand.IntN(7) == 0 }
		},
		"a full disk that hurts nobody": func(z *zones) {
			z.more = func(b *report.Batch) {
				b.Levels = append(b.Levels, report.Level{Source: &report.Source{Host: "zone-b-h0"}, Kind: report.LevelDisk, Share: 1, At: z.now})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.run(90 * time.Second)
			inject(z)
			z.run(60 * time.Second)
			z.expect(t, verdict.ClassNone)
		})
	}
}

func TestDemandIsSeenHoweverSeldomItsCallerTells(t *testing.T) {
	for _, every := range []time.Duration{time.Second, 5 * time.Second, 10 * time.Second} {
		t.Run(every.String(), func(t *testing.T) {
			f := newFleet(t)
			web := report.NewSource(report.Source{Service: report.ServiceID{Name: "web"}, Instance: "web-1", Host: "h1"})
			told := func(calls int, slow float64) func(b *report.Batch) {
				return func(b *report.Batch) {
					n := calls * int(every/time.Second)
					b.Calls = append(b.Calls, report.Calls{Caller: web, Callee: report.Callee{Address: "db:5432"}, Outcome: report.OutcomeOK, Count: n, Slow: int(slow * float64(n)),
						First: b.Arrived.Add(-every), Started: b.Arrived.Add(-time.Millisecond), Last: b.Arrived, Done: b.Arrived.Add(50*time.Millisecond - every)})
				}
			}
			f.tell(every, 4*time.Minute, told(20, 0))
			f.tell(every, time.Minute, told(80, 0.9))
			n := f.e.reg.byKey[externalKey("db:5432")]
			if n == nil || n.episode == nil || !n.episode.found[belief.EvDemand].now {
				t.Errorf("it is asked four times as often, and that is not seen: %s", f.dump())
			}
		})
	}
}

// What waits behind a cut comes at once when it opens.
func TestWhatWaitedBehindACutIsNoDemand(t *testing.T) {
	for name, c := range map[string]struct {
		zone string
		more bool
	}{
		"its callers were cut off":      {"zone-b", false},
		"it was cut off itself":         {"zone-a", false},
		"nobody was with whom it talks": {"", true},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.run(80 * time.Second)
			z.blocked = func(x, y zoneHost) bool { return c.zone != "" && (x.zone == c.zone) != (y.zone == c.zone) }
			z.run(20 * time.Second)
			z.blocked = func(_, _ zoneHost) bool { return false }
			z.run(5 * time.Second)
			z.times = 3
			z.run(12 * time.Second)
			n := z.e.instance(z.instances[1].src)
			times, _ := z.e.demand(n, &episode{})
			if (times >= stat.MoreFrom) != c.more {
				t.Errorf("it is asked %.1f times as often as usual", times)
			}
		})
	}
}

// Who lost a sibling, or somebody that it calls, to a cut holds what comes of that.
func TestWhatACutLeavesToOneIsNoDemand(t *testing.T) {
	away, here := &hostState{name: "b1", zone: "b"}, &hostState{name: "c1", zone: "c"}
	one := func(h *hostState) *entity { return &entity{kind: kindInstance, host: h, src: &report.Source{}} }
	for name, c := range map[string]struct {
		sibling, callee *hostState
		failed          time.Duration // after the cut began; 0: no call did
		opened          bool
	}{
		"a sibling is cut off":                          {away, here, 0, true},
		"one that it calls is":                          {here, away, 0, true},
		"one that it calls, of unknown place, fails it": {here, nil, time.Second, true},
		"one of unknown place answers it":               {here, nil, 0, false},
		"all stand elsewhere":                           {here, here, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(DefaultParams())
			e.now = clock.Time(time.Hour)
			cut, _ := aCut(e, e.now.Add(-20*time.Second))
			n := one(here)
			n.service = &service{instances: []*entity{n, one(c.sibling)}}
			ed := &edge{caller: n, callee: one(c.callee)}
			if c.failed != 0 {
				ed.lastFail = cut.began.Add(c.failed)
			}
			n.callees = []*edge{ed}
			if got := e.cutOpened(n); got != c.opened {
				t.Errorf("%v", got)
			}
		})
	}
}
