// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package probe

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"go.uber.org/zap"
)

// Servers needs Linux.
type Servers struct{}

// NewServers says that it needs Linux.
func NewServers(int, *zap.Logger) (*Servers, error) {
	return nil, fmt.Errorf("it needs Linux, and this is %s", runtime.GOOS)
}

// Look sees nothing.
func (*Servers) Look(context.Context, time.Time) []Server { return nil }

// Close has nothing to free.
func (*Servers) Close() {}
