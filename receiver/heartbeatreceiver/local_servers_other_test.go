// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package heartbeatreceiver

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLocalConnectionsDoNotKeepOtherSystemsFromStarting(t *testing.T) {
	g := newRig(t, func(c *Config) { c.LocalConnections.Enabled = true })
	assert.Nil(t, g.connections)
}

func TestLocalServersDoNotKeepOtherSystemsFromStarting(t *testing.T) {
	g := newRig(t, func(c *Config) { c.LocalServers.Enabled = true })
	assert.Nil(t, g.servers)
}
