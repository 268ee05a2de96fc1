// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"math"
	"sort"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// after is how long after its end a fault may still be named.
const after = time.Minute

// Score says how right the verdicts were. `unknown` is neither right nor false:
// it costs recall only.
type Score struct {
	Faults        int     `json:"faults"`
	Hours         float64 `json:"hours"`
	FalseVerdicts int     `json:"false_verdicts"` // a class while no fault was there
	FalsePerHour  float64 `json:"false_verdicts_per_hour"`
	// UnknownOutside counts `unknown` while no fault was there.
	UnknownOutside int          `json:"unknown_outside"`
	Classes        []ClassScore `json:"classes"`
}

// ClassScore is the score of one class. Rates are 0 to 1, delays seconds and nil
// if no fault was found. Culprits are ranked over the faults whose label names one.
type ClassScore struct {
	Class       string   `json:"class"`
	Faults      int      `json:"faults"`
	Found       int      `json:"found"`       // the class was said
	CulpritToo  int      `json:"culprit_too"` // of Found, and of the culprit that the label names
	OtherClass  int      `json:"other_class"` // only another class was said
	Unknown     int      `json:"unknown"`     // only `unknown` was
	Nothing     int      `json:"nothing"`
	Precision   float64  `json:"precision"`
	Recall      float64  `json:"recall"`
	F1          float64  `json:"f1"`
	DelayMedian *float64 `json:"delay_median"`
	DelayP95    *float64 `json:"delay_p95"`
	Top1        float64  `json:"culprit_top1"`
	Top3        float64  `json:"culprit_top3"`
	Top5        float64  `json:"culprit_top5"`
}

// score holds verdicts against faults. A fault is found if a verdict of its class
// stood while it lasted or came within a minute after its end; a verdict is right if
// it stood while a fault of its class was there.
func score(faults []fault, events []verdict.Event, covered time.Duration) Score {
	s := Score{Faults: len(faults), Hours: covered.Hours()}
	said := map[string]int{}
	right := map[string]int{}
	all := verdicts(events)
	for i := range all {
		v := &all[i]
		class := string(v.Verdict.Class)
		during, isRight := false, false
		for j := range faults {
			if faults[j].during(v) {
				during = true
				isRight = isRight || faults[j].Class == class
			}
		}
		if !accuses(&v.Event) {
			if !during {
				s.UnknownOutside++
			}
			continue
		}
		said[class]++
		if isRight {
			right[class]++
		}
		if !during {
			s.FalseVerdicts++
		}
	}
	if s.Hours > 0 {
		s.FalsePerHour = float64(s.FalseVerdicts) / s.Hours
	}
	byClass := map[string][]fault{}
	for _, f := range faults {
		byClass[f.Class] = append(byClass[f.Class], f)
	}
	for class := range said {
		byClass[class] = append([]fault(nil), byClass[class]...)
	}
	for class, fs := range byClass {
		s.Classes = append(s.Classes, scoreClass(class, fs, all, said[class], right[class]))
	}
	sort.Slice(s.Classes, func(i, j int) bool { return s.Classes[i].Class < s.Classes[j].Class })
	return s
}

func scoreClass(class string, faults []fault, all []standing, said, right int) ClassScore {
	c := ClassScore{Class: class, Faults: len(faults)}
	var delays []float64
	named, top1, top3, top5 := 0, 0, 0, 0
	for i := range faults {
		f := &faults[i]
		delay := -1.0
		var heard []verdict.Event
		both, unknown := false, false
		for j := range all {
			v := &all[j]
			if !f.during(v) {
				continue
			}
			if !accuses(&v.Event) {
				unknown = true
				continue
			}
			heard = append(heard, v.Event)
			if string(v.Verdict.Class) != class {
				continue
			}
			if delay < 0 {
				delay = f.delay(v)
			}
			both = both || f.is(v.Verdict.Culprit)
		}
		switch {
		case delay >= 0:
			delays = append(delays, delay)
			if both {
				c.CulpritToo++
			}
		case len(heard) > 0:
			c.OtherClass++
		case unknown:
			c.Unknown++
		default:
			c.Nothing++
		}
		if f.Service != "" || f.Instance != "" {
			named++
		}
		switch rank := f.rank(heard); {
		case rank == 1:
			top1++
			fallthrough
		case rank > 0 && rank <= 3:
			top3++
			fallthrough
		case rank > 0 && rank <= 5:
			top5++
		}
	}
	c.Found = len(delays)
	c.rates(right, said, c.Found, len(faults))
	if n := float64(named); n > 0 {
		c.Top1, c.Top3, c.Top5 = float64(top1)/n, float64(top3)/n, float64(top5)/n
	}
	if n := len(delays); n > 0 {
		sort.Float64s(delays)
		median := (delays[(n-1)/2] + delays[n/2]) / 2
		p95 := delays[int(math.Ceil(0.95*float64(n)))-1] // nearest rank
		c.DelayMedian, c.DelayP95 = &median, &p95
	}
	return c
}

// rates sets precision, the share of what was said that is right; recall, the
// share of what was there that was found; and F1, their harmonic mean.
func (c *ClassScore) rates(right, said, found, there int) {
	if said > 0 {
		c.Precision = float64(right) / float64(said)
	}
	if there > 0 {
		c.Recall = float64(found) / float64(there)
	}
	if c.Precision+c.Recall > 0 {
		c.F1 = 2 * c.Precision * c.Recall / (c.Precision + c.Recall)
	}
}

// rank is the place of the true culprit among those named, surest first; 0 if
// it is not among them.
func (f *fault) rank(named []verdict.Event) int {
	sort.SliceStable(named, func(i, j int) bool { return named[i].Verdict.Confidence > named[j].Verdict.Confidence })
	seen := map[verdict.Culprit]bool{}
	rank := 0
	for _, ev := range named {
		if c := ev.Verdict.Culprit; !seen[c] {
			seen[c] = true
			rank++
			if f.is(c) {
				return rank
			}
		}
	}
	return 0
}

// is says whether c is who the label names: the instance where both name one,
// else the service, or whatever bears the label's name (a link, a node).
func (f *fault) is(c verdict.Culprit) bool {
	sameService := f.Service != "" && (f.Service == c.Service.Name || strings.EqualFold(f.Service, c.Name))
	if f.Instance != "" && (c.Instance != "" || f.Service == "") {
		return (f.Instance == c.Instance || f.Instance == c.Name) && (sameService || f.Service == "" || c.Service.Name == "")
	}
	return sameService
}
