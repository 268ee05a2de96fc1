// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package fleet

import (
	"context"
	"net"

	"github.com/faultline-otel/faultline/lab/internal/service"
)

type wire struct{}

func (*wire) close() {}

func dialIn(context.Context, string, string, string) (net.Conn, error) { return nil, ErrNoRoot }

// Shape makes a node's cable as the shapes say; not here.
func (f *Fleet) Shape(context.Context, *Node, ...Shape) error { return ErrNoRoot }

// SetLimit limits a resource of the running process; not here.
func (in *Instance) SetLimit(int, uint64) error { return ErrNoRoot }

// Pin lets the running process use one processor only, or all again; not here.
func (in *Instance) Pin(bool) error { return ErrNoRoot }

func available() error               { return ErrNoRoot }
func claim() (string, error)         { return "", ErrNoRoot }
func sweep() error                   { return ErrNoRoot }
func cleanUp(string) error           { return nil }
func mountData(string, string) error { return ErrNoRoot }

// Main turns this process into a process of the fleet if it was started as one,
// and then does not return. Call it first in main.
func Main() { service.Main() }
