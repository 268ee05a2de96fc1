// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

func TestSource(t *testing.T) {
	const uuid4, uuid5 = "6ba7b810-9dad-41d1-80b4-00c04fd430c8", "6ba7b810-9dad-51d1-80b4-00c04fd430c8"
	cases := map[string]struct {
		res  attrs
		want report.Source // without keys
	}{
		"all_that_identifies": {
			attrs{"service.name": "payment", "service.namespace": "shop", "service.instance.id": "payment-0", "service.version": "1.2",
				"deployment.environment.name": "production", "k8s.cluster.name": "eu-1", "k8s.pod.uid": "p-1", "host.name": "pod-name",
				"k8s.node.name": "node-1", "cloud.availability_zone": "eu-1a"},
			report.Source{Service: report.ServiceID{Name: "payment", Namespace: "shop", Environment: "production", Cluster: "eu-1"},
				Instance: "payment-0", PodUID: "p-1", Host: "node-1", Zone: "eu-1a", Version: "1.2"},
		},
		"old_environment_name": {
			attrs{"service.name": "payment", "deployment.environment": "staging", "host.id": "h-1"},
			report.Source{Service: report.ServiceID{Name: "payment", Environment: "staging"}, Host: "h-1"},
		},
		"new_environment_name_wins": {
			attrs{"service.name": "payment", "deployment.environment.name": "production", "deployment.environment": "staging"},
			report.Source{Service: report.ServiceID{Name: "payment", Environment: "production"}},
		},
		"random_uuid_is_drawn_at_each_start": {
			attrs{"service.name": "payment", "service.instance.id": uuid4},
			report.Source{Service: report.ServiceID{Name: "payment"}, Instance: uuid4, Volatile: true},
		},
		"uuid_computed_from_names_lasts": {
			attrs{"service.name": "payment", "service.instance.id": uuid5},
			report.Source{Service: report.ServiceID{Name: "payment"}, Instance: uuid5},
		},
		"pod_uid_as_instance_is_a_slot_not_an_incarnation": {
			attrs{"service.name": "payment", "service.instance.id": uuid4, "k8s.pod.uid": uuid4},
			report.Source{Service: report.ServiceID{Name: "payment"}, PodUID: uuid4},
		},
		"number_as_instance_id": {
			attrs{"service.name": "payment", "service.instance.id": 7},
			report.Source{Service: report.ServiceID{Name: "payment"}, Instance: "7"},
		},
		"unknown_service_is_a_service_of_that_name": {
			attrs{"service.name": "unknown_service:java"},
			report.Source{Service: report.ServiceID{Name: "unknown_service:java"}},
		},
		"host_alone_is_a_node": {attrs{"host.name": "node-1"}, report.Source{Host: "node-1"}},
		"invalid_utf8_is_replaced": {
			attrs{"service.name": "pay\xffment"},
			report.Source{Service: report.ServiceID{Name: "pay\uFFFDment"}},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := *New(Settings{}).Source(resource(t, c.res))
			want := *report.NewSource(c.want)
			if got.Key != want.Key || got.ServiceKey != want.ServiceKey {
				t.Errorf("keys differ")
			}
			want.Incarnation, got.Incarnation = 0, 0
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestSource_nobody(t *testing.T) {
	x := New(Settings{})
	for _, a := range []attrs{{}, {"service.name": ""}, {"service.name": true}, {"telemetry.sdk.name": "x"}} {
		if src := x.Source(resource(t, a)); src != nil {
			t.Errorf("%v: %+v", a, src)
		}
	}
}

func TestSource_incarnation(t *testing.T) {
	x := New(Settings{})
	at := func(created string, pid int) uint64 {
		return x.Source(resource(t, attrs{"service.name": "payment", "process.pid": pid, "process.creation.time": created})).Incarnation
	}
	first := at("2026-01-02T03:04:05.678Z", 1)
	if first == 0 || first != at("2026-01-02T04:04:05.678+01:00", 1) {
		t.Error("one start time must be one incarnation, however it is written")
	}
	if first == at("2026-01-02T03:05:05Z", 1) {
		t.Error("two start times must be two incarnations")
	}
	if got := x.Source(resource(t, attrs{"service.name": "payment", "process.pid": 1})).Incarnation; got != 0 {
		t.Errorf("a pid alone tells no incarnation, got %d", got)
	}
}

func TestSource_is_interned(t *testing.T) {
	x := New(Settings{})
	a, b := resource(t, checkout), resource(t, checkout)
	if x.Source(a) != x.Source(b) {
		t.Error("the same identity must be the same pointer")
	}
	other := resource(t, checkout)
	other.Attributes().PutStr("service.version", "2")
	if x.Source(a) == x.Source(other) {
		t.Error("another version must be another source")
	}
	if n := testing.AllocsPerRun(100, func() { x.Source(a) }); n != 0 {
		t.Errorf("%v allocations on a hit", n)
	}
}

func TestSource_huge_names_are_shortened_and_stay_two(t *testing.T) {
	x := New(Settings{})
	huge := strings.Repeat("ö", 1<<19)
	a := x.Source(resource(t, attrs{"service.name": huge + "a"}))
	b := x.Source(resource(t, attrs{"service.name": huge + "b"}))
	if a.Key == b.Key || a.Service.Name == b.Service.Name {
		t.Error("two names became one")
	}
	if n := a.Service.Name; len(n) > maxName || !utf8.ValidString(n) {
		t.Errorf("name of %d bytes, valid %v", len(n), utf8.ValidString(n))
	}
}

func TestSource_flood_is_bounded_and_counted(t *testing.T) {
	x := New(Settings{MaxSources: 1000})
	for i := range 20_000 {
		x.Source(resource(t, attrs{"service.name": fmt.Sprint("made-up-", i), "k8s.pod.uid": fmt.Sprint(i)}))
	}
	if n := x.Names()["source"].Kept; n > 2000 {
		t.Errorf("%d sources kept", n)
	}
	if n := x.pods.len(); n > 2*namesEach*1000 {
		t.Errorf("%d pods kept", n)
	}
	if forgotten := x.Names()["source"].Forgotten; forgotten < 17_000 {
		t.Errorf("%d forgotten", forgotten)
	}
}

func TestSource_in_use_survives_a_flood(t *testing.T) {
	x := New(Settings{MaxSources: 1600})
	res := resource(t, checkout)
	src := x.Source(res)
	for i := range 20_000 {
		x.Source(resource(t, attrs{"service.name": fmt.Sprint("made-up-", i)}))
		if i%100 == 0 && x.Source(res) != src {
			t.Fatalf("forgotten after %d", i)
		}
	}
}

func TestCache_collision_costs_no_confusion(t *testing.T) {
	c := newCache[string, int](16)
	one, two := 1, 2
	a, b := "a", "b"
	c.put(7, a, &one)
	if c.get(7, &b) != nil {
		t.Error("found by hash alone")
	}
	if c.put(7, b, &two) != &two || c.get(7, &b) != &two || c.get(7, &a) != nil {
		t.Error("the later must displace the earlier")
	}
}

func TestSource_concurrent(t *testing.T) {
	x := New(Settings{MaxSources: 64})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				name := fmt.Sprint("s", (i*7+g)%100)
				if src := x.Source(resource(t, attrs{"service.name": name})); src.Service.Name != name {
					t.Errorf("asked for %s, got %s", name, src.Service.Name)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestSource_version_is_what_it_was_started_from(t *testing.T) {
	for name, c := range map[string]struct {
		res  attrs
		want string
	}{
		"as_it_says":      {attrs{"service.version": "1.2", "container.image.tag": "9f3c", "k8s.replicaset.name": "payment-85bc"}, "1.2"},
		"its_image":       {attrs{"container.image.tag": "9f3c", "k8s.replicaset.name": "payment-85bc"}, "9f3c"},
		"its_replica_set": {attrs{"k8s.replicaset.name": "payment-85bc"}, "payment-85bc"},
		"nothing":         {attrs{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.res["service.name"] = "payment"
			if got := New(Settings{}).Source(resource(t, c.res)).Version; got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
