// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package service

// mischief has no commands here: the fleet runs on Linux.
func mischief(*faults, Config, *door) {}
