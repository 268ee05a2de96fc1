// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import "syscall"

// EndWithParent has the kernel kill a process that we start if we are killed and
// cannot stop it, as a test is when its time is over.
func EndWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
