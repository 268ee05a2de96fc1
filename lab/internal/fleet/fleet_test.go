// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"os"
	"testing"
)

// TestMain lets the test binary be every process of the fleet.
func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}
