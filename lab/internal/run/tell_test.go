// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package run

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
	"github.com/faultline-otel/faultline/lab/internal/score"
)

func TestLineSaysWhetherItWasRight(t *testing.T) {
	start := time.Unix(1000, 0)
	payment := ledger.Culprit{Type: "instance", Service: "payment", Instance: "payment-1"}
	web := ledger.Culprit{Type: "instance", Service: "web", Instance: "web-1"}
	kill := ledger.Injection{
		ID: "1", Name: "kill", Kind: ledger.Fault, Class: "crash", Subclass: "process_exit",
		Culprits: []ledger.Culprit{payment}, Start: start, End: start.Add(20 * time.Second),
	}
	deploy := ledger.Injection{ID: "1", Name: "rolling_deploy", Kind: ledger.Confounder, Start: start, End: start.Add(20 * time.Second)}
	says := func(class string, c ledger.Culprit) score.Verdict {
		return score.Verdict{At: start.Add(2 * time.Second), Event: contract.EventFailureDetected, Class: class, Culprit: c, Confidence: .9}
	}
	for name, c := range map[string]struct {
		in   ledger.Injection
		said []score.Verdict
		want string
	}{
		"right":         {kill, []score.Verdict{says("crash", payment)}, "right"},
		"other_culprit": {kill, []score.Verdict{says("crash", web)}, "WRONG CULPRIT"},
		"other_class":   {kill, []score.Verdict{says("byzantine", payment)}, "WRONG, wanted crash"},
		"silence":       {kill, nil, "WRONG, wanted crash"},
		"peace":         {deploy, nil, "right"},
		"false_alarm":   {deploy, []score.Verdict{says("crash", payment)}, "WRONG, wanted none"},
	} {
		t.Run(name, func(t *testing.T) {
			got := judged([]ledger.Injection{c.in}, c.said)
			assert.Contains(t, got, c.want)
			if c.want == "right" {
				assert.NotContains(t, got, "WRONG")
			}
		})
	}
	assert.Equal(t, "detected crash of instance payment-1 0.90 at 2.0s", heard([]score.Verdict{says("crash", payment)}, start))
	assert.Equal(t, "nothing said", heard([]score.Verdict{says("crash", payment)}, start.Add(time.Hour)))
}

func TestHalfALineWaitsForTheRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	lines := tail{path: path}
	read := func() (got []string) {
		require.NoError(t, lines.next(func(line []byte) error {
			got = append(got, string(line))
			return nil
		}))
		return got
	}
	assert.Empty(t, read(), "a file that is not there yet")
	require.NoError(t, os.WriteFile(path, []byte("one\ntw"), 0o600))
	assert.Equal(t, []string{"one\n"}, read())
	require.NoError(t, os.WriteFile(path, []byte("one\ntwo\n"), 0o600))
	assert.Equal(t, []string{"two\n"}, read())
}
