// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"sort"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// scoreJobs holds the last verdict on each job against its label. Nothing said,
// or `unknown`, is the answer that nothing was wrong; a verdict on somebody
// without a label counts as false.
func scoreJobs(jobs []job, events []verdict.Event, covered time.Duration) Score {
	s := Score{Hours: covered.Hours()}
	label := map[string]string{}
	there, said, right := map[string]int{}, map[string]int{}, map[string]int{}
	for _, j := range jobs {
		label[j.Job] = j.Class
		if j.Class != classNone {
			there[j.Class]++
			s.Faults++
		}
	}
	answers := map[string]string{}
	for i := range events {
		if accuses(&events[i]) {
			v := events[i].Verdict
			answers[jobOf(v.Culprit, label)] = string(v.Class)
		}
	}
	for name, class := range answers {
		said[class]++
		switch label[name] {
		case class:
			right[class]++
		case "", classNone:
			s.FalseVerdicts++
		}
	}
	if s.Hours > 0 {
		s.FalsePerHour = float64(s.FalseVerdicts) / s.Hours
	}
	for _, class := range classes {
		if there[class]+said[class] > 0 {
			c := ClassScore{Class: class, Faults: there[class]}
			c.rates(right[class], said[class], right[class], there[class])
			s.Classes = append(s.Classes, c)
		}
	}
	sort.Slice(s.Classes, func(i, j int) bool { return s.Classes[i].Class < s.Classes[j].Class })
	return s
}

// jobOf is the label's name for a culprit: its instance, else its service, else
// its own name.
func jobOf(c verdict.Culprit, label map[string]string) string {
	for _, name := range []string{c.Instance, c.Name, c.Service.Name} {
		if _, ok := label[name]; ok && name != "" {
			return name
		}
	}
	return c.Name
}
