// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// crowd tells every five seconds how busy the processors of the host of svc1-b0 are,
// and how much of them two that run there take.
func crowd(z *zones, busy, queue, own, neighbour float64) {
	z.more = func(b *report.Batch) {
		if (z.now/1e8)%50 != 0 {
			return
		}
		host, at := &report.Source{Host: "zone-b-h0"}, z.now
		b.Levels = append(b.Levels,
			report.Level{Source: host, Kind: report.LevelCPU, Share: busy, At: at}, report.Level{Source: host, Kind: report.LevelRunQueue, Share: queue, At: at},
			report.Level{Source: z.who("svc1-b0").src, Kind: report.LevelCPU, Share: own, At: at}, report.Level{Source: z.who("svc2-b0").src, Kind: report.LevelCPU, Share: neighbour, At: at})
	}
}

// waits tells besides for which share of the time svc1-b0 waits for a processor.
func waits(z *zones, share float64) {
	more := z.more
	z.more = func(b *report.Batch) {
		more(b)
		b.Levels = append(b.Levels, report.Level{Source: z.who("svc1-b0").src, Kind: report.LevelCPUWait, Share: share, At: z.now})
	}
}

func TestWhoTakesAllProcessorsIsToBlameForThoseWhoWait(t *testing.T) {
	late := func(to *zoned) bool { return to.src.Instance == "svc1-b0" }
	for name, c := range map[string]struct {
		own, neighbour float64
		culprit        string
	}{
		"a neighbour that tells what it takes": {0.1, 0.9, "instance svc2-b0"},
		"somebody of whom nobody tells":        {0.1, 0.2, "node zone-b-h0"},
		"itself":                               {0.9, 0.1, "instance svc1-b0"},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			crowd(z, 0.3, 0, 0.1, 0.2)
			z.run(2 * time.Minute)
			crowd(z, 1, 0.8, c.own, c.neighbour)
			waits(z, 0.4)
			z.late = late
			z.run(40 * time.Second)
			z.expect(t, verdict.ClassExhaustion, c.culprit)
			for _, v := range z.verdicts() {
				if v.Subclass != "cpu" {
					t.Errorf("subclass %q: %s", v.Subclass, v.Reason)
				}
			}
		})
	}
}

func TestBusyProcessorsThatHurtNobodyAccuseNobody(t *testing.T) {
	late := func(to *zoned) bool { return to.src.Instance == "svc1-b0" }
	for name, during := range map[string]func(z *zones){
		"a job that takes all of them":   func(z *zones) { crowd(z, 1, 0.8, 0.1, 1) },
		"tasks that wait for a disk":     func(z *zones) { crowd(z, 0.3, 0.9, 0.1, 0.2); z.late = late },
		"busy, and others wait for none": func(z *zones) { crowd(z, 1, 0.2, 0.1, 0.2); z.late = late },
		"busy with what gives way":       func(z *zones) { crowd(z, 1, 0.8, 0.1, 1); waits(z, 0.02); z.late = late },
		"as busy as ever, when one is late": func(z *zones) {
			crowd(z, 1, 0.8, 0.1, 0.2)
			z.run(40 * time.Minute)
			z.late = late
		},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			crowd(z, 0.3, 0, 0.1, 0.2)
			z.run(2 * time.Minute)
			during(z)
			z.run(time.Minute)
			z.expect(t, verdict.ClassNone)
		})
	}
}

// What waited on a machine that was short of processors catches up when they are free:
// that it then takes many of them, or answers late yet, makes nobody else the culprit.
func TestAMachineThatIsShortStaysTheCulprit(t *testing.T) {
	for name, after := range map[string]func(z *zones){
		"another that waited takes much of what it gets": func(z *zones) { crowd(z, 1, 0.8, 0.1, 0.9); waits(z, 0.4) },
		"and is short no longer": func(z *zones) {
			crowd(z, 0.3, 0, 0.1, 0.2)
			waits(z, 0)
			z.times = 4
			z.answer = func(_, to *zoned) report.Outcome {
				if to.src.Instance == "svc1-b0" && z.rand.Float64() < 0.4 {
					return report.OutcomeTimeout
				}
				return report.OutcomeOK
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			crowd(z, 0.3, 0, 0.1, 0.2)
			z.run(2 * time.Minute)
			crowd(z, 1, 0.8, 0.1, 0.2)
			waits(z, 0.4)
			z.late = func(to *zoned) bool { return to.src.Instance == "svc1-b0" || to.src.Instance == "svc2-b0" }
			z.run(30 * time.Second)
			z.expect(t, verdict.ClassExhaustion, "node zone-b-h0")
			after(z)
			for range 60 {
				z.run(time.Second)
				for who, v := range z.verdicts() {
					if who != "node zone-b-h0" || v.Subclass != "cpu" {
						t.Fatalf("%s: %s (%s)", who, v.Subclass, v.Reason)
					}
				}
			}
		})
	}
}
