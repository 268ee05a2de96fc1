// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/internal/contract"
)

const asWorker = "HOME=/\x00OTEL_SERVICE_NAME=worker\x00TERM=dumb\x00"

// afterAMinute are the names of all that are followed then.
func (w *watcher) afterAMinute() []string {
	for range 30 {
		w.look()
	}
	return w.names()
}

func TestProcessThatKeepsAConnectionIsFollowed(t *testing.T) {
	for name, c := range map[string]struct {
		environ, to string
		want        []string
	}{
		"it_is_told_its_name":      {asWorker, "10.0.0.9:5672", []string{"process:python:worker pid 300"}},
		"by_its_attributes":        {"OTEL_RESOURCE_ATTRIBUTES=service.version=1, service.name=the%20worker\x00", "10.0.0.9:5672", []string{"process:python:the worker pid 300"}},
		"it_names_itself":          {"OTEL_TRACES_EXPORTER=otlp\x00", "10.0.0.9:5672", []string{"process:python:pid 300 pid 300"}},
		"it_sends_telemetry":       {"", "127.0.0.1:4317", []string{"process:python:pid 300 pid 300"}},
		"it_has_no_telemetry":      {"HOME=/\x00", "10.0.0.9:5432", nil},
		"of_that_variable_no_name": {"NOT_OTEL_SERVICE_NAME=x\x00", "10.0.0.9:5432", nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := newFakeHost(t)
			h.startedBy(1, 300, 70, 0, "python", c.environ, 11)
			h.keeps("10.0.0.7:40000", c.to, 11)
			assert.Equal(t, c.want, h.watch(64).afterAMinute())
		})
	}
}

func TestWhoIsNoClientOfItsOwnIsNotFollowed(t *testing.T) {
	for name, fill := range map[string]func(h *fakeHost){
		"at_a_terminal":  func(h *fakeHost) { h.startedBy(1, 301, 71, 34816, "psql", asWorker, 11) },
		"forwards_ports": func(h *fakeHost) { h.startedBy(1, 301, 71, 0, "ssh", asWorker, 11) },
		"one_of_a_pool_that_listens": func(h *fakeHost) {
			h.listens("10.0.0.7:80", 12)
			h.startedBy(1, 300, 70, 0, "gunicorn", "", 12)
			h.startedBy(300, 301, 71, 0, "gunicorn", asWorker, 11)
		},
		"one_of_a_pool_that_keeps_a_connection": func(h *fakeHost) {
			h.startedBy(1, 300, 70, 0, "celery", asWorker, 13)
			h.startedBy(300, 301, 71, 0, "python", asWorker, 11)
			h.keeps("10.0.0.7:40001", "10.0.0.9:5672", 13)
		},
		"what_it_keeps_was_opened_from_elsewhere": func(h *fakeHost) {
			h.listens("10.0.0.7:40000", 12)
			h.startedBy(1, 301, 71, 0, "python", asWorker, 11)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newFakeHost(t)
			fill(h)
			h.keeps("10.0.0.7:40000", "10.0.0.9:5672", 11)
			for _, name := range h.watch(64).afterAMinute() {
				assert.NotContains(t, name, "pid 301")
			}
		})
	}
	t.Run("asks_and_goes", func(t *testing.T) {
		h := newFakeHost(t)
		w := h.watch(64)
		for i := range 40 { // each connection stands for 20 s
			if i%10 == 0 {
				h.closes(uint64(11 + i/10))
				h.keeps("10.0.0.7:40000", "10.0.0.9:5672", uint64(12+i/10))
				h.ends(300 + i/10)
				h.startedBy(1, 301+i/10, 70+i, 0, "job", asWorker, uint64(12+i/10))
			}
			assert.Empty(t, w.look())
		}
	})
}

func TestEndOfAClientIsTold(t *testing.T) {
	h := newFakeHost(t)
	h.startedBy(1, 300, 70, 0, "python", asWorker, 11)
	h.keeps("10.0.0.7:40000", "10.0.0.9:5672", 11)
	w := h.watch(64)
	require.Equal(t, []string{"process:python:worker pid 300"}, w.afterAMinute())
	h.closes(11)
	for range 100 {
		s := w.look()
		require.Len(t, s, 1, "that its broker is down makes it no other")
		require.Equal(t, "worker", s[0].Result.Service)
		require.True(t, s[0].Result.Client)
		require.Empty(t, s[0].Addresses)
	}
	h.ends(300)
	s := w.look()
	require.Len(t, s, 1)
	assert.Equal(t, contract.ProcessGone, s[0].Result.Process.State)

	h.startedBy(1, 301, 99, 0, "python", asWorker, 12)
	h.keeps("10.0.0.7:40001", "10.0.0.9:5672", 12)
	assert.Equal(t, []string{"process:python:worker pid 301"}, w.afterAMinute())
	h.ends(301, 12)
	assert.Len(t, w.lookAfter(time.Second), 1)
	w.lookAfter(2 * time.Minute)
	assert.Empty(t, w.look(), "it is told for two minutes")
}

func TestClientMakesRoomForAServer(t *testing.T) {
	h := newFakeHost(t)
	h.startedBy(1, 300, 70, 0, "python", asWorker, 11)
	h.keeps("10.0.0.7:40000", "10.0.0.9:5672", 11)
	w := h.watch(1)
	require.Equal(t, []string{"process:python:worker pid 300"}, w.afterAMinute())
	h.listens("10.0.0.7:80", 12)
	h.startedBy(1, 301, 71, 0, "nginx", "", 12)
	assert.Equal(t, []string{"process:nginx:80 pid 301"}, w.afterAMinute())
}

func TestServerTellsWhatItCallsItself(t *testing.T) {
	for name, c := range map[string]struct {
		fill func(h *fakeHost)
		want string
	}{
		"it_is_told_its_name": {func(h *fakeHost) { h.startedBy(1, 301, 71, 0, "python", asWorker, 11) }, "worker"},
		"it_has_no_telemetry": {func(h *fakeHost) { h.startedBy(1, 301, 71, 0, "python", "HOME=/\x00", 11) }, ""},
		"who_started_it_is_followed_and_has_the_name": {func(h *fakeHost) {
			h.listens("10.0.0.7:80", 12)
			h.startedBy(1, 300, 70, 0, "node", asWorker, 12)
			h.startedBy(300, 301, 71, 0, "esbuild", asWorker, 11)
		}, ""},
		"who_started_it_has_another_name": {func(h *fakeHost) {
			h.listens("10.0.0.7:80", 12)
			h.startedBy(1, 300, 70, 0, "node", "OTEL_SERVICE_NAME=boss\x00", 12)
			h.startedBy(300, 301, 71, 0, "node", asWorker, 11)
		}, "worker"},
		"who_started_it_is_not_followed": {func(h *fakeHost) {
			h.startedBy(1, 300, 70, 0, "sh", asWorker)
			h.startedBy(300, 301, 71, 0, "python", asWorker, 11)
		}, "worker"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newFakeHost(t)
			h.listens("10.0.0.7:9000", 11)
			c.fill(h)
			w := h.watch(64)
			w.look()
			s := w.at("10.0.0.7:9000")
			require.NotNil(t, s)
			assert.Equal(t, c.want, s.Result.Service)
			assert.False(t, s.Result.Client)
			h.ends(301, 11)
			s = w.at("10.0.0.7:9000")
			require.NotNil(t, s)
			assert.Equal(t, contract.ProcessGone, s.Result.Process.State)
			assert.Equal(t, c.want, s.Result.Service, "its end is told by its name")
		})
	}
	t.Run("another_takes_its_place", func(t *testing.T) {
		h := newFakeHost(t)
		h.listens("10.0.0.7:9000", 11)
		h.startedBy(1, 300, 70, 0, "python", asWorker, 11)
		w := h.watch(64)
		w.look()
		require.Equal(t, "worker", w.at("10.0.0.7:9000").Result.Service)
		h.ends(300, 11)
		h.listens("10.0.0.7:9000", 12)
		h.startedBy(1, 301, 90, 0, "python", "OTEL_SERVICE_NAME=other\x00", 12)
		assert.Equal(t, "other", w.at("10.0.0.7:9000").Result.Service)
	})
	t.Run("it_closes_its_port_before_it_ends", func(t *testing.T) {
		h := newFakeHost(t)
		h.listens("10.0.0.7:9000", 11)
		h.startedBy(1, 300, 70, 0, "python", asWorker, 11)
		w := h.watch(64)
		w.look()
		require.Equal(t, "worker", w.at("10.0.0.7:9000").Result.Service)
		h.closes(11)
		require.Empty(t, w.at("10.0.0.7:9000").Result.Service, "it was asked to stop")
		h.listens("10.0.0.7:9000", 11)
		require.Equal(t, "worker", w.at("10.0.0.7:9000").Result.Service, "it has read its configuration again")
		h.closes(11)
		w.look()
		h.ends(300)
		assert.Empty(t, w.at("10.0.0.7:9000").Result.Service, "nobody misses it")
	})
}
