// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package probe

import (
	"fmt"
	"runtime"
	"time"

	"go.uber.org/zap"
)

// Connections needs Linux.
type Connections struct{}

// NewConnections says that it needs Linux.
func NewConnections(time.Duration, int, *zap.Logger) (*Connections, error) {
	return nil, fmt.Errorf("it needs Linux, and this is %s", runtime.GOOS)
}

// Look sees nothing.
func (*Connections) Look() []Peer { return nil }
