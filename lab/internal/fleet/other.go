// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package fleet

import "github.com/faultline-otel/faultline/lab/internal/service"

func available() error               { return ErrNoRoot }
func claim() (string, error)         { return "", ErrNoRoot }
func sweep() error                   { return ErrNoRoot }
func cleanUp(string) error           { return nil }
func mountData(string, string) error { return ErrNoRoot }

// Main turns this process into a process of the fleet if it was started as one,
// and then does not return. Call it first in main.
func Main() { service.Main() }
