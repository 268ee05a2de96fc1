// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package shared

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type config struct{ _ int }

func TestInstanceIsSharedUntilTheLastLeaves(t *testing.T) {
	var table Table[config, *int]
	create := func() (*int, error) { return new(int), nil }
	one, other := &config{}, &config{}
	of := func(c *config) *int {
		instance, err := table.Of(c, create)
		require.NoError(t, err)
		return instance
	}
	first := of(one)
	assert.Same(t, first, of(one), "the same configuration")
	assert.NotSame(t, first, of(other), "another")
	assert.False(t, table.Leave(one))
	assert.Same(t, first, of(one))
	assert.False(t, table.Leave(one))
	assert.True(t, table.Leave(one))
	assert.True(t, table.Leave(one), "who leaves twice disturbs nobody")
	again := of(one)
	assert.NotSame(t, first, again, "begun anew")
	table.Forget(one)
	assert.NotSame(t, again, of(one))
}

func TestWhatCannotBeCreatedIsTriedAgain(t *testing.T) {
	var table Table[config, *int]
	c := &config{}
	_, err := table.Of(c, func() (*int, error) { return nil, errors.New("no") })
	require.EqualError(t, err, "no")
	instance, err := table.Of(c, func() (*int, error) { return new(int), nil })
	require.NoError(t, err)
	assert.NotNil(t, instance)
	assert.True(t, table.Leave(c))
}
