// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package probe

import "testing"

func fullBacklog(t *testing.T) string {
	t.Skip("only Linux drops the SYNs that a full backlog has no room for")
	return ""
}
