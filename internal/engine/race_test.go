// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build race

package engine

const underRace = true // ten times slower
