// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package heartbeatreceiver is the Collector receiver `heartbeat`: it takes in
// heartbeats that are pushed (pings, JSON, OTLP), probes targets, and hands all
// of it on as log records, with metrics for people.
package heartbeatreceiver
