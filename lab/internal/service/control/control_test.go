// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCommandsArriveAndAreAnswered(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	require.NoError(t, Serve(socket, func(name string, args []string) (string, error) {
		if name == "fail" {
			return "", errors.New("no " + args[0])
		}
		return name + args[0], nil
	}))
	answer, err := Send(t.Context(), socket, "echo", "x\ny")
	require.NoError(t, err)
	assert.Equal(t, "echox\ny", answer)
	_, err = Send(t.Context(), socket, "fail", "way")
	assert.EqualError(t, err, "no way")
}

func TestSilentProcessIsNotWaitedForWithoutEnd(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = Send(ctx, socket, "echo")
	assert.Error(t, err)
}

func TestProcessThatEndsIsTold(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, _ = conn.Read(make([]byte, 100))
			_ = conn.Close()
		}
	}()
	_, err = Send(t.Context(), socket, "exit", "1")
	assert.ErrorIs(t, err, ErrEnded)
}
