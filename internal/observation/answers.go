// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"math"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// What a server's span tells of its answer besides whether it failed. The engine
// compares it with that of others who are asked alike.

// answered notes what kind of answer one was that is no failure.
func (sc *scratch) answered(outcome report.Outcome) {
	switch {
	case outcome == report.OutcomeClientError:
		sc.served.Rejected++
	case sc.v.size >= 0 && sc.v.http != notModified:
		size := math.Log2(1 + float64(sc.v.size))
		sc.served.Sized++
		sc.served.Size += size
		sc.served.SizeSquare += size * size
	}
}

// notModified is an answer without contents: the client has them.
const notModified = 304

// asked notes what kind of request one was that did not fail.
func (sc *scratch) asked(kind uint64) {
	if n := &sc.served.Asked[kind%report.Mixes]; *n < math.MaxUint16 {
		*n++
	}
}
