// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package failuremodelextension is the Collector extension `failure_model`: it
// owns the one engine that the failure_model processor and receiver share, gives
// it the time, and keeps its state on disk.
package failuremodelextension
