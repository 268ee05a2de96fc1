// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package demo runs `faultline demo`: it starts the shop, the Collector and
// Jaeger, breaks one process after another, and holds what Faultline says
// against what was done.
//
//	command ─► stack (Jaeger, Collector, shop) ─► steps (break, listen, judge) ─► verify (ask Jaeger)
package demo
