// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package backends

import "syscall"

// EndWithParent does nothing where the kernel offers no such thing.
func EndWithParent(*syscall.SysProcAttr) {}
