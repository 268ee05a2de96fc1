// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package failuremodelprocessor is the Collector processor `failure_model`: it
// shows the engine what passes, and tags what failed with what the engine knows.
//
//	traces ─► observe ─► nothing odd ─► next
//	                └──► decide ─► tag ─► next
//	                        └──► waiting room ─► decide again ─► next
package failuremodelprocessor
