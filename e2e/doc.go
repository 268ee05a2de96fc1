// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e holds the end-to-end tests: the built Collector and the demo's
// shop as child processes, real signals, and the backends asked for what they
// received. It exports nothing.
//
// The tests need `make build`, and real Jaeger, Prometheus and Elasticsearch for
// the whole path (`make backends`). What is missing skips a test and says what to
// do; with CI=true it fails it.
package e2e
