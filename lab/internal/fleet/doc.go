// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package fleet runs the lab's fleet: real processes on nodes that are Linux
// network namespaces, in three zones on one bridge, watched by one agent
// Collector a zone and judged by a gateway Collector.
//
// Everything that a fleet makes on the machine carries the fleet's prefix, in
// which the id of the process that made it stands: namespaces, control groups,
// mounts. Close removes all of it, and Start removes what a killed run left.
// The bridge lives in a namespace of its own, so that the machine's own network
// is not touched.
package fleet
