// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelextension

import (
	"bytes"
	"compress/gzip"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

var storageID = component.MustNewID("file_storage")

func withStorage(c *Config) { c.Storage = &storageID }

// fileStorage starts a host with the Collector's own file_storage on dir, and
// returns what stops it.
func fileStorage(t *testing.T, dir string) (host testHost, stop func()) {
	t.Helper()
	f := filestorage.NewFactory()
	cfg := f.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory, cfg.Compaction.Directory = dir, dir
	x, err := f.Create(t.Context(), extensiontest.NewNopSettings(f.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, x.Start(t.Context(), testHost{}))
	return testHost{storageID: x}, func() { require.NoError(t, x.Shutdown(t.Context())) }
}

func TestStateSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newShop()

		// The first Collector sees payment die.
		host, stop := fileStorage(t, dir)
		first := newRig(t, withStorage)
		assert.Equal(t, []component.ID{storageID}, first.Dependencies())
		first.start(t, host)
		require.NoError(t, first.Ready())
		s.run(first, time.Minute)
		s.dead = true
		s.run(first, 30*time.Second)
		detected := first.events("failure.detected")
		require.Len(t, detected, 1)
		before := first.Snapshot().Verdict(s.payment, first.Now())
		require.NotNil(t, before)
		require.Equal(t, verdict.ClassCrash, before.Class)
		require.NotEmpty(t, before.Incident)
		first.shutdown(t)
		stop()

		time.Sleep(20 * time.Second)

		// The second knows it, before anybody has said anything.
		host, stop = fileStorage(t, dir)
		second := newRig(t, withStorage)
		second.start(t, host)
		after := second.Snapshot().Verdict(s.payment, second.Now())
		require.NotNil(t, after)
		assert.Equal(t, before, after, "the verdict is the same to the letter")
		require.NoError(t, second.Ready())
		s.run(second, 30*time.Second)
		assert.Empty(t, second.events("failure.detected"), "no second detection of the same failure")
		assert.Empty(t, second.events("incident.opened"))
		held := second.Snapshot().Verdict(s.payment, second.Now())
		require.NotNil(t, held, "who is still dead stays accused")
		assert.Equal(t, before.Incident, held.Incident)
		assert.Equal(t, before.Since, held.Since)

		// When payment is back the same incident ends.
		s.dead, s.incarnation = false, 8
		s.run(second, 30*time.Second)
		cleared := second.events("failure.cleared")
		require.Len(t, cleared, 1)
		assert.Equal(t, before.Incident, cleared[0].Verdict.Incident)
		resolved := second.events("incident.resolved")
		require.Len(t, resolved, 1)
		assert.Equal(t, before.Incident, resolved[0].Incident.ID)
		assert.Empty(t, second.logs.All())
		second.shutdown(t)
		stop()
	})
}

func TestRestoredEntitiesGetAFreshDeadline(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		host, stop := fileStorage(t, dir)
		first := newRig(t, withStorage)
		first.start(t, host)
		require.NoError(t, first.Ready())
		s.run(first, time.Minute)
		first.shutdown(t)
		stop()

		time.Sleep(time.Hour) // far longer than any beat

		host, stop = fileStorage(t, dir)
		second := newRig(t, withStorage)
		second.start(t, host)
		require.NoError(t, second.Ready())
		s.run(second, 30*time.Second)
		assert.Empty(t, second.accused())
		second.shutdown(t)
		stop()
	})
}

// TestStateIsSavedOnTheWay: a killed Collector has no shutdown.
func TestStateIsSavedOnTheWay(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		host, stop := fileStorage(t, dir)
		r := newRig(t, withStorage)
		r.start(t, host)
		require.NoError(t, r.Ready())
		s := newShop()
		s.run(r, saveEvery/2)
		packed, err := r.store.client.Get(t.Context(), stateKey)
		require.NoError(t, err)
		require.Empty(t, packed)
		s.run(r, saveEvery)
		state, err := r.store.load(t.Context())
		require.NoError(t, err)
		assert.Contains(t, string(state), "payment-1")
		r.shutdown(t)
		stop()
	})
}

// mute is a storage extension that answers nothing until it may, and heeds no context.
type mute struct {
	component.StartFunc
	component.ShutdownFunc
	storage.Client
	what string // it does not answer
	may  chan struct{}
}

func silentStorage(what string) *mute {
	return &mute{Client: storage.NewNopClient(), what: what, may: make(chan struct{})}
}

func (s *mute) wait(what string) error {
	if what == s.what {
		<-s.may
	}
	return nil
}

func (s *mute) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return s, s.wait("client")
}

func (s *mute) Get(context.Context, string) ([]byte, error) { return nil, s.wait("get") }
func (s *mute) Set(context.Context, string, []byte) error   { return s.wait("set") }
func (s *mute) Close(context.Context) error                 { return s.wait("close") }

func TestEngineJudgesWhileTheDiskStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := silentStorage("set")
		r := newRig(t, withStorage)
		r.start(t, testHost{storageID: disk})
		require.NoError(t, r.Ready())
		s := newShop()
		s.run(r, 2*saveEvery)
		assert.Empty(t, r.logs.All())
		s.run(r, 3*saveEvery)
		warnings := r.logs.All()
		require.Len(t, warnings, 1, "it is told once")
		assert.Equal(t, "The state was not saved: a restart forgets all that this process has learned", warnings[0].Message)
		assert.Equal(t, "the storage has not answered for 1m0s", warnings[0].ContextMap()["error"])
		s.dead = true
		s.run(r, 30*time.Second)
		assert.Len(t, r.events("failure.detected"), 1)
		close(disk.may)
		s.run(r, time.Second)
		r.shutdown(t)
		assert.Len(t, r.logs.All(), 1)
	})
}

// A start and a shutdown end, whatever the storage does.
func TestStorageThatNeverAnswersHoldsUpNobody(t *testing.T) {
	for name, c := range map[string]struct {
		what         string
		started      time.Duration // how long a start took
		startErr     string
		ended        time.Duration // how long an end took
		endErr, lost string
	}{
		"for_a_client": {what: "client", started: answersWithin, startErr: `storage: extension "file_storage": the storage has not answered for 10s`},
		"to_read":      {what: "get", started: answersWithin, lost: "The stored state cannot be used; starting with an empty one"},
		"to_write": {what: "set", ended: answersWithin, endErr: "the storage has not answered for 10s",
			lost: "The state was not saved: a restart forgets all that this process has learned"},
		"to_close": {what: "close", ended: answersWithin, endErr: "the storage has not answered for 10s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := silentStorage(c.what)
				defer close(disk.may)
				r := newRig(t, withStorage)
				began := time.Now()
				err := r.Start(t.Context(), testHost{storageID: disk})
				assert.Equal(t, c.started, time.Since(began))
				if c.startErr != "" {
					assert.EqualError(t, err, c.startErr)
					return
				}
				require.NoError(t, err)
				require.NoError(t, r.Ready())
				newShop().run(r, time.Second)
				began = time.Now()
				require.NoError(t, r.NotReady())
				err = r.Shutdown(t.Context())
				assert.Equal(t, c.ended, time.Since(began))
				if c.endErr == "" {
					assert.NoError(t, err)
				} else {
					assert.EqualError(t, err, c.endErr)
				}
				if c.lost != "" {
					require.Len(t, r.logs.All(), 1)
					assert.Equal(t, c.lost, r.logs.All()[0].Message)
					assert.Equal(t, "the storage has not answered for 10s", r.logs.All()[0].ContextMap()["error"])
				}
			})
		})
	}
}

func TestStateThatCannotBeReadIsReportedAndLeftAside(t *testing.T) {
	zip := func(text string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err := w.Write([]byte(text))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return b.Bytes()
	}
	for name, stored := range map[string][]byte{
		"not_compressed":  []byte(`{"version":1}`),
		"cut_short":       zip(`{"version":1,"instances":[]}`)[:20],
		"no_json":         zip("\x00\x01\x02"),
		"another_version": zip(`{"version":999,"instances":[]}`),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				host, stop := fileStorage(t, dir)
				r := newRig(t, withStorage)
				corrupt, err := openStore(t.Context(), host, storageID, r.settings.ID)
				require.NoError(t, err)
				require.NoError(t, corrupt.client.Set(t.Context(), stateKey, stored))
				require.NoError(t, corrupt.close(t.Context()))

				r.start(t, host)
				warnings := r.logs.FilterMessageSnippet("The stored state cannot be used").All()
				require.Len(t, warnings, 1)
				assert.NotEmpty(t, warnings[0].ContextMap()["error"])

				require.NoError(t, r.Ready())
				s := newShop()
				s.run(r, time.Minute)
				s.dead = true
				s.run(r, 30*time.Second)
				assert.Len(t, r.events("failure.detected"), 1, "it works all the same")
				r.shutdown(t)

				again := newRig(t, withStorage)
				again.start(t, host)
				assert.Empty(t, again.logs.All(), "and its own state has replaced the other")
				again.shutdown(t)
				stop()
			})
		})
	}
}

func TestStorageKey(t *testing.T) {
	t.Run("without_it_a_warning_says_what_a_restart_forgets", func(t *testing.T) {
		r := newRig(t, nil)
		assert.Empty(t, r.Dependencies())
		r.start(t, testHost{})
		require.Len(t, r.logs.All(), 1)
		assert.Contains(t, r.logs.All()[0].Message, "No storage:")
		assert.Contains(t, r.logs.All()[0].Message, "set `storage` to a storage extension, such as file_storage")
		r.shutdown(t)
	})
	t.Run("an_extension_that_is_not_there", func(t *testing.T) {
		r := newRig(t, withStorage)
		assert.EqualError(t, r.Start(t.Context(), testHost{}),
			"storage: extension \"file_storage\" is not started: add it under `extensions:` and to `service::extensions`")
		r.shutdown(t)
	})
	t.Run("an_extension_that_keeps_nothing", func(t *testing.T) {
		r := newRig(t, withStorage)
		assert.EqualError(t, r.Start(t.Context(), testHost{storageID: newRig(t, nil).failureModel}),
			`storage: extension "file_storage" keeps nothing: name a storage extension, such as file_storage`)
		r.shutdown(t)
	})
	t.Run("a_store_that_fails_later_is_reported", func(t *testing.T) {
		host, stop := fileStorage(t, t.TempDir())
		r := newRig(t, withStorage)
		r.start(t, host)
		require.NoError(t, r.store.close(t.Context())) // pulled from under it
		require.NoError(t, r.NotReady())
		assert.Len(t, r.logs.FilterMessageSnippet("The state was not saved: a restart forgets all that this process has learned").All(), 1)
		r.cancel()
		_ = r.Shutdown(t.Context()) // closing twice may be an error
		stop()
	})
}
