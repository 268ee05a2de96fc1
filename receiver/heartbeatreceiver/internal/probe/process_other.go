// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package probe

import (
	"fmt"
	"runtime"
)

func newProcess(ProcessConfig) (target, error) {
	return nil, fmt.Errorf("process: targets of this kind need Linux, and this is %s: probe an endpoint instead", runtime.GOOS)
}
