// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

const fellAt clock.Time = 1e18

// tied is an engine that was told of a server on s1 that fell, to which app1 was
// connected, and of another of its cluster on s2.
func tied() *Engine {
	e := New(DefaultParams())
	e.now = fellAt
	e.servers.ports["10.0.0.2:1"] = &portHost{host: "s2", target: "process:x:1"}
	e.ties.at = map[tie]clock.Time{{"app1", "10.0.0.1:1"}: fellAt}
	return e
}

func fell() fallen {
	return fallen{target: "process:x:1", host: "s1", addresses: []string{"10.0.0.1:1"}, since: fellAt, at: fellAt}
}

func TestWhoDependsOnOneWhoFell(t *testing.T) {
	member := func(e *Engine) {
		e.ties.at[tie{"s2", "10.0.0.1:1"}], e.ties.at[tie{"app2", "10.0.0.2:1"}] = fellAt, fellAt
	}
	for name, c := range map[string]struct {
		change func(e *Engine)
		want   []string
	}{
		"who_was_connected_to_it":                 {func(*Engine) {}, []string{"app1"}},
		"not_who_was_long_ago":                    {func(e *Engine) { e.ties.at[tie{"app1", "10.0.0.1:1"}] = fellAt.Add(-tiedFor - 1) }, nil},
		"not_others_on_its_host":                  {func(e *Engine) { e.ties.at[tie{"s1", "10.0.0.1:1"}] = fellAt }, []string{"app1"}},
		"not_who_was_to_others":                   {func(e *Engine) { e.ties.at[tie{"app2", "10.0.0.9:1"}] = fellAt }, []string{"app1"}},
		"who_was_to_its_cluster":                  {member, []string{"app1", "app2", "s2"}},
		"not_long_ago_to_that":                    {func(e *Engine) { member(e); e.ties.at[tie{"app2", "10.0.0.2:1"}] = fellAt.Add(-tiedFor - 1) }, []string{"app1", "s2"}},
		"not_itself_to_that":                      {func(e *Engine) { member(e); e.ties.at[tie{"s1", "10.0.0.2:1"}] = fellAt }, []string{"app1", "app2", "s2"}},
		"who_was_to_a_server_beside_one_that_was": {func(e *Engine) { member(e); e.servers.ports["10.0.0.2:1"].target = "process:y:1" }, []string{"app1", "app2", "s2"}},
		"not_if_that_tells_of_its_answers": {func(e *Engine) {
			member(e)
			e.servers.ports["10.0.0.2:1"].target = "process:y:1"
			y := e.instance(report.NewSource(report.Source{Service: report.ServiceID{Name: "y"}, Host: "s2"}))
			y.served.total = 1
			e.book.put("10.0.0.2:1", y, fellAt)
		}, []string{"app1", "s2"}},
		"not_to_another_cluster": {func(e *Engine) { member(e); delete(e.ties.at, tie{"s2", "10.0.0.1:1"}) }, []string{"app1"}},
	} {
		t.Run(name, func(t *testing.T) {
			e, f := tied(), fell()
			c.change(e)
			if got := slices.Sorted(maps.Keys(e.dependents(&f))); !slices.Equal(got, c.want) {
				t.Errorf("%v depend on it", got)
			}
		})
	}
}

func TestWhoseFallMayBeWhy(t *testing.T) {
	for name, c := range map[string]struct {
		later, since time.Duration // now, and when failures began, after the fall
		host         string
		why          bool
	}{
		"it_fell_before":              {10 * time.Second, time.Second, "app1", true},
		"it_is_seen_later":            {10 * time.Second, -fellBefore, "app1", true},
		"it_fell_after":               {10 * time.Second, -fellBefore - 1, "app1", false},
		"it_fell_long_before":         {25 * time.Second, fellsWithin + 1, "app1", false},
		"it_is_long_ago":              {fellsOn + 1, time.Second, "app1", false},
		"one_who_does_not_depend":     {10 * time.Second, time.Second, "app2", false},
		"one_of_whom_no_host_is_told": {10 * time.Second, time.Second, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			e := tied()
			e.noteFall(fell())
			e.now = e.now.Add(c.later)
			n := &entity{host: e.host(c.host)}
			if why := e.fellFor(n, fellAt.Add(c.since)) != nil; why != c.why {
				t.Errorf("it is why: %v", why)
			}
		})
	}
}

func TestHowAProcessFell(t *testing.T) {
	look := func(change func(b *report.Probe)) *report.Probe {
		p := runs(17)
		b := &report.Probe{Host: "s1", Target: "process:x:1", Addresses: []string{"10.0.0.1:1"}, Process: &p}
		change(b)
		return b
	}
	gone := func(status int) func(b *report.Probe) {
		return func(b *report.Probe) {
			b.Process.State, b.Process.HasExitCode, b.Process.ExitCode = report.ProcessGone, status >= 0, max(status, 0)
		}
	}
	const none, bad, orderly = -1, int(fallBad), int(fallOrderly)
	for name, c := range map[string]struct {
		change func(b *report.Probe)
		port   portHost // what was told of its address
		how    int
	}{
		"stopped":                {func(b *report.Probe) { b.Process.State = report.ProcessStopped }, portHost{}, bad},
		"killed":                 {gone(137), portHost{}, bad},
		"asked_to_end":           {gone(143), portHost{}, orderly},
		"nobody_tells_how":       {gone(-1), portHost{}, orderly},
		"it_runs":                {func(*report.Probe) {}, portHost{host: "s1", target: "process:x:1", started: 17e10}, none},
		"a_client":               {func(b *report.Probe) { gone(137)(b); b.Client = true }, portHost{}, none},
		"nobody_tells_where":     {func(b *report.Probe) { gone(137)(b); b.Host = "" }, portHost{}, none},
		"it_takes_no_calls":      {func(b *report.Probe) { gone(137)(b); b.Addresses = nil }, portHost{}, none},
		"started_anew":           {func(*report.Probe) {}, portHost{host: "s1", target: "process:x:1", started: 5}, orderly},
		"started_for_the_first":  {func(*report.Probe) {}, portHost{host: "s1", target: "process:x:1"}, none},
		"on_another_host":        {func(*report.Probe) {}, portHost{host: "s9", target: "process:x:1", started: 5}, none},
		"another_had_that_place": {func(*report.Probe) {}, portHost{host: "s1", target: "process:y:1", started: 5}, none},
	} {
		t.Run(name, func(t *testing.T) {
			e := tied()
			e.servers.ports["10.0.0.1:1"] = &c.port
			e.looked(look(c.change))
			got := none
			if len(e.ties.fallen) > 0 {
				got = int(e.ties.fallen[0].how)
			}
			if got != c.how {
				t.Errorf("fell %d", got)
			}
		})
	}
	t.Run("it_is_back", func(t *testing.T) {
		e := tied()
		f := fell()
		e.ties.fallen = []fallen{f, {target: "process:y:1", host: "s1"}, {target: f.target, host: "s2"}}
		e.looked(look(func(*report.Probe) {}))
		if g := e.ties.fallen; !g[0].back || g[1].back || g[2].back {
			t.Errorf("back: %v", g)
		}
		if e.missedFall(f.target, e.host("s1")) != nil {
			t.Error("it is missed")
		}
		f.at++
		if e.noteFall(f); e.ties.fallen[2].since != f.since || e.ties.fallen[2].back {
			t.Error("that it fell again is no fall of its own")
		}
	})
}

func TestAFallLasts(t *testing.T) {
	e, f := tied(), fell()
	e.noteFall(f)
	f.at, f.since, f.addresses = f.at.Add(fellsWithin-1), f.since.Add(fellsWithin-1), []string{"10.0.0.1:1", "10.0.0.1:2"}
	if e.noteFall(f); len(e.ties.fallen) != 1 || e.ties.fallen[0].since != fellAt || len(e.ties.fallen[0].addresses) != 2 {
		t.Errorf("it is %v", e.ties.fallen)
	}
	f.addresses = make([]string, 3*maxAddressesEach)
	for i := range f.addresses {
		f.addresses[i] = string(rune('a' + i))
	}
	if e.noteFall(f); len(e.ties.fallen[0].addresses) > maxAddressesEach {
		t.Errorf("it has %d addresses", len(e.ties.fallen[0].addresses))
	}
	f.at = f.at.Add(fellsWithin)
	f.since = f.at
	if e.noteFall(f); len(e.ties.fallen) != 1 || e.ties.fallen[0].since != f.since {
		t.Error("one much later is the same fall")
	}
}

func TestByWhichAddressAFallenServerIsKnown(t *testing.T) {
	e, f := tied(), fell()
	for name, c := range map[string]struct {
		addresses []string
		want      string
	}{
		"the_port_of_its_name":     {[]string{"10.0.0.1:7", "10.0.0.1:1"}, "10.0.0.1:1"},
		"else_the_first":           {[]string{"10.0.0.1:7", "10.0.0.1:8"}, "10.0.0.1:7"},
		"not_loopback":             {[]string{"127.0.0.1:1", "10.0.0.1:7"}, "10.0.0.1:7"},
		"not_a_name":               {[]string{"s1:1", "10.0.0.1:7"}, "10.0.0.1:7"},
		"not_what_many_hosts_have": {[]string{"172.17.0.1:1", "10.0.0.1:7"}, "10.0.0.1:7"},
		"none":                     {[]string{"127.0.0.1:1"}, ""},
	} {
		e.servers.ports["172.17.0.1:1"] = &portHost{host: "s1", at: e.now, others: e.now}
		if f.addresses = c.addresses; e.front(&f) != c.want {
			t.Errorf("%s: %s", name, e.front(&f))
		}
	}
}

func TestWhoFailsForWantOfOneWhoFell(t *testing.T) {
	for name, c := range map[string]struct {
		change func(e *Engine, n *entity)
		fails  bool
	}{
		"who_began_to_then": {func(*Engine, *entity) {}, true},
		"not_once": {func(e *Engine, n *entity) {
			n.served.failed = stat.Fading{}
			n.served.failed.Add(1, e.now, e.params.CallWindow)
		}, false},
		"not_seldom":               {func(e *Engine, n *entity) { n.served.ok.Add(100, e.now, e.params.CallWindow) }, false},
		"not_who_did_before":       {func(_ *Engine, n *entity) { n.served.failsFrom = fellAt.Add(-fellBefore - 1) }, false},
		"not_who_did_long_after":   {func(_ *Engine, n *entity) { n.served.failsFrom = fellAt.Add(fellsWithin + 1) }, false},
		"not_where_it_has_no_host": {func(_ *Engine, n *entity) { n.host = nil }, false},
		"not_on_other_hosts":       {func(e *Engine, n *entity) { n.host = e.host("app2") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			e, f := tied(), fell()
			n := e.instance(report.NewSource(report.Source{Service: report.ServiceID{Name: "web"}, Instance: "w", Host: "app1"}))
			n.served.failed.Add(5, e.now, e.params.CallWindow)
			n.served.failsFrom = fellAt
			c.change(e, n)
			f.hosts = map[string]bool{"app1": true}
			if got := e.failsFor(&f); got != c.fails {
				t.Errorf("somebody fails: %v", got)
			}
			e.ties.fallen = []fallen{f}
			b := &report.Probe{Host: "s1", Target: f.target}
			if n := e.unspoken(b, e.host("s1")); (n != nil) != c.fails || e.missedFall(f.target, nil) != nil {
				t.Errorf("%v is missed", n)
			}
			e.ties.fallen[0].addresses = []string{"127.0.0.1:1"}
			if n := e.unspoken(b, e.host("s1")); n != nil {
				t.Errorf("%v is missed, and nobody could know it", n)
			}
			e.ties.fallen[0].back = true
			if e.missedFall(f.target, e.host("s1")) != nil {
				t.Error("it is missed though it is back")
			}
		})
	}
}

func TestWhoIsAskedNoMoreSinceOneFell(t *testing.T) {
	for name, c := range map[string]struct {
		change func(e *Engine, n *entity)
		idle   bool
	}{
		"who_was_until_then":            {func(*Engine, *entity) {}, true},
		"not_others":                    {func(e *Engine, n *entity) { e.ties.at = map[tie]clock.Time{{"s9", "10.0.0.11:8080"}: e.now} }, false},
		"not_long_ago":                  {func(e *Engine, n *entity) { e.ties.at[tie{"s1", "10.0.0.11:8080"}] = fellAt.Add(-tiedFor - 1) }, false},
		"not_who_never_was":             {func(_ *Engine, n *entity) { n.served.total = 0 }, false},
		"not_on_its_own_host":           {func(e *Engine, n *entity) { n.host = e.host("s1") }, false},
		"not_who_is_nowhere":            {func(_ *Engine, n *entity) { n.host = nil }, false},
		"not_a_service":                 {func(_ *Engine, n *entity) { n.kind = kindService }, false},
		"not_who_is_not_known":          {func(_ *Engine, n *entity) { n.rate.Known = stat.RateKnown - 1 }, false},
		"not_who_is_quiet_for_a_moment": {func(e *Engine, n *entity) { n.served.seen = e.now.Add(-time.Second); n.rate.Usual = 1e6 }, false},
		"not_who_is_seldom_asked":       {func(_ *Engine, n *entity) { n.rate.Usual = 0.01 }, false},
		"not_who_was_not_until_then":    {func(_ *Engine, n *entity) { n.served.last = fellAt.Add(-fellBefore - 1) }, false},
		"not_who_was_after":             {func(_ *Engine, n *entity) { n.served.last = fellAt.Add(fellBefore + 1) }, false},
		"not_who_failed":                {func(_ *Engine, n *entity) { n.verdict = &verdict.Verdict{Class: verdict.ClassCrash} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			e, f := tied(), fell()
			n := e.instance(report.NewSource(report.Source{Service: report.ServiceID{Name: "web"}, Instance: "w", Host: "app1"}))
			e.book.put("10.0.0.11:8080", n, e.now)
			e.ties.at[tie{"s1", "10.0.0.11:8080"}] = fellAt
			n.served.total, n.served.last, n.served.seen = 100, fellAt, fellAt
			n.rate.Known, n.rate.Usual = stat.RateKnown, 10
			e.now = e.now.Add(20 * time.Second)
			c.change(e, n)
			if got := e.idleFor(&f); got != c.idle {
				t.Errorf("idle: %v", got)
			}
		})
	}
}

func TestAFullTableOfTiesKeepsWhatStands(t *testing.T) {
	e := tied()
	e.ties.cap, e.ties.swept = 2, 0
	e.connected(&report.Probe{Host: "app2", Addresses: []string{"10.0.0.1:1"}})
	e.now = e.now.Add(tiedFor)
	e.connected(&report.Probe{Host: "app1", Addresses: []string{"10.0.0.1:1"}}) // there is room for who is known
	e.now++
	e.connected(&report.Probe{Host: "app3", Addresses: []string{"10.0.0.1:1"}})
	if at := e.ties.at; len(at) != 2 || at[tie{"app1", "10.0.0.1:1"}] == 0 || at[tie{"app3", "10.0.0.1:1"}] == 0 || e.ties.dropped != 0 {
		t.Errorf("%v, %d dropped", at, e.ties.dropped)
	}
	e.connected(&report.Probe{Host: "app4", Addresses: []string{"10.0.0.2:1"}, Outcome: report.OutcomeUnacknowledged})
	if e.ties.dropped != 1 || len(e.ties.fallen) != 0 {
		t.Errorf("%d dropped, %v fell", e.ties.dropped, e.ties.fallen)
	}
	e.servers.ports["10.0.0.1:1"] = &portHost{host: "s1"}
	e.connected(&report.Probe{Host: "app1", Addresses: []string{"10.0.0.1:1"}, Outcome: report.OutcomeUnacknowledged})
	if len(e.ties.fallen) != 0 {
		t.Error("nobody knows what takes connections there, and it fell")
	}
}

func TestWhoseFailuresAreForWantOfOneWhoFell(t *testing.T) {
	for name, c := range map[string]struct {
		kind          entityKind
		errors, fails time.Duration // when its own failures, and all, began after the fall
		want          bool
	}{
		"an_instance":            {kindInstance, time.Second, time.Second, true},
		"an_external":            {kindExternal, time.Second, time.Second, true},
		"not_a_service":          {kindService, time.Second, time.Second, false},
		"who_waited_at_first":    {kindInstance, time.Minute, time.Second, true},
		"not_who_did_long_after": {kindInstance, time.Minute, time.Minute, false},
		"not_who_makes_none":     {kindInstance, 0, time.Second, false},
	} {
		e, f := tied(), fell()
		e.noteFall(f)
		n := &entity{kind: c.kind, host: e.host("app1")}
		if n.served.failsFrom = fellAt.Add(c.fails); c.errors != 0 {
			n.integrity.errs[workAnswers].since = fellAt.Add(c.errors)
		}
		p := &episode{}
		if detectTies(e, n, p); p.found[belief.EvCalleeFailing].now != c.want {
			t.Errorf("%s: excused %v", name, !c.want)
		}
	}
}

func TestWhoIsOfACluster(t *testing.T) {
	for name, c := range map[string]struct {
		change func(e *Engine, n *entity, f *fallen)
		is     bool
	}{
		"the_same_server_elsewhere": {func(*Engine, *entity, *fallen) {}, true},
		"known_by_another_address": {func(_ *Engine, n *entity, _ *fallen) {
			n.address, n.addresses = "db:1", []string{"10.0.0.9:9", "10.0.0.2:1"}
		}, true},
		"not_itself":                {func(_ *Engine, _ *entity, f *fallen) { f.host = "s2" }, false},
		"not_another_server":        {func(_ *Engine, _ *entity, f *fallen) { f.target = "process:y:1" }, false},
		"not_at_anothers_address":   {func(e *Engine, _ *entity, _ *fallen) { e.servers.ports["10.0.0.2:1"].host = "s3" }, false},
		"not_who_is_nowhere_looked": {func(_ *Engine, n *entity, _ *fallen) { n.address = "db:1" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			e, f := tied(), fell()
			n := &entity{kind: kindExternal, address: "10.0.0.2:1", host: &hostState{name: "s2"}}
			c.change(e, n, &f)
			if is := e.ofItsCluster(n, &f); is != c.is {
				t.Errorf("it is: %v", is)
			}
		})
	}
}

func TestWhoStandsWhere(t *testing.T) {
	e := tied()
	e.servers.ports["10.0.0.2"] = &portHost{host: "s2", at: e.now}
	e.servers.ports["172.17.0.1"] = &portHost{host: "s2", at: e.now, others: e.now}
	for ip, want := range map[string]string{"10.0.0.2": "s2", "172.17.0.1": "", "10.0.0.9": ""} {
		if got := e.servers.hostAt(ip, e.now); got != want {
			t.Errorf("%s is %q", ip, got)
		}
	}
	p := e.servers.ports["10.0.0.2:1"]
	if e.standsAt(tie{"app1", "10.0.0.2:1"}) != p || e.standsAt(tie{"s2", "10.0.0.2:1"}) != nil || e.standsAt(tie{"app1", "10.0.0.3:1"}) != nil {
		t.Error("a server stands elsewhere than where its agent tells")
	}
	p.others = e.now
	if e.standsAt(tie{"app1", "10.0.0.2:1"}) != nil {
		t.Error("it stands at an address that two hosts have")
	}
	if p.others, p.target = 0, ""; e.standsAt(tie{"app1", "10.0.0.2:1"}) != nil {
		t.Error("nobody tells of a process there")
	}
}

// What an agent tells late says nothing of now, and what nobody tells any more is over.
func TestWhatIsToldOfAWayIsOfNow(t *testing.T) {
	c := newBrokers(t)
	k := tie{"app1", "10.0.0.1:4222"}
	tell := func(o report.Outcome, loss float64, from string) {
		stamp := c.stamp()
		stamp.Observer = "app1"
		c.e.probed(&report.Probe{Stamp: stamp, Target: "connections:" + k.address, Outcome: o, Interval: 2 * time.Second, Passive: true, Host: "app1",
			Addresses: []string{k.address}, Loss: loss, From: from})
	}
	tell(report.OutcomeUnacknowledged, 0, "")
	if c.e.ties.vain[k] == nil {
		t.Fatal("it is not followed")
	}
	tell(report.OutcomeOK, 0, "")
	if c.e.ties.vain[k] != nil {
		t.Error("it goes on though all is acknowledged")
	}
	tell(report.OutcomeOK, 0.4, "")
	tell(report.OutcomeOK, 0, "")
	if v := c.e.ties.vain[k]; v == nil || v.share != 0.4 {
		t.Error("a loss ends though it is told seldom that something gets through")
	}
	c.e.now = c.e.now.Add(9 * time.Second)
	if c.e.unnamedSights(nil); len(c.e.ties.vain) != 0 {
		t.Error("what nobody tells any more is kept")
	}
	tell(report.OutcomeUnacknowledged, 0, "10.0.0.99")
	if len(c.e.ties.vain) != 0 {
		t.Error("of a machine of which nobody tells something is followed")
	}
	c.e.ties.cap = 0
	dropped := c.e.ties.dropped
	if tell(report.OutcomeUnacknowledged, 0, ""); len(c.e.ties.vain) != 0 || c.e.ties.dropped == dropped {
		t.Error("it is not bounded")
	}
}
