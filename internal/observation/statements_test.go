// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

func TestShapeOfAStatement(t *testing.T) {
	for name, c := range map[string]struct {
		one, other string
		same       bool
	}{
		"numbers_vary":        {"SELECT total FROM invoices WHERE id = 17", "SELECT total FROM invoices WHERE id = 4", true},
		"texts_vary":          {"select * from users where name = 'ann'", "SELECT * FROM users WHERE name = 'bob'", true},
		"a_longer_list":       {"SELECT a FROM t WHERE id IN ($1, $2)", "SELECT a FROM t WHERE id IN ($1, $2, $3)", true},
		"a_longer_list_of_%s": {"SELECT a FROM t WHERE id IN (%s, %s)", "SELECT a FROM t WHERE id IN (%s)", true},
		"a_report":            {"SELECT total FROM invoices WHERE id = ?", "SELECT SUM(total) FROM invoices WHERE id < ?", false},
		"all_of_it":           {"SELECT id FROM t", "SELECT * FROM t", false},
	} {
		t.Run(name, func(t *testing.T) {
			if one, other := shapeOf(c.one), shapeOf(c.other); (one == other) != c.same || one == 0 {
				t.Errorf("%x and %x", one, other)
			}
		})
	}
	for _, text := range []string{"", "GET", "GET session:ab12", "SETEX ? ? ?", "SELECTED", `{"find":"users"}`, "COMMIT"} {
		if got := shapeOf(text); got != 0 {
			t.Errorf("%q has the shape %x", text, got)
		}
	}
}

// TestAnotherStatementHasItsOwnUsual: a nightly report is slow by design, and shares the
// name of its span with look-ups that are not.
func TestAnotherStatementHasItsOwnUsual(t *testing.T) {
	const lookUp = "SELECT total FROM invoices WHERE id = ?"
	db := attrs{"db.system": "mariadb", "server.address": "db", "server.port": 3306}
	x := New(Settings{})
	src := x.Source(resource(t, checkout))
	_, usual := spanOf(t, checkout, client, unset, "", db)
	bl := baselines(t, spanKey(src, usual, "db:3306", shapeOf(lookUp)))
	for name, c := range map[string]struct {
		statement string
		slow      bool
	}{
		"the_same":      {lookUp, true},
		"with_a_number": {"SELECT total FROM invoices WHERE id = 17", true},
		"a_report":      {"SELECT SUM(total) FROM invoices WHERE id < ?", false},
	} {
		t.Run(name, func(t *testing.T) {
			td, span := spanOf(t, checkout, client, unset, "", attrs{"db.system": "mariadb", "server.address": "db", "server.port": 3306, "db.query.text": c.statement})
			span.SetEndTimestamp(span.StartTimestamp() + pcommon.Timestamp(400*time.Millisecond))
			var b report.Batch
			x.Traces(td, testNow, bl, &b)
			if len(b.Calls) != 1 || (b.Calls[0].Slow == 1) != c.slow {
				t.Errorf("counted as %+v, want slow %v", b.Calls, c.slow)
			}
			if got := x.Look(src, span, bl); got.Slow != c.slow {
				t.Errorf("looked at, it is slow: %v", got.Slow)
			}
		})
	}
}
