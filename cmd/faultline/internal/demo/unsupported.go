// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package demo

import (
	"errors"

	"github.com/spf13/cobra"
)

// Command returns `faultline demo`, which needs signals to freeze processes.
func Command() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Start a small payment platform and break it (not on this system)",
		RunE: func(*cobra.Command, []string) error {
			return errors.New("demo: it freezes processes by signals, which only Unix has; run it on Linux, macOS or in WSL")
		},
	}
}
