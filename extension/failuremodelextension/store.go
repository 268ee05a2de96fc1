// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelextension

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// store keeps the engine's state, compressed, under one key of a storage
// extension.
type store struct {
	client storage.Client
	busy   chan struct{} // holds one token while a state is written
}

const (
	stateKey = "engine"
	// maxState bounds what is read back, in bytes after decompression.
	maxState = 1 << 30
)

func openStore(ctx context.Context, host component.Host, id, owner component.ID) (*store, error) {
	ext, ok := host.GetExtensions()[id]
	if !ok {
		return nil, fmt.Errorf("storage: extension %q is not started: add it under `extensions:` and to `service::extensions`", id)
	}
	s, ok := ext.(storage.Extension)
	if !ok {
		return nil, fmt.Errorf("storage: extension %q keeps nothing: name a storage extension, such as file_storage", id)
	}
	var client storage.Client
	if err := awaited(ctx, func(ctx context.Context) (err error) {
		client, err = s.GetClient(ctx, component.KindExtension, owner, "")
		return err
	}); err != nil {
		return nil, fmt.Errorf("storage: extension %q: %w", id, err)
	}
	return &store{client, make(chan struct{}, 1)}, nil
}

// load returns the stored state, or nil if there is none.
func (s *store) load(ctx context.Context) ([]byte, error) {
	var packed []byte
	err := awaited(ctx, func(ctx context.Context) (err error) {
		packed, err = s.client.Get(ctx, stateKey)
		return err
	})
	if err != nil || len(packed) == 0 {
		return nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, maxState))
}

func (s *store) save(ctx context.Context, state []byte) error {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := w.Write(state); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return s.client.Set(ctx, stateKey, packed.Bytes())
}

func (s *store) close(ctx context.Context) error { return awaited(ctx, s.client.Close) }

// answersWithin is how long a storage is waited for: a start and a shutdown must end
// though it never answers, and heeds no context.
const answersWithin = 10 * time.Second

var errNoAnswer = errors.New("the storage has not answered for " + answersWithin.String())

// awaited calls f and waits for it, for at most answersWithin. What f writes may be read
// only if there is no error: it may be running still.
func awaited(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answersWithin, errNoAnswer)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
