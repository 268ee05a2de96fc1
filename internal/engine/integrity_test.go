// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func (z *zones) who(id string) *zoned {
	for _, n := range z.instances {
		if n.src.Instance == id {
			return n
		}
	}
	return nil
}

func TestWrongAnswersAreByzantine(t *testing.T) {
	const liar = "svc1-b0"
	for name, c := range map[string]struct {
		inject   func(z *zones)
		culprit  string
		subclass string
		within   time.Duration
	}{
		"failures of its own making": {func(z *zones) {
			z.answer = func(_, to *zoned) report.Outcome {
				if to.src.Instance == liar && z.rand.Float64() < 0.6 {
					return report.OutcomeServerError
				}
				return report.OutcomeOK
			}
		}, "instance " + liar, "error_response", 40 * time.Second},
		"failures since a new version": {func(z *zones) {
			n := z.who(liar)
			src := *n.src
			src.Version = "2.0.1"
			n.src, n.inc = report.NewSource(src), n.inc+100
			z.answer = func(_, to *zoned) report.Outcome {
				if to.src.Instance == liar && z.rand.Float64() < 0.6 {
					return report.OutcomeServerError
				}
				return report.OutcomeOK
			}
		}, "version 2.0.1", "faulty_release", 40 * time.Second},
		"failures of one, while its new version serves well elsewhere": {func(z *zones) {
			for _, n := range z.instances {
				if n.src.Service.Name == "svc1" {
					src := *n.src
					src.Version = "2.0.1"
					n.src, n.inc = report.NewSource(src), n.inc+100
				}
			}
			z.run(20 * time.Second)
			z.answer = func(_, to *zoned) report.Outcome {
				if to.src.Instance == liar && z.rand.Float64() < 0.6 {
					return report.OutcomeServerError
				}
				return report.OutcomeOK
			}
		}, "instance " + liar, "error_response", 40 * time.Second},
		"answers that nobody can use": {func(z *zones) {
			z.answer = func(_, to *zoned) report.Outcome {
				if to.src.Instance == liar && z.rand.Float64() < 0.4 {
					return report.OutcomeWrongAnswer
				}
				return report.OutcomeOK
			}
		}, "instance " + liar, "invalid_response", 40 * time.Second},
		"a wrong answer to a known question": {func(z *zones) {
			seq := uint64(1 << 40)
			z.more = func(b *report.Batch) {
				if (z.now/1e8)%20 == 0 {
					seq++
					b.Probes = append(b.Probes, report.Probe{Stamp: report.Stamp{Observer: "agent-zone-c", At: z.now, Uptime: time.Duration(z.now - 1_800_000_000_000_000_000 + 1e12), Seq: seq},
						Source: z.who(liar).src, Target: "http://x/answer", Outcome: report.OutcomeWrongAnswer, Interval: 2 * time.Second, Message: "42 instead of 43", Direct: true})
				}
			}
		}, "instance " + liar, "wrong_answer", 5 * time.Second},
		"two signed words for one thing": {func(z *zones) {
			z.beating = func(n *zoned, b *report.Beat) {
				b.Authenticated, b.Digest = true, fmt.Sprint("state ", b.Seq)
				if n.src.Instance == liar {
					other := *b
					other.Observer, other.Digest = "agent-zone-a", "another"
					other.Stamp.Seq = z.agents[0].seq + 1
					z.agents[0].seq++
					z.agents[0].queue = append(z.agents[0].queue, func(b *report.Batch) { b.Beats = append(b.Beats, other) })
				}
			}
		}, "instance " + liar, "equivocation", 5 * time.Second},
		"a count that runs backwards": {func(z *zones) {
			z.more = func(b *report.Batch) {
				if (z.now/1e8)%100 == 0 {
					b.Facts = append(b.Facts, report.Fact{Source: z.who(liar).src, Kind: report.FactBackwards, At: z.now, Text: "orders.total fell from 90 to 12"})
				}
			}
		}, "instance " + liar, "impossible_state", 30 * time.Second},
		"a digest that its siblings do not have": {func(z *zones) {
			z.beating = func(n *zoned, b *report.Beat) {
				b.Digest = fmt.Sprint("state ", int64(z.now)/1e12)
				if n.src.Instance == liar && z.now > 1_800_000_000_000_000_000+100e9 {
					b.Digest = "mine"
				}
			}
			z.run(40 * time.Second)
		}, "instance " + liar, "wrong_answer", 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			for _, n := range z.instances {
				src := *n.src
				src.Version = "1.9"
				n.src = report.NewSource(src)
			}
			z.run(60 * time.Second)
			c.inject(z)
			z.run(c.within)
			z.expect(t, verdict.ClassByzantine, c.culprit)
			if v := z.verdicts()[c.culprit]; v != nil && string(v.Subclass) != c.subclass {
				t.Errorf("subclass %q, want %q", v.Subclass, c.subclass)
			}
			if t.Failed() {
				z.dump(t)
			}
		})
	}
}

func TestRolledBackVersionStaysTheCulprit(t *testing.T) {
	z := newZones()
	n := z.who("svc1-b0")
	run := func(version string, inc uint64) {
		src := *n.src
		src.Version = version
		n.src, n.inc = report.NewSource(src), n.inc+inc
	}
	for _, other := range z.instances {
		src := *other.src
		src.Version = "1.9"
		other.src = report.NewSource(src)
	}
	z.run(60 * time.Second)
	run("2.0.1", 100)
	z.answer = func(_, to *zoned) report.Outcome {
		if to == n && z.rand.Float64() < 0.6 {
			return report.OutcomeServerError
		}
		return report.OutcomeOK
	}
	z.run(40 * time.Second)
	z.expect(t, verdict.ClassByzantine, "version 2.0.1")
	run("1.9", 100)
	z.run(5 * time.Second)
	z.expect(t, verdict.ClassByzantine, "version 2.0.1")
	z.answer = nil
}

func TestAnswersAreTrustedAgainBeforeTheVerdictIsTakenBack(t *testing.T) {
	z := newZones()
	n := z.who("svc1-b0")
	z.run(60 * time.Second)
	z.answer = func(_, to *zoned) report.Outcome {
		if to == n && z.rand.Float64() < 0.4 {
			return report.OutcomeWrongAnswer
		}
		return report.OutcomeOK
	}
	z.run(40 * time.Second)
	if !z.e.Snapshot().Convicts() || z.e.Snapshot().Answer(n.src, nil, z.now) == nil {
		t.Fatal("its answers are not doubted while they are wrong")
	}
	z.answer = func(_, _ *zoned) report.Outcome { return report.OutcomeOK }
	z.run(10 * time.Second)
	if v := z.e.Snapshot().Verdict(n.src, z.now); v == nil || !v.Holds() {
		t.Fatal("the verdict is gone: this shows nothing")
	}
	if z.e.Snapshot().Convicts() || z.e.Snapshot().Answer(n.src, nil, z.now) != nil {
		t.Error("its answers are doubted still")
	}
}

func TestAnswersAreDoubtedJustBeforeAConviction(t *testing.T) {
	z := newZones()
	n, honest := z.who("svc1-b0"), z.who("svc1-c0")
	z.run(60 * time.Second)
	z.answer = func(_, to *zoned) report.Outcome {
		if to == n && z.rand.Float64() < 0.6 {
			return report.OutcomeServerError
		}
		return report.OutcomeOK
	}
	doubted := time.Duration(0)
	for began := z.now; z.e.Snapshot().Verdict(n.src, z.now) == nil; {
		z.run(100 * time.Millisecond)
		switch s := z.e.Snapshot(); {
		case s.Doubts(honest.src, nil):
			t.Fatal("an honest sibling is doubted")
		case s.Doubts(n.src, nil) && doubted == 0:
			doubted = z.now.Sub(began)
		case z.now.Sub(began) > time.Minute:
			t.Fatal("no verdict")
		}
	}
	if doubted < 4*time.Second {
		t.Errorf("doubted after %s: what passes by itself delays nobody's spans", doubted)
	}
	if s := z.e.Snapshot(); s.Doubts(n.src, nil) {
		t.Error("who is convicted is doubted no more")
	}
}

// Who leaves the step of its siblings is convicted some beats later; its answers are
// doubted shortly before, and not for one beat that was late.
func TestAnswersOfWhoLeavesTheStepOfItsSiblingsAreDoubtedBeforeItIsConvicted(t *testing.T) {
	for name, c := range map[string]struct {
		lasts   time.Duration
		doubted bool
	}{"for good": {time.Hour, true}, "for one beat": {time.Second, false}} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			n, honest := z.who("svc1-b0"), z.who("svc1-c0")
			began := z.now.Add(60 * time.Second)
			z.beating = func(who *zoned, b *report.Beat) {
				b.Digest = fmt.Sprint("state ", int64(z.now)/1e12)
				if who == n && z.now >= began && z.now < began.Add(c.lasts) {
					b.Digest = "mine"
				}
			}
			z.run(60 * time.Second)
			doubted := false
			since := z.now
			for z.now.Sub(began) < 20*time.Second && z.e.Snapshot().Verdict(n.src, z.now) == nil {
				z.run(100 * time.Millisecond)
				if z.e.Snapshot().Doubts(n.src, nil) && !doubted {
					doubted, since = true, z.now
				}
				if z.e.Snapshot().Doubts(honest.src, nil) {
					t.Fatal("an honest sibling is doubted")
				}
			}
			if convicted := z.e.Snapshot().Verdict(n.src, z.now) != nil; doubted != c.doubted || convicted != c.doubted {
				t.Errorf("doubted %v, convicted %v", doubted, convicted)
			}
			if doubted && z.now.Sub(since) > 5*time.Second {
				t.Errorf("doubted for %s before it is convicted", z.now.Sub(since))
			}
		})
	}
}

func TestWhatOnlyLooksWrongConvictsNobody(t *testing.T) {
	for name, inject := range map[string]func(z *zones){
		"one bad request, tried again and again for a moment": func(z *zones) {
			left := 6
			z.answer = func(_, to *zoned) report.Outcome {
				if to.src.Instance == "svc1-b0" && left > 0 {
					left--
					return report.OutcomeServerError
				}
				return report.OutcomeOK
			}
		},
		"a client that asks what it may not": func(z *zones) {
			z.answer = func(from, _ *zoned) report.Outcome {
				if from.src.Instance == "svc0-a0" {
					return report.OutcomeClientError
				}
				return report.OutcomeOK
			}
		},
		"two unsigned words in one name are a conflict of identities": func(z *zones) {
			z.beating = func(n *zoned, b *report.Beat) {
				b.Digest = fmt.Sprint("x", b.Seq)
				if n.src.Instance == "svc1-b0" {
					other := *b
					other.Observer, other.Digest = "agent-zone-a", "another"
					z.agents[0].seq++
					other.Stamp.Seq = z.agents[0].seq
					z.agents[0].queue = append(z.agents[0].queue, func(b *report.Batch) { b.Beats = append(b.Beats, other) })
				}
			}
		},
		"a single fall of a count": func(z *zones) {
			z.e.Observe(&report.Batch{Arrived: z.now, Facts: []report.Fact{{Source: z.instances[0].src, Kind: report.FactBackwards, At: z.now, Text: "x fell"}}})
		},
		"replicas that never had one digest": func(z *zones) {
			z.beating = func(n *zoned, b *report.Beat) { b.Digest = n.src.Instance }
		},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.run(60 * time.Second)
			inject(z)
			z.run(60 * time.Second)
			z.expect(t, verdict.ClassNone)
			conflicts := 0
			for _, ev := range z.events {
				if ev.Kind == contract.EventIdentityConflict {
					conflicts++
				}
			}
			if wants := name[:3] == "two"; wants != (conflicts > 0) {
				t.Errorf("%d identity conflicts were told", conflicts)
			}
		})
	}
}

// What a callee did before n's own failures began is no reason for them; what it
// does meanwhile is.
func TestOnlyCalleesThatFailMeanwhileExcuse(t *testing.T) {
	answer := func(s *shop, failures int) func(*report.Batch) {
		return func(b *report.Batch) {
			b.Served = append(b.Served, report.Served{Source: s.payment1.src, OK: 10 - failures, Failed: failures, Faults: failures, Last: b.Arrived})
		}
	}
	fail := func(s *shop) func(*report.Batch) { // too seldom to say anything of the ledger
		return func(b *report.Batch) {
			b.Calls = append(b.Calls, report.Calls{Caller: s.payment1.src, Callee: report.Callee{Address: s.ledger.addr, Direct: true}, Outcome: report.OutcomeServerError, Count: 12, First: b.Arrived, Last: b.Arrived})
		}
	}
	t.Run("before", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		s.tell(time.Second, 6*time.Second, fail(s))
		s.run(4 * time.Second)
		at := s.now
		s.tell(time.Second, 15*time.Second, answer(s, 6))
		s.accused(at, 12*time.Second, verdict.ClassByzantine, "error_response", "payment-1")
	})
	t.Run("meanwhile", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		s.tell(time.Second, 20*time.Second, both(fail(s), answer(s, 6)))
		for _, ev := range s.events {
			if ev.Verdict != nil && ev.Verdict.Culprit.Name == "payment-1" {
				t.Errorf("said %s", ev.Body)
			}
		}
	})
}

func TestCountsThatFellBeforeItWasWellAgainAccuseNobodyAnew(t *testing.T) {
	const who = "svc1-b0"
	z := newZones()
	z.run(60 * time.Second)
	for range 3 {
		z.e.Observe(&report.Batch{Arrived: z.now, Facts: []report.Fact{{Source: z.who(who).src, Kind: report.FactBackwards, At: z.now, Text: "x fell"}}})
		z.run(5 * time.Second)
	}
	z.expect(t, verdict.ClassByzantine, "instance "+who)
	z.run(2 * time.Minute)
	z.events = nil
	z.answer = func(_, to *zoned) report.Outcome { // it is suspected of something else
		if to.src.Instance == who && z.rand.IntN(4) == 0 {
			return report.OutcomeUnavailable
		}
		return report.OutcomeOK
	}
	z.run(30 * time.Second)
	for _, ev := range z.events {
		if ev.Verdict != nil && ev.Verdict.Class == verdict.ClassByzantine {
			t.Error(ev.Body)
		}
	}
}
