// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func TestServicesThatArePartedWhereverTheyStand(t *testing.T) {
	apart := func(from, to *zoned) bool {
		return from.src.Service.Name == "svc0" && to.src.Service.Name == "svc1"
	}
	for name, c := range map[string]struct {
		way    func(from, to *zoned) bool
		ends   report.Outcome
		byName bool
		link   bool
	}{
		"no_instance_of_one_can_connect_to_the_other": {apart, report.OutcomeConnectTimeout, false, true},
		"nor_by_the_name_of_the_service":              {apart, report.OutcomeConnectTimeout, true, true},
		"they_connect_and_get_no_answer":              {apart, report.OutcomeTimeout, true, false},
		"one_of_them_can": {func(from, to *zoned) bool { return apart(from, to) && from.src.Instance != "svc0-c1" },
			report.OutcomeConnectTimeout, true, false},
		"nobody_else_can_connect_to_it_either": {func(_, to *zoned) bool { return to.src.Service.Name == "svc1" },
			report.OutcomeConnectTimeout, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.times, z.byName = 4, c.byName
			z.run(60 * time.Second)
			z.answer = func(from, to *zoned) report.Outcome {
				if c.way(from, to) {
					return c.ends
				}
				return report.OutcomeOK
			}
			z.run(40 * time.Second)
			v := z.verdicts()["link svc0→svc1"]
			switch {
			case !c.link && v != nil:
				t.Errorf("they are said to be parted: %s", v.Reason)
			case c.link && (v == nil || v.Class != verdict.ClassPartition || v.Confidence > ceilingOneSided):
				t.Errorf("they are not said to be parted: %+v", v)
				z.dump(t)
			}
		})
	}
}
