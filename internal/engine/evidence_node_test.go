// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// cluster is nodes of which only Kubernetes and their agents tell, with two pods each.
type cluster struct {
	e      *Engine
	now    clock.Time
	pods   []*report.Source
	silent map[string]bool // nodes from which nothing comes any more
	said   []string
}

func newCluster(nodes int, zones ...string) *cluster {
	c := &cluster{e: New(DefaultParams()), now: clock.Time(1_800_000_000_000_000_000), silent: map[string]bool{}}
	for i := range 2 * nodes {
		s := report.Source{Service: report.ServiceID{Name: fmt.Sprintf("svc-%d", i)}, PodUID: fmt.Sprint(i), Host: fmt.Sprintf("node-%d", i/2)}
		if len(zones) > 0 {
			s.Zone = zones[i/2]
		}
		c.pods = append(c.pods, report.NewSource(s))
	}
	return c
}

// run tells every ten seconds what Kubernetes and the agents tell. Kubernetes goes on to call ready
// what it has not heard of.
func (c *cluster) run(d time.Duration) {
	for end := c.now.Add(d); c.now < end; {
		c.now = c.now.Add(time.Second)
		if c.now.Sub(0)%(10*time.Second) == 0 {
			b := &report.Batch{Arrived: c.now}
			for _, p := range c.pods {
				if !c.silent[p.Host] {
					b.Facts = append(b.Facts, report.Fact{Source: p, Kind: report.FactReady, Value: 1, At: c.now})
					b.Levels = append(b.Levels, report.Level{Source: &report.Source{Host: p.Host}, Kind: report.LevelCPU, Share: 0.2, At: c.now})
				}
			}
			c.e.Observe(b)
		}
		c.e.Tick(c.now)
		for _, ev := range c.e.Events() {
			if ev.Kind == contract.EventFailureDetected || ev.Kind == contract.EventFailureRevised {
				c.said = append(c.said, fmt.Sprintf("%s %s %s/%s", ev.Verdict.Culprit.Type, ev.Verdict.Culprit.Name, ev.Verdict.Class, ev.Verdict.Subclass))
			}
		}
	}
}

func (c *cluster) node(name string, rebooted int64) {
	text := map[int64]string{0: "Kubernetes says that it is not ready", 1: "it has been rebooted"}[rebooted]
	c.e.Observe(&report.Batch{Arrived: c.now, Facts: []report.Fact{{Source: &report.Source{Host: name}, Kind: report.FactNodeDown, Value: rebooted, At: c.now, Text: text}}})
}

func TestNodeThatIsNotReady(t *testing.T) {
	for name, c := range map[string]struct {
		zones []string
		fall  func(c *cluster)
		want  string
	}{
		"is_unknown_and_was_down_if_it_starts_anew": {nil, func(c *cluster) {
			c.silent["node-1"] = true
			c.run(40 * time.Second)
			c.node("node-1", 0)
			c.run(time.Minute)
			c.node("node-1", 1)
			c.silent["node-1"] = false
			c.run(time.Minute)
		}, "[node node-1 unknown/ node node-1 crash/node_down]"},
		"and_goes_on_sending_has_lost_its_kubelet": {nil, func(c *cluster) {
			c.node("node-1", 0)
			c.run(2 * time.Minute)
		}, "[]"},
		"is_no_longer_accused_when_it_is_heard_again": {nil, func(c *cluster) {
			c.silent["node-1"] = true
			c.run(40 * time.Second)
			c.node("node-1", 0)
			c.run(time.Minute)
			c.silent["node-1"] = false
			c.run(20 * time.Second)
			if held := slices.ContainsFunc(c.pods, func(p *report.Source) bool { return c.e.instance(p).verdict != nil }); held {
				c.said = append(c.said, "still")
			}
		}, "[node node-1 unknown/]"},
		"with_all_of_its_zone_is_that_zone": {[]string{"a", "b", "b"}, func(c *cluster) {
			c.silent["node-1"], c.silent["node-2"] = true, true
			c.run(40 * time.Second)
			c.node("node-1", 0)
			c.node("node-2", 0)
			c.run(time.Minute)
		}, "[zone b unknown/ zone b unknown/]"},
		"with_another_of_its_zone_going_on_is_that_node": {[]string{"a", "b", "b"}, func(c *cluster) {
			c.silent["node-1"] = true
			c.run(40 * time.Second)
			c.node("node-1", 0)
			c.run(time.Minute)
		}, "[node node-1 unknown/]"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newCluster(3, c.zones...)
			k.run(3 * time.Minute)
			c.fall(k)
			if got := fmt.Sprint(k.said); got != c.want {
				t.Errorf("said %s, want %s", got, c.want)
			}
		})
	}
}
