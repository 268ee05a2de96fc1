// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import "syscall"

// endWithParent has the kernel kill a server if we are killed and cannot stop
// it, as a test is when its time is over.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
