// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/crazy-max/gohealthchecks"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/internal/contract"
)

const (
	nightly = "5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278"
	runID   = "00000000-0000-4000-8000-000000000001"
)

func withChecks(c *Config) {
	grace := 5 * time.Minute
	c.Checks = []CheckConfig{
		{UUID: nightly, Service: "backup", Instance: "db-1", Namespace: "shop", Environment: "prod", Period: time.Hour, Grace: &grace},
		{Slug: "reindex", Key: "fqOOd6-F4MMNuCEnzTU01w", Service: "search", Schedule: "0 3 * * *"},
		{Slug: "anybody", Service: "open", Period: time.Minute},
	}
}

func TestPingAnswers(t *testing.T) {
	g := newRig(t, withChecks)
	for _, tt := range []struct {
		name, method, path string
		status             int
		text               string
	}{
		{"get", "GET", "/ping/" + nightly, 200, "OK"},
		{"post", "POST", "/ping/" + nightly, 200, "OK"},
		{"head_has_no_body", "HEAD", "/ping/" + nightly, 200, ""},
		{"slash_at_the_end", "GET", "/ping/" + nightly + "/", 200, "OK"},
		{"capitals", "GET", "/ping/5BF66975-D4C7-4BF5-BCC8-B8D8A82EA278", 200, "OK"},
		{"start", "GET", "/ping/" + nightly + "/start", 200, "OK"},
		{"fail", "GET", "/ping/" + nightly + "/fail", 200, "OK"},
		{"log", "POST", "/ping/" + nightly + "/log", 200, "OK"},
		{"exit_0", "GET", "/ping/" + nightly + "/0", 200, "OK"},
		{"exit_255", "GET", "/ping/" + nightly + "/255", 200, "OK"},
		{"exit_256", "GET", "/ping/" + nightly + "/256", 400, "invalid url format"},
		{"exit_negative", "GET", "/ping/" + nightly + "/-1", 400, "invalid url format"},
		{"unknown_action", "GET", "/ping/" + nightly + "/stop", 400, "invalid url format"},
		{"too_many_parts", "GET", "/ping/" + nightly + "/start/now", 400, "invalid url format"},
		{"rid", "GET", "/ping/" + nightly + "?rid=" + runID, 200, "OK"},
		{"bad_rid", "GET", "/ping/" + nightly + "?rid=1", 400, "invalid uuid format"},
		{"unknown_uuid", "GET", "/ping/00000000-0000-4000-8000-000000000009", 404, "not found"},
		{"no_uuid", "GET", "/ping/nightly", 400, "invalid url format"},
		{"nothing", "GET", "/ping/", 400, "invalid url format"},
		{"slug", "GET", "/ping/fqOOd6-F4MMNuCEnzTU01w/reindex", 200, "OK"},
		{"slug_start", "GET", "/ping/fqOOd6-F4MMNuCEnzTU01w/reindex/start", 200, "OK"},
		{"slug_exit", "GET", "/ping/fqOOd6-F4MMNuCEnzTU01w/reindex/3", 200, "OK"},
		{"slug_of_a_wrong_key", "GET", "/ping/wrong/reindex", 404, "not found"},
		{"slug_that_needs_no_key", "GET", "/ping/whatever/anybody", 200, "OK"},
		{"unknown_slug", "GET", "/ping/fqOOd6-F4MMNuCEnzTU01w/other", 404, "not found"},
		{"unknown_slug_with_create", "GET", "/ping/fqOOd6-F4MMNuCEnzTU01w/other?create=1", 404, "not found"},
		{"invalid_slug", "GET", "/ping/fqOOd6-F4MMNuCEnzTU01w/%ff%fe", 400, "invalid url format"},
		{"long_slug", "GET", "/ping/k/" + repeat("x", 101), 400, "invalid url format"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, text, h := g.do(tt.method, tt.path, "")
			assert.Equal(t, tt.status, status)
			assert.Equal(t, tt.text, text)
			assert.Equal(t, "text/plain; charset=utf-8", h.Get("Content-Type"))
			assert.Equal(t, "*", h.Get("Access-Control-Allow-Origin"))
			if status == 200 {
				assert.Equal(t, "100000", h.Get("Ping-Body-Limit"))
			}
		})
	}
	status, _, h := g.do("DELETE", "/ping/"+nightly, "")
	assert.Equal(t, http.StatusMethodNotAllowed, status)
	assert.Equal(t, "GET, HEAD, POST", h.Get("Allow"))
	assert.EqualValues(t, 4, g.refusals(reasonUnknownCheck))
}

func TestPingRecords(t *testing.T) {
	g := newRig(t, withChecks)
	type attrs = map[string]any
	for _, tt := range []struct {
		name, path, body string
		want             attrs
		not              []string
	}{
		{"success", "", "", attrs{contract.HeartbeatStatus: "ready", contract.HeartbeatInterval: 3600.0, contract.HeartbeatGrace: 300.0},
			[]string{contract.HeartbeatExitCode, contract.HeartbeatRunTime, contract.HeartbeatMessage}},
		{"fail_with_words", "/fail", "disk\n\tfull\x00!", attrs{contract.HeartbeatStatus: "failed", contract.HeartbeatMessage: "disk full !"},
			[]string{contract.HeartbeatExitCode}},
		{"exit_0", "/0", "", attrs{contract.HeartbeatStatus: "ready", contract.HeartbeatExitCode: int64(0)}, nil},
		{"exit_137", "/137", "", attrs{contract.HeartbeatStatus: "failed", contract.HeartbeatExitCode: int64(137)}, nil},
		{"start", "/start", "", attrs{contract.HeartbeatStatus: "starting"}, []string{contract.HeartbeatRunTime}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g.logs.Reset()
			status, _, _ := g.do(http.MethodPost, "/ping/"+nightly+tt.path, tt.body)
			require.Equal(t, 200, status)
			b := g.beats(1)[0]
			assert.Equal(t, attrs{
				"service.name": "backup", "service.instance.id": "db-1",
				"service.namespace": "shop", "deployment.environment.name": "prod",
			}, b.res)
			assert.Equal(t, "heartbeat", b.EventName())
			for k, v := range tt.want {
				assert.Equal(t, v, b.attrs[k], k)
			}
			for _, k := range tt.not {
				assert.NotContains(t, b.attrs, k)
			}
		})
	}
}

func TestRunIsTimedByItsID(t *testing.T) {
	g := newRig(t, withChecks)
	for _, path := range []string{"/start?rid=" + runID, "/start", "?rid=" + runID, "/fail"} {
		status, _, _ := g.do(http.MethodGet, "/ping/"+nightly+path, "")
		require.Equal(t, 200, status)
	}
	all := g.beats(4)
	for _, b := range all[2:] {
		assert.Positive(t, b.attrs[contract.HeartbeatRunTime])
	}
	assert.Greater(t, all[2].attrs[contract.HeartbeatRunTime], 0.0)
}

func TestDueTimeOfAScheduledCheck(t *testing.T) {
	g := newRig(t, withChecks)
	status, _, _ := g.do(http.MethodGet, "/ping/fqOOd6-F4MMNuCEnzTU01w/reindex", "")
	require.Equal(t, 200, status)
	b := g.beats(1)[0]
	due := time.Unix(0, b.attrs[contract.HeartbeatDue].(int64)).UTC()
	assert.Equal(t, "03:00:00", due.Format(time.TimeOnly))
	assert.True(t, due.After(time.Now()) && due.Before(time.Now().Add(24*time.Hour+time.Second)))
	assert.Equal(t, 86400.0, b.attrs[contract.HeartbeatInterval])
	assert.Equal(t, 3600.0, b.attrs[contract.HeartbeatGrace])
}

func TestStartedRunIsDueAfterItsGrace(t *testing.T) {
	c := check{period: time.Hour, grace: time.Minute}
	now := time.Unix(1_000_000, 0)
	var b beat
	c.ping(&b, signalSuccess, "", now)
	assert.Equal(t, now.Add(time.Hour), b.due)
	c.ping(&b, signalStart, "", now.Add(time.Minute))
	assert.Equal(t, now.Add(time.Minute), b.due, "it has the time of grace to end")
	c.ping(&b, signalStart, "", now.Add(time.Hour))
	assert.Equal(t, now.Add(time.Minute), b.due, "starting again gives no more time")
	c.ping(&b, signalSuccess, "", now.Add(2*time.Minute))
	assert.Equal(t, now.Add(time.Hour+2*time.Minute), b.due)
}

func TestLogPingIsNoSignOfLife(t *testing.T) {
	g := newRig(t, withChecks)
	status, _, _ := g.do(http.MethodPost, "/ping/"+nightly+"/log", "half way")
	require.Equal(t, 200, status)
	b := g.beats(1)[0]
	assert.Empty(t, b.EventName())
	assert.NotContains(t, b.attrs, "event.name")
	assert.Equal(t, "half way", b.Body().Str())
	assert.Equal(t, "backup", b.res["service.name"])
}

func TestPingBodies(t *testing.T) {
	g := newRig(t, withChecks)
	for name, tt := range map[string]struct {
		body  string
		check func(t *testing.T, message string)
	}{
		"a_hundred_kilobytes_are_kept_short": {repeat("word ", 20_000), func(t *testing.T, m string) {
			assert.LessOrEqual(t, len(m), maxMessage+len("…"))
			assert.Contains(t, m, "word word")
		}},
		"more_is_cut_and_accepted": {repeat("é", 200_000), func(t *testing.T, m string) { assert.Contains(t, m, "éé…") }},
		"invalid_utf8_is_mended":   {"a\xff\xfeb", func(t *testing.T, m string) { assert.Equal(t, "a\ufffd\ufffdb", m) }},
	} {
		t.Run(name, func(t *testing.T) {
			g.logs.Reset()
			status, text, _ := g.do(http.MethodPost, "/ping/"+nightly, tt.body)
			require.Equal(t, 200, status, text)
			tt.check(t, g.beats(1)[0].attrs[contract.HeartbeatMessage].(string))
		})
	}
}

func TestAutoCreatedChecks(t *testing.T) {
	g := newRig(t, func(c *Config) {
		c.AutoCreate = true
		c.MaxAutoCreated = 3
		c.Keys = []KeyConfig{{Service: "charger", Key: "0123456789abcdef"}}
		withChecks(c)
	})
	status, text, _ := g.do(http.MethodGet, "/ping/key/new-job?create=1", "")
	assert.Equal(t, 201, status)
	assert.Equal(t, "Created", text)
	status, text, _ = g.do(http.MethodGet, "/ping/key/new-job?create=1", "")
	assert.Equal(t, 200, status)
	assert.Equal(t, "OK", text)
	status, _, _ = g.do(http.MethodGet, "/ping/00000000-0000-4000-8000-000000000009", "")
	assert.Equal(t, 200, status)
	all := g.beats(3)
	assert.Equal(t, "new-job", all[0].res["service.name"])
	assert.NotContains(t, all[0].attrs, contract.HeartbeatInterval, "its rhythm is not known")
	assert.NotContains(t, all[0].attrs, contract.HeartbeatDue)
	assert.Equal(t, "00000000-0000-4000-8000-000000000009", all[2].res["service.name"])

	t.Run("cannot_speak_for_who_signs", func(t *testing.T) {
		status, text, _ := g.do(http.MethodGet, "/ping/key/charger", "")
		assert.Equal(t, 403, status)
		assert.Contains(t, text, "charger")
	})
	t.Run("are_bounded", func(t *testing.T) {
		for i := range 10 {
			status, _, _ := g.do(http.MethodGet, "/ping/key/flood-"+string(rune('a'+i)), "")
			assert.Equal(t, 200, status)
		}
		assert.EqualValues(t, 3, g.count("otelcol_receiver_heartbeat_auto_created_checks", "", ""))
		assert.EqualValues(t, 12-3, g.count("otelcol_receiver_heartbeat_checks_evicted", "", ""))
		status, _, _ := g.do(http.MethodGet, "/ping/"+nightly, "")
		assert.Equal(t, 200, status, "configured checks stay")
	})
}

func TestRunsOfOneCheckAreBounded(t *testing.T) {
	var c check
	now := time.Unix(1_000_000, 0)
	for i := range 1000 {
		c.ping(new(beat), signalStart, string(rune('a'+i)), now.Add(time.Duration(i)))
	}
	assert.Len(t, c.runs, maxRuns)
	assert.Contains(t, c.runs, string(rune('a'+999)), "the oldest go first")
}

// TestRealHealthchecksClient pings with a client that others have written.
func TestRealHealthchecksClient(t *testing.T) {
	g := newRig(t, withChecks)
	base, err := url.Parse(g.url + "/ping/")
	require.NoError(t, err)
	client := gohealthchecks.NewClient(&gohealthchecks.ClientOptions{BaseURL: base, HTTPClient: &http.Client{Transport: g.client.Transport}})
	po := gohealthchecks.PingingOptions{UUID: nightly, Logs: "done in 3 s"}
	require.NoError(t, client.Start(t.Context(), po))
	require.NoError(t, client.Success(t.Context(), po))
	require.NoError(t, client.Fail(t.Context(), po))
	all := g.beats(3)
	for i, status := range []string{"starting", "ready", "failed"} {
		assert.Equal(t, status, all[i].attrs[contract.HeartbeatStatus])
		assert.Equal(t, "done in 3 s", all[i].attrs[contract.HeartbeatMessage])
	}
	assert.Error(t, client.Success(t.Context(), gohealthchecks.PingingOptions{UUID: runID}), "an unknown check is an error to it")
}
