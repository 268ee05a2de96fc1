// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

const (
	injectionLine = `{"id":"1","name":"kill","kind":"fault","class":"crash","culprits":[{"type":"instance","instance":"pay-1"}],"start":"2026-01-02T03:00:00Z","end":"2026-01-02T03:00:30Z"}`
	eventLine     = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1767322803000000000","eventName":"failure.detected","attributes":[{"key":"failure.class","value":{"stringValue":"crash"}},{"key":"failure.confidence","value":{"doubleValue":0.9}},{"key":"failure.culprit.type","value":{"stringValue":"instance"}},{"key":"failure.culprit.service.instance.id","value":{"stringValue":"pay-1"}},{"key":"service.name","value":{"stringValue":"pay"}}]}]}]}]}`
	traceLine     = `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"pay"}}]},"scopeSpans":[{"spans":[{"traceId":"01000000000000000000000000000000","spanId":"0100000000000000","name":"x","kind":2,"startTimeUnixNano":"1767322804000000000","endTimeUnixNano":"1767322804100000000","status":{"code":2},"attributes":[{"key":"failure.class","value":{"stringValue":"crash"}},{"key":"failure.culprit.type","value":{"stringValue":"instance"}},{"key":"failure.culprit.service.instance.id","value":{"stringValue":"pay-1"}}]}]}]}]}`
)

func run(t *testing.T, files map[string]string) string {
	dir := t.TempDir()
	for name, content := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	return dir
}

func whole() map[string]string {
	return map[string]string{
		ledger.InjectionsFile: injectionLine + "\n", ledger.CallsFile: "", ledger.ArrivalsFile: `{"id":"1","at":"2026-01-02T03:00:01Z"}` + "\n",
		ledger.EventsFile: eventLine + "\n", ledger.TracesFile: traceLine + "\n",
	}
}

func TestShardsAreMergedAndMayShareIDs(t *testing.T) {
	r, err := Score(run(t, whole()), run(t, whole()))
	require.NoError(t, err)
	assert.Equal(t, 2, r.BothSides.First.Right)
	assert.Equal(t, Quantiles{2, 2, 2}, r.Delays["crash"].FromEvidence)
	assert.Equal(t, 2, r.Spans.FromRight)
	assert.Empty(t, r.Problems)
	assert.Contains(t, r.Markdown(), "100.0 % (2/2)")
}

func TestClearingThatTellsTheHostEndsWhatWasDetectedWithoutIt(t *testing.T) {
	files := whole()
	instance := `{"key":"service.instance.id","value":{"stringValue":"pay-1"}}`
	detected := strings.Replace(eventLine, `{"key":"service.name"`, instance+`,{"key":"service.name"`, 1)
	cleared := strings.NewReplacer("failure.detected", "failure.cleared", "1767322803", "1767322833",
		instance, instance+`,{"key":"host.name","value":{"stringValue":"a"}}`).Replace(detected)
	files[ledger.EventsFile] = detected + "\n" + cleared + "\n"
	r, err := Score(run(t, files))
	require.NoError(t, err)
	assert.Zero(t, r.Leave.Never)
	assert.Equal(t, Quantiles{1, 3, 3}, r.Leave.AfterEnd)
}

func TestBadTelemetryLineIsReportedWithItsNumber(t *testing.T) {
	files := whole()
	files[ledger.EventsFile] = eventLine + "\n{\"resourceLogs\": 7}\n" + `{"resourceLogs":[`
	dir := run(t, files)
	r, err := Score(dir)
	require.NoError(t, err)
	require.Len(t, r.Problems, 1, "the line that was cut off is none")
	assert.Contains(t, r.Problems[0], ledger.EventsFile+":2:")
	assert.Equal(t, 1, r.BothSides.First.Right)
}

func TestBadLineOfTheAccountIsAnError(t *testing.T) {
	files := whole()
	files[ledger.CallsFile] = "{}\nnonsense\n"
	_, err := Score(run(t, files))
	require.ErrorContains(t, err, "line 2")
	files = whole()
	delete(files, ledger.InjectionsFile)
	_, err = Score(run(t, files))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestMissingCallsAreAProblem(t *testing.T) {
	files := whole()
	delete(files, ledger.CallsFile)
	r, err := Score(run(t, files))
	require.NoError(t, err)
	require.Len(t, r.Problems, 1)
}

func FuzzDecodeEvents(f *testing.F) {
	f.Add([]byte(eventLine))
	f.Add([]byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"failure.cleared","attributes":[{"key":"failure.confidence","value":{"stringValue":"x"}},{"key":"failure.revision","value":{"stringValue":"x"}}]}]}]}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		verdicts, err := ReadEvents(line)
		if err != nil {
			return
		}
		r := Judge([]ledger.Injection{kill(0, 30)}, verdicts, nil, nil)
		if _, err := r.JSON(); err != nil {
			t.Fatal(err)
		}
		_ = r.Markdown()
	})
}
