// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package failuremodelreceiver is the Collector receiver `failure_model`: it
// brings what the engine concluded into the pipelines, as metrics and events.
package failuremodelreceiver
