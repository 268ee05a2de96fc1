// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// town makes spans of a fleet of which each instance is named service-number,
// and remembers them by what they are called in a test.
type town struct {
	spans  []Span
	calls  []ledger.Call
	number map[string]byte // of a span; its place in spans, from 1
}

// where the instances run. cart does not tell its zone.
var where = map[string]*Place{
	"web-1": {"node-a1", "zone-a"}, "checkout-1": {"node-a2", "zone-a"}, "checkout-2": {"node-b1", "zone-b"}, "cart-1": {"node-a1", ""},
	"payment-1": {"node-b2", "zone-b"}, "payment-2": {"node-b3", "zone-b"}, "pricing-1": {"node-a2", "zone-a"}, "pricing-2": {"node-b1", "zone-b"},
}

func newTown() *town {
	t := &town{number: map[string]byte{}}
	for instance := range where {
		n := byte(len(t.spans) / fewest)
		for i := range fewest { // the p99 is 99 ms
			t.spans = append(t.spans, t.span(instance, sec(-1000+float64(i)), time.Duration(i+1)*time.Millisecond))
			t.spans[len(t.spans)-1].Trace = traceID{1, n, byte(i)}
		}
	}
	return t
}

func (t *town) span(instance string, start time.Time, long time.Duration) Span {
	return Span{
		Trace: traceID{2}, ID: spanID{1}, Service: instance[:len(instance)-2], Instance: instance, Version: "1.0." + instance[len(instance)-1:],
		Place: where[instance], Operation: "x", Start: start, Duration: long,
	}
}

// slow adds a slow span while the fault lasts.
func (t *town) slow(name, instance, parent string, mark func(*Span)) {
	s := t.span(instance, sec(5), time.Second)
	t.number[name] = byte(len(t.number) + 1)
	s.ID = spanID{t.number[name]}
	s.Parent = spanID{t.number[parent]}
	if mark != nil {
		mark(&s)
	}
	t.spans = append(t.spans, s)
}

func client(s *Span) { s.Client = true }
func server(s *Span) { s.Server = true }
func broken(s *Span) { s.Client, s.Failed = true, true }

// call adds both ends of a slow call.
func (t *town) call(name, from, to, parent string) {
	t.slow(name, from, parent, client)
	t.slow(name+" served", to, name, server)
}

// log adds what a client itself wrote down of its call.
func (t *town) log(name, callee string, ok bool) {
	span := spanID{t.number[name]}
	trace := traceID{2}
	t.calls = append(t.calls, ledger.Call{
		Trace: hex.EncodeToString(trace[:]), Span: hex.EncodeToString(span[:]), Start: sec(5), Duration: time.Second, Callee: callee, OK: ok,
	})
}

// hurt names the spans of the fault that culprits, most specific first, caused.
func (t *town) hurt(class string, culprits ...ledger.Culprit) map[string]hurt {
	in := &ledger.Injection{Kind: ledger.Fault, Class: class, Culprits: culprits, Start: sec(0), End: sec(30)}
	h := newHarm(windowsOf([]*ledger.Injection{in}), t.spans, t.calls)
	out := map[string]hurt{}
	for name, n := range t.number {
		s := h.tree.span(traceID{2}, spanID{n})
		if how := h.by(0, s); how != unhurt {
			out[name] = how
		}
	}
	return out
}

func link(a, b string) ledger.Culprit { return ledger.Culprit{Type: "link", Name: a + "→" + b} }

func TestSlowCallIsHurtByALinkOnlyIfItCrossedIt(t *testing.T) {
	f := newTown()
	f.slow("buy", "web-1", "", server)
	f.call("order", "web-1", "checkout-1", "buy")
	f.call("pay", "checkout-1", "payment-1", "order served")
	f.slow("connect", "checkout-1", "pay", nil)
	f.call("look", "checkout-1", "cart-1", "order served")
	f.slow("connect to cart", "checkout-1", "look", nil)
	f.call("pay other", "checkout-1", "payment-2", "order served")
	f.call("pay of other", "checkout-2", "payment-1", "")
	f.call("back", "payment-1", "checkout-1", "")
	f.slow("send", "checkout-1", "order served", nil)
	f.slow("process", "payment-1", "send", server) // a message, and nobody waits for what becomes of it

	crossed := map[string]hurt{"pay": slow, "connect": slow, "order served": slow, "order": slow, "buy": slow, "back": slow}
	assert.Equal(t, crossed, f.hurt("network_partition", link("checkout-1", "payment-1"), link("payment-1", "checkout-1"),
		link("node-a2", "node-b2"), link("node-b2", "node-a2"), link("checkout", "payment"), link("payment", "checkout")),
		"the wider names of the link make it no wider")
	assert.Equal(t, crossed, f.hurt("network_partition", link("node-b2", "node-a2")))
	crossed["pay other"] = slow
	assert.Equal(t, crossed, f.hurt("network_partition", link("zone-b", "zone-a")), "whichever way it is written")
	assert.Empty(t, f.hurt("network_partition", link("zone-c", "zone-a")))
	assert.Empty(t, f.hurt("network_partition", ledger.Culprit{Type: "link", Name: "zone-a"}), "a link has two ends")
}

func TestZoneCutHurtsSlowCallsWithOneEndInIt(t *testing.T) {
	f := newTown()
	f.call("in", "web-1", "checkout-2", "")
	f.call("out", "checkout-2", "cart-1", "in served") // cart's zone is that of web on the same host
	f.call("inside", "checkout-2", "payment-1", "in served")
	f.call("outside", "web-1", "cart-1", "")
	f.slow("work", "payment-1", "inside served", nil)
	cut := map[string]hurt{"in": slow, "out": slow, "in served": slow}
	assert.Equal(t, cut, f.hurt("network_partition", ledger.Culprit{Type: "zone", Name: "zone-b"}))
	assert.Equal(t, cut, f.hurt("network_partition", ledger.Culprit{Type: "zone", Name: "zone-a"}, link("zone-a", "zone-c")), "the first names the cut")
	assert.Equal(t, map[string]hurt{"in": slow, "out": slow, "inside": slow, "in served": slow},
		f.hurt("network_partition", ledger.Culprit{Type: "node", Name: "node-b1"}))
	assert.Equal(t, map[string]hurt{"inside": slow, "inside served": slow, "work": slow, "in": slow, "in served": slow},
		f.hurt("crash", ledger.Culprit{Type: "node", Name: "node-b2"}), "who is down rather than cut off is slow itself")
}

func TestCallToABalancerIsHurtByTheDeathOfWhoStandsBehindIt(t *testing.T) {
	f := newTown()
	f.slow("find", "web-1", "", client)
	f.slow("found", "search-1", "find", server)
	f.log("find", "proxy", true)
	f.slow("find in vain", "web-1", "", broken)
	f.log("find in vain", "proxy", false)
	dead := ledger.Culprit{Type: "service", Name: "search"}
	assert.Equal(t, failed, f.hurt("crash", dead)["find in vain"])
	dead.Name = "cart"
	assert.Empty(t, f.hurt("crash", dead), "who stands elsewhere")
}

func TestFailedSpansOfTheTimeOfACutStayHurt(t *testing.T) {
	f := newTown()
	f.slow("look", "web-1", "", broken)
	f.slow("look served", "cart-1", "look", func(s *Span) { s.Server, s.Failed = true, true })
	for _, c := range []ledger.Culprit{link("checkout-1", "payment-1"), {Type: "zone", Name: "zone-b"}, {Type: "node", Name: "node-b1"}} {
		assert.Equal(t, map[string]hurt{"look": failed, "look served": failed}, f.hurt("network_partition", c))
	}
}

func TestCallWithoutAServersSpanCountsByTheLog(t *testing.T) {
	f := newTown()
	for name, callee := range map[string]string{"pays": "payment", "prices": "pricing", "looks": "cart", "charges": "bank"} {
		f.slow(name+" and fails", "checkout-1", "", nil)
		f.slow(name+" failing", "checkout-1", name+" and fails", broken)
		f.log(name+" failing", callee, false)
		f.slow(name, "checkout-1", "", client)
		f.log(name, callee, true)
	}
	got := f.hurt("network_partition", ledger.Culprit{Type: "zone", Name: "zone-b"})
	for name, want := range map[string]hurt{
		"pays and fails": slow, "pays": slow, // all of payment is beyond
		"prices and fails": slow, "prices": unhurt, // one of pricing is here
		"looks and fails": unhurt, "looks": unhurt,
		"charges and fails": slow, "charges": unhurt, // nobody knows where the bank is
		"looks failing": failed,
	} {
		assert.Equal(t, want, got[name], name)
	}
	answered := newTown()
	answered.slow("work", "checkout-1", "", server)
	answered.slow("price", "checkout-1", "work", broken)
	answered.slow("price served", "pricing-1", "price", server)
	answered.log("price", "pricing", false)
	assert.Equal(t, map[string]hurt{"price": failed}, answered.hurt("network_partition", ledger.Culprit{Type: "zone", Name: "zone-b"}),
		"its server tells that it stayed here")
}

func TestAddressTellsWhereAnUntracedCalleeIs(t *testing.T) {
	f := newTown()
	to := func(address string, mark func(*Span)) func(*Span) {
		return func(s *Span) { s.Address = address; mark(s) }
	}
	f.slow("far", "web-1", "", to("10.0.0.2", client))
	f.slow("far served", "pricing-2", "far", server)
	f.slow("proxied", "web-1", "", to("10.0.0.3", client))
	f.slow("proxied served", "cart-1", "proxied", server)
	f.slow("proxied too", "web-1", "", to("10.0.0.3", client))
	f.slow("proxied too served", "pricing-2", "proxied too", server)
	f.slow("near", "web-1", "", to("10.0.0.1", client))
	f.slow("near served", "cart-1", "near", server)

	f.slow("work", "checkout-1", "", server)
	f.slow("mail", "checkout-1", "work", to("10.0.0.2", client))
	f.log("mail", "broker", true)
	f.slow("mail by a proxy", "checkout-1", "", to("10.0.0.3", client))
	f.log("mail by a proxy", "broker", true)
	f.slow("price", "checkout-1", "", to("10.0.0.2", client)) // at the same host as the broker
	f.log("price", "pricing", true)
	f.slow("in vain", "checkout-1", "", nil)
	f.slow("mail near", "checkout-1", "in vain", to("10.0.0.1", broken))
	f.log("mail near", "broker", false)
	got := f.hurt("network_partition", link("zone-b", "zone-a"))
	for name, want := range map[string]hurt{"work": slow, "mail": slow, "mail by a proxy": unhurt, "price": slow, "in vain": unhurt, "mail near": failed} {
		assert.Equal(t, want, got[name], name)
	}
}

func TestSlowSpanIsOfTheCulpritThatIsNamed(t *testing.T) {
	f := newTown()
	f.slow("order", "checkout-1", "", server)
	f.call("price", "checkout-1", "pricing-2", "order")
	f.call("price of old", "checkout-1", "pricing-1", "order")
	f.call("look", "web-1", "cart-1", "")
	f.slow("charge", "payment-1", "", client)
	f.log("charge", "bank", true)
	f.slow("send", "web-1", "", nil)
	f.slow("process", "pricing-2", "send", server)
	f.slow("send order", "checkout-2", "", nil)
	f.slow("process order", "cart-1", "send order", server)

	assert.Equal(t, map[string]hurt{"order": slow, "price": slow, "price served": slow, "price of old": slow, "price of old served": slow, "send": slow, "process": slow},
		f.hurt("resource_exhaustion", ledger.Culprit{Type: "service", Name: "pricing"}))
	got := f.hurt("byzantine", ledger.Culprit{Type: "version", Service: "pricing", Name: "1.0.2"})
	assert.Equal(t, []hurt{slow, slow, unhurt}, []hurt{got["price"], got["price served"], got["price of old"]})
	assert.Equal(t, map[string]hurt{"charge": slow}, f.hurt("crash", ledger.Culprit{Type: "external"}, ledger.Culprit{Type: "service", Service: "bank"}))
	f.call("look too", "checkout-1", "cart-1", "order")
	f.slow("turned away", "checkout-1", "order", broken)
	f.log("turned away", "pricing", false)
	f.calls[len(f.calls)-1].Service = "checkout"
	assert.Equal(t, map[string]hurt{"order": slow, "price": slow, "price served": slow, "price of old": slow, "price of old served": slow, "turned away": failed},
		f.hurt("resource_exhaustion", ledger.Culprit{Type: "client", Name: "checkout"}, ledger.Culprit{Type: "service", Name: "checkout"}),
		"whom it asks too much is late, and not who serves it as ever")
}

func TestReaderKnowsWhereASpanWasMadeAndWhoCalled(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("host.name", "node-a1")
	rs.Resource().Attributes().PutStr("cloud.availability_zone", "zone-a")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	call := spans.AppendEmpty()
	call.SetKind(ptrace.SpanKindClient)
	call.Attributes().PutStr("server.address", "shop")
	call.Attributes().PutStr("network.peer.address", "10.0.0.1")
	spans.AppendEmpty().SetKind(ptrace.SpanKindProducer)
	got := interned{}.appendSpans(nil, td)
	require.Len(t, got, 2)
	assert.Equal(t, Place{"node-a1", "zone-a"}, *got[0].Place)
	assert.True(t, got[0].Client)
	assert.Equal(t, "10.0.0.1", got[0].Address, "a name may stand for several")
	assert.False(t, got[1].Client, "it waits for nobody")
}

func TestWhoDidNotWaitForACallIsNotLateByIt(t *testing.T) {
	f := newTown()
	f.slow("store", "checkout-1", "", server)
	f.call("copy", "checkout-1", "payment-1", "store")
	f.spans[len(f.spans)-2].Duration = 5 * time.Second // the client's end of it
	assert.NotContains(t, f.hurt("network_partition", link("zone-a", "zone-b")), "store", "it had answered long before")
	f.spans[len(f.spans)-2].Duration = 1100 * time.Millisecond
	assert.Contains(t, f.hurt("network_partition", link("zone-a", "zone-b")), "store", "it gave up a little sooner than its call ended")
}

func TestCutBetweenTheHostsOfTwoWhoPartIsOneForAllOnThem(t *testing.T) {
	f := newTown()
	f.call("pay", "checkout-1", "payment-1", "")
	f.call("price", "web-1", "payment-1", "")
	culprits := []ledger.Culprit{link("node-a2", "node-b2"), link("pricing-1", "payment-1"),
		{Type: "instance", Service: "pricing", Instance: "pricing-1"}, {Type: "instance", Service: "payment", Instance: "payment-1"}}
	assert.Equal(t, map[string]hurt{"pay": slow}, f.hurt("network_partition", culprits...))
	assert.Empty(t, f.hurt("network_partition", culprits[:2]...), "a port that is blocked between two")
}
