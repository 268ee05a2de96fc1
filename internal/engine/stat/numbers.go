// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package stat

import "slices"

// Clamp returns x, but no less than lo and no more than hi.
func Clamp(x, lo, hi float64) float64 { return min(max(x, lo), hi) }

// Median returns the middle of xs, which it leaves as they are; 0 of none.
func Median(xs []float64) float64 {
	s := slices.Clone(xs)
	slices.Sort(s)
	k := len(s)
	if k == 0 {
		return 0
	}
	return (s[(k-1)/2] + s[k/2]) / 2
}
