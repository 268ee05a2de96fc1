// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// searches are calls of one process to a name behind which two stand. Some to payment-1,
// which hangs, last as long as the caller waits; those to payment-2 are answered.
func searches(hung, well, slow int, callee string) []Span {
	t := newTown()
	one := func(n int, failed bool, to string, long time.Duration) {
		call := t.span("checkout-1", sec(5+float64(n)/100), long)
		call.Trace, call.ID, call.Client, call.Failed, call.Address = traceID{3, byte(n)}, spanID{2}, true, failed, "pay.lab"
		t.spans = append(t.spans, call)
		served := t.span(to, call.Start, time.Millisecond)
		served.Trace, served.ID, served.Parent, served.Server = call.Trace, spanID{3}, call.ID, true
		if failed {
			served.Duration = long
		}
		t.spans = append(t.spans, served)
	}
	for i := range hung {
		one(i, true, callee, time.Second)
	}
	for i := range well {
		long := 10 * time.Millisecond
		if i < slow {
			long = 200 * time.Millisecond
		}
		one(10+i, false, "payment-2", long)
	}
	return t.spans
}

func TestSameCallToSomebodyElseIsHeldUpByThoseThatHang(t *testing.T) {
	hang := &ledger.Injection{Kind: ledger.Fault, Class: "crash", Start: sec(0), End: sec(30),
		Culprits: []ledger.Culprit{{Type: "instance", Service: "payment", Instance: "payment-1"}}}
	for name, c := range map[string]struct {
		hung, well, slow int
		callee           string
		want             int // spans of those that went well that are hurt
	}{
		"many_are_slow":                 {2, 10, 5, "payment-1", 5},
		"few_are":                       {2, 3, 2, "payment-1", 0},
		"as_many_of_more":               {2, 12, 5, "payment-1", 0},
		"none_hangs":                    {0, 10, 5, "payment-1", 0},
		"what_hangs_does_so_for_others": {2, 10, 5, "payment-2", 0},
	} {
		t.Run(name, func(t *testing.T) {
			spans := searches(c.hung, c.well, c.slow, c.callee)
			h := newHarm(windowsOf([]*ledger.Injection{hang}), spans, nil)
			got := 0
			for i := range spans {
				if s := &spans[i]; s.Client && !s.Failed && h.by(0, s) == slow {
					got++
				}
			}
			assert.Equal(t, c.want, got)
		})
	}
}
