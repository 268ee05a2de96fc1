// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package probe

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func child(string) {}

func fullBacklog(t *testing.T) string {
	t.Skip("only Linux drops the SYNs that a full backlog has no room for")
	return ""
}

func TestProcessTargetsNeedLinux(t *testing.T) {
	cfg := Config{Process: ProcessConfig{Executable: "x"}}
	_, err := New(t.Context(), &cfg)
	assert.ErrorContains(t, err, "need Linux")
}
