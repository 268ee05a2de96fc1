// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package demo

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
)

// shopServices are all that may appear in a trace of the shop.
var shopServices = []string{"gateway", "checkout", "payment", "ledger"}

// classes are the values of failure.class.
var classes = []string{"crash", "network_partition", "byzantine", "resource_exhaustion", "unknown"}

// verify asks Jaeger, as a person would, whether the failed payments carry what
// was said, and whether nothing else does. It returns how much is wrong.
func verify(ctx context.Context, s *stack, results []result, began time.Time, out *printer) (wrong int) {
	sleep(ctx, 2*time.Second) // what is on its way
	out.line("\nWhat stands in Jaeger")
	for i := range results {
		r := &results[i]
		if r.named == nil {
			continue
		}
		from := r.began.Add(-longest)
		traces, err := s.query.between(ctx, "gateway", "", from, r.ended)
		if err != nil {
			out.line("  %v", err)
			return wrong + 1
		}
		c := count(traces, r)
		why := c.judge()
		out.inJaeger(r, c, why, s.query.link("gateway", r.step.want.class, from, r.ended))
		if why != "" {
			wrong++
		}
	}
	tagged, err := s.tagged(ctx, began)
	if err != nil {
		out.line("  %v", err)
		return wrong + 1
	}
	n, example := strays(tagged, results)
	out.strays(n, example)
	return wrong + n
}

// longest is more than a payment can take.
const longest = 5 * time.Second

// tagged finds every trace in which a span carries a class, each once.
func (s *stack) tagged(ctx context.Context, began time.Time) ([]trace, error) {
	byID := map[string]trace{}
	for _, service := range shopServices {
		for _, class := range classes {
			found, err := s.query.between(ctx, service, class, began.Add(-longest), time.Now())
			if err != nil {
				return nil, err
			}
			for _, t := range found {
				byID[t.TraceID] = t
			}
		}
	}
	all := make([]trace, 0, len(byID))
	for _, t := range byID {
		all = append(all, t)
	}
	return all, nil
}

// counts are the spans that failed in the time of one fault.
type counts struct {
	failed int
	tagged int // with class and culprit of the fault
	// The same of those that ended later than 3 s before the verdict, which are
	// promised to carry it.
	failedSince, taggedSince int
	warned                   int // tagged, and with a warning that holds the reason
}

// judge returns what is wrong with the counts, or "".
func (c *counts) judge() string {
	switch {
	case c.failedSince == 0:
		return "no payment failed"
	// A payment may fail for two reasons at once at the edges of a fault.
	case float64(c.taggedSince) < 0.95*float64(c.failedSince):
		return "failed spans without it"
	case c.warned < c.tagged:
		return "tagged spans without a warning"
	}
	return ""
}

func count(traces []trace, r *result) counts {
	var c counts
	since := r.named.at.Add(-3 * time.Second)
	for i := range traces {
		for j := range traces[i].Spans {
			sp := &traces[i].Spans[j]
			if !sp.failed() || sp.end().Before(r.began) || sp.end().After(r.ended) {
				continue
			}
			mine := explained(sp, r)
			c.failed++
			if mine {
				c.tagged++
			}
			if sp.end().After(since) {
				c.failedSince++
				if mine {
					c.taggedSince++
				}
			}
			if mine && slices.ContainsFunc(sp.Warnings, func(w string) bool { return strings.Contains(w, sp.tag(contract.FailureReason)) }) {
				c.warned++
			}
		}
	}
	return c
}

// explained says whether sp carries what was done in r, while it lasted.
func explained(sp *span, r *result) bool {
	return !r.step.want.nothing() &&
		sp.tag(contract.FailureClass) == r.step.want.class && sp.tag(contract.FailureCulpritInstanceID) == r.step.want.instance &&
		sp.end().After(r.began) && sp.end().Before(r.ended)
}

// strays counts the spans that carry a class and should not: those of no fault,
// or of another fault than the one at that time, and those that neither failed
// nor were unusually slow. It also returns one of them.
func strays(traces []trace, results []result) (n int, example *span) {
	for i := range traces {
		for j := range traces[i].Spans {
			sp := &traces[i].Spans[j]
			if sp.tag(contract.FailureClass) == "" {
				continue
			}
			known := slices.ContainsFunc(results, func(r result) bool { return explained(sp, &r) })
			if known && (sp.failed() || sp.tag(contract.AnomalyScore) != "") {
				continue
			}
			n++
			example = sp
		}
	}
	return n, example
}
