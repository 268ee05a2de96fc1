// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

func TestTraces_what_answers_are_like(t *testing.T) {
	for name, c := range map[string]struct {
		a               attrs
		sized, rejected int
		size            float64
	}{
		"a size":                     {attrs{"http.response.status_code": 200, "http.response.body.size": 1023}, 1, 0, 10},
		"by its older name":          {attrs{"http.status_code": 200, "http.response_content_length": 0}, 1, 0, 0},
		"none is told":               {attrs{"http.response.status_code": 200}, 0, 0, 0},
		"the client has it already":  {attrs{"http.response.status_code": 304, "http.response.body.size": 0}, 0, 0, 0},
		"the request is bad":         {attrs{"http.response.status_code": 422, "http.response.body.size": 1023}, 0, 1, 0},
		"a failure is no answer":     {attrs{"http.response.status_code": 500, "http.response.body.size": 1023}, 0, 0, 0},
		"a size that cannot be true": {attrs{"http.response.status_code": 200, "http.response.body.size": -5}, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var b report.Batch
			td, _ := spanOf(t, checkout, server, unset, "", c.a)
			New(Settings{}).Traces(td, testNow, nil, &b)
			if len(b.Served) != 1 {
				t.Fatalf("%d served", len(b.Served))
			}
			v := b.Served[0]
			asked := 0
			for _, n := range v.Asked {
				asked += int(n)
			}
			if v.Sized != c.sized || v.Rejected != c.rejected || v.Size != c.size || v.SizeSquare != c.size*c.size || asked != v.OK {
				t.Errorf("%+v", v)
			}
		})
	}
}

// A clock that is ahead is not corrected where clocks are compared.
func TestTraces_hops_tell_when_they_began_by_their_own_clock(t *testing.T) {
	td, span := spanOf(t, checkout, server, unset, "", nil)
	ahead := testNow.Add(3_600_000_000_000)
	span.SetParentSpanID([8]byte{3})
	span.SetStartTimestamp(pcommon.Timestamp(ahead))
	span.SetEndTimestamp(pcommon.Timestamp(ahead.Add(1000)))
	var b report.Batch
	New(Settings{}).Traces(td, testNow, nil, &b)
	if len(b.Hops) != 1 || b.Hops[0].Began != ahead || b.Hops[0].At != testNow {
		t.Errorf("%+v", b.Hops)
	}
}
