// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// answers gives each served call a size and a kind, as fits the test.
func (z *zones) answers(size func(to *zoned) float64, kind func(to *zoned) int) {
	z.serving = func(to *zoned, s *report.Served, _ *report.Calls) {
		if s.OK == 0 {
			return
		}
		x := size(to)
		s.Sized, s.Size, s.SizeSquare = 1, x, x*x
		s.Asked[kind(to)]++
	}
}

// One that is out of step with its siblings in two ways at once is byzantine; in one
// way it may have its reasons. There are others for both.
func TestOneThatDoesNothingAndSaysItDidIsByzantine(t *testing.T) {
	const liar = "svc1-b0"
	is := func(n *zoned) bool { return n.src.Instance == liar }
	usual := func(z *zones) func(*zoned) float64 {
		return func(*zoned) float64 { return 9 + 3*z.rand.NormFloat64() }
	}
	small := func(z *zones) func(*zoned) float64 {
		return func(n *zoned) float64 {
			if is(n) {
				return 1
			}
			return usual(z)(n)
		}
	}
	anything := func(z *zones) func(*zoned) int { return func(*zoned) int { return z.rand.IntN(report.Mixes) } }
	idle := func(n, _ *zoned) bool { return is(n) }
	for name, c := range map[string]struct {
		before, inject func(z *zones)
		class          verdict.Class
	}{
		"its answers are empty and it calls nobody": {inject: func(z *zones) {
			z.answers(small(z), anything(z))
			z.never = idle
		}, class: verdict.ClassByzantine},
		"only its answers are empty":    {inject: func(z *zones) { z.answers(small(z), anything(z)) }},
		"it only calls nobody: a cache": {inject: func(z *zones) { z.never = idle }},
		"it rejects much, for a client of its own": {inject: func(z *zones) {
			z.serving = func(to *zoned, s *report.Served, c *report.Calls) {
				s.Asked[z.rand.IntN(report.Mixes)]++
				if is(to) && z.rand.Float64() < 0.6 {
					c.Outcome, s.Rejected = report.OutcomeClientError, 1
				}
			}
		}},
		"it was always like that": {before: func(z *zones) {
			z.answers(small(z), anything(z))
			z.never = idle
		}},
		"its answers were always others, and now it has a cache": {before: func(z *zones) {
			z.answers(small(z), anything(z))
		}, inject: func(z *zones) { z.never = idle }},
		"it runs another version": {inject: func(z *zones) {
			for _, n := range z.instances {
				src := *n.src
				src.Version = "1.9"
				if is(n) {
					src.Version = "2.0"
				}
				n.src = report.NewSource(src)
			}
			z.run(80 * time.Second)
			z.answers(small(z), anything(z))
			z.never = idle
		}},
		"it is a new process": {inject: func(z *zones) {
			z.answers(small(z), anything(z))
			z.never = idle
			z.who(liar).inc += 100
		}},
		"it is asked for something else": {inject: func(z *zones) {
			z.answers(small(z), func(n *zoned) int {
				if is(n) {
					return 3
				}
				return z.rand.IntN(report.Mixes)
			})
			z.never = idle
		}},
		"it is asked much less": {inject: func(z *zones) {
			z.answers(small(z), anything(z))
			z.never = func(n, to *zoned) bool { return is(n) || is(to) && z.rand.Float64() < 0.7 }
		}},
		"its calls failed first": {inject: func(z *zones) {
			z.answer = func(n, _ *zoned) report.Outcome {
				if is(n) && z.rand.Float64() < 0.5 {
					return report.OutcomeCircuitOpen
				}
				return report.OutcomeOK
			}
			z.run(20 * time.Second)
			z.answers(small(z), anything(z))
			z.never = idle
		}},
		"a switch is turned on all of them": {inject: func(z *zones) {
			of := func(n *zoned) bool { return n.src.Service.Name == "svc1" }
			z.answers(func(n *zoned) float64 {
				if of(n) {
					return 1
				}
				return usual(z)(n)
			}, anything(z))
			z.never = func(n, _ *zoned) bool { return of(n) }
		}},
		"a switch is turned on one after the other": {inject: func(z *zones) {
			turned := map[string]bool{}
			z.answers(func(n *zoned) float64 {
				if turned[n.src.Instance] {
					return 1
				}
				return usual(z)(n)
			}, anything(z))
			z.never = func(n, _ *zoned) bool { return turned[n.src.Instance] }
			for _, id := range [...]string{"svc1-b0", "svc1-a1", "svc1-c0", "svc1-c1"} {
				turned[id] = true
				z.run(15 * time.Second)
			}
		}},
		"another answers without calls as well: caches are filled": {inject: func(z *zones) {
			z.answers(small(z), anything(z))
			z.never = func(n, _ *zoned) bool { return is(n) || n.src.Instance == "svc1-c1" }
		}},
		"the answers of another become as small: something is being changed": {inject: func(z *zones) {
			z.answers(func(n *zoned) float64 {
				if is(n) || n.src.Instance == "svc1-c1" {
					return 1
				}
				return usual(z)(n)
			}, anything(z))
			z.never = idle
		}},
		"whoever tells of its host leaves calls out": {inject: func(z *zones) {
			z.answers(small(z), anything(z))
			z.never = func(n, _ *zoned) bool { return n.at.name == "zone-b-h0" }
		}},
		"of its spans nine in ten are lost, the rest come twice": {inject: func(z *zones) {
			z.deliver = func(b *report.Batch) {
				calls, served := b.Calls, b.Served
				b.Calls, b.Served = nil, nil
				for _, c := range calls {
					if c.Caller != z.who(liar).src {
						b.Calls = append(b.Calls, c)
					} else if z.rand.Float64() < 0.1 {
						b.Calls = append(b.Calls, c, c)
					}
				}
				for _, s := range served {
					if s.Source != z.who(liar).src {
						b.Served = append(b.Served, s)
					} else if z.rand.Float64() < 0.1 {
						b.Served = append(b.Served, s, s)
					}
				}
				z.e.Observe(b)
			}
		}},
		"nothing that it tells comes for a minute, then all": {inject: func(z *zones) {
			var kept report.Batch
			from := z.now.Add(time.Minute)
			z.deliver = func(b *report.Batch) {
				calls, served := b.Calls, b.Served
				b.Calls, b.Served = nil, nil
				for _, c := range calls {
					if c.Caller == z.who(liar).src && z.now < from {
						kept.Calls = append(kept.Calls, c)
					} else {
						b.Calls = append(b.Calls, c)
					}
				}
				for _, s := range served {
					if s.Source == z.who(liar).src && z.now < from {
						kept.Served = append(kept.Served, s)
					} else {
						b.Served = append(b.Served, s)
					}
				}
				if z.now >= from {
					b.Calls, b.Served = append(b.Calls, kept.Calls...), append(b.Served, kept.Served...)
					kept = report.Batch{}
				}
				z.e.Observe(b)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z := newZones()
			z.times = 4
			z.answers(usual(z), anything(z))
			if c.before != nil {
				c.before(z)
			}
			z.run(90 * time.Second)
			if c.inject != nil {
				c.inject(z)
			}
			z.run(80 * time.Second)
			z.expect(t, c.class, "instance "+liar)
			if t.Failed() {
				z.dump(t)
			}
			if c.class == verdict.ClassNone {
				return
			}
			if z.e.Snapshot().Answer(z.who(liar).src, nil, z.now) == nil {
				t.Error("its answers are believed")
			}
			z.answers(usual(z), anything(z))
			z.never = func(_, _ *zoned) bool { return false }
			z.run(time.Minute)
			if len(z.e.suspects) > 0 {
				t.Error("it is still suspected a minute after it was mended")
			}
		})
	}
}

// Under suspicion for whatever reason, one kind of being out of step does not convict.
func TestOneKindOfOddConductConvictsNobody(t *testing.T) {
	for name, c := range map[string]struct {
		found    []belief.Evidence
		convicts bool
	}{
		"its answers":                       {[]belief.Evidence{belief.EvAmongPeers}, false},
		"what it does for them":             {[]belief.Evidence{belief.EvDoesNothing}, false},
		"its answers, and it is slow":       {[]belief.Evidence{belief.EvAmongPeers, belief.EvSlow}, false},
		"one, while it asks others in vain": {[]belief.Evidence{belief.EvAmongPeers, belief.EvCalleeFailing}, false},
		"both":                              {[]belief.Evidence{belief.EvAmongPeers, belief.EvDoesNothing}, true},
		"one, and its callers complain":     {[]belief.Evidence{belief.EvAmongPeers, belief.EvCallersWrong}, true},
	} {
		p := &episode{}
		for _, k := range c.found {
			p.note(k, 1, 1, "")
		}
		b := belief.Weigh(p.strengths(1), belief.CauseHealthy, DefaultParams().Temperature)
		if got := b.P[belief.CauseByzantine]; (got >= DefaultParams().EnterProbability) != c.convicts || !c.convicts && got > 0.5 {
			t.Errorf("%s: byzantine %.2f", name, got)
		}
	}
}

// A new process, or version, has to show first how it answers.
func TestConductBeginsAnewWithTheProcess(t *testing.T) {
	for name, c := range map[string]struct {
		token   uint64
		version string
		anew    bool
	}{
		"the same":                  {7, "1.9", false},
		"another process":           {8, "1.9", true},
		"another version":           {7, "2.0", true},
		"it does not tell any more": {0, "1.9", true},
	} {
		n := &entity{version: "1.9"}
		n.incarnations[len(n.incarnations)-1].token = 7
		c0 := &conduct{answers: 5}
		c0.renew(n)
		c0.against[measureSize].inStep = inStepFull
		n.version, n.incarnations[len(n.incarnations)-1].token = c.version, c.token
		c0.renew(n)
		if anew := c0.against[measureSize].inStep == 0; anew != c.anew || c0.answers != 5 {
			t.Errorf("%s: begins anew: %v, %v answers", name, anew, c0.answers)
		}
	}
}

// What is compared is bounded by those who are remembered.
func TestConductIsForgottenWithTheInstances(t *testing.T) {
	z := newZones()
	z.run(30 * time.Second)
	if len(z.e.compared) != 3 {
		t.Fatalf("%d services are compared, want 3", len(z.e.compared))
	}
	for _, n := range z.instances {
		z.e.forget(z.e.instance(n.src))
	}
	z.e.Tick(z.now.Add(time.Minute))
	if len(z.e.compared) != 0 {
		t.Errorf("%d services without instances are compared", len(z.e.compared))
	}
}
