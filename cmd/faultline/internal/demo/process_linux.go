// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package demo

import "syscall"

// endWithParent has the kernel kill the child if the demo itself is killed and
// cannot clean up.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
