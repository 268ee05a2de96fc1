// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package shop is the small payment platform that the demo breaks: gateway →
// checkout → payment → ledger, each a process of its own, instrumented with the
// stock OpenTelemetry SDK and sending heartbeats. It is also an example of how
// to write a service that Faultline understands.
package shop
