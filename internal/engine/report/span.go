// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package report

import "time"

// SpanSample is the duration of one span of a kind (see SpanKey).
type SpanSample struct {
	Key      uint64
	Duration time.Duration
}

// SpanKey hashes what makes spans comparable: service, name, kind and peer.
func SpanKey(service uint64, name string, kind int32, peer string) uint64 {
	h := Hash(service, name)
	h = (h ^ uint64(uint32(kind))) * hashPrime
	return Hash(h, peer)
}
