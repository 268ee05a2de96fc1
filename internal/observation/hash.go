// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"math/bits"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// maxName is the length in bytes above which a name is shortened, so that a
// flood of huge names costs no more than one of small ones.
const maxName = 256

const mixPrime = 0x9E3779B97F4A7C15 // 2^64 / golden ratio

// mix continues h over v.
func mix(h, v uint64) uint64 {
	return bits.RotateLeft64(h^v*mixPrime, 29) * mixPrime
}

func mixString(h uint64, s string) uint64 {
	if s == "" {
		return mix(h, 0)
	}
	return mix(h, xxhash.Sum64String(s))
}

// clip returns a name that is at most maxName bytes long. What is cut off is
// replaced by its hash, so that two long names stay two.
func clip(s string) string {
	if len(s) <= maxName {
		return s
	}
	return shorten(s)
}

func shorten(s string) string {
	const hexDigits = "0123456789abcdef"
	var tail [16]byte
	h := xxhash.Sum64String(s)
	for i := range tail {
		tail[i] = hexDigits[h>>(60-4*i)&15]
	}
	return cut(s, maxName-len("…")-len(tail)) + "…" + string(tail[:])
}

// cut returns at most n bytes of s, not ending inside a rune.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// own returns a valid UTF-8 copy of s, that keeps nothing else in memory.
func own(s string) string {
	if utf8.ValidString(s) {
		return strings.Clone(s)
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// line makes one line of at most 200 bytes out of the beginning of s, for people.
func line(s string) string {
	const most = 200
	s = strings.TrimSpace(cut(s, 4*most))
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		s = s[:i]
	}
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
	if len(s) > most {
		return cut(s, most-len("…")) + "…"
	}
	return strings.Clone(s)
}
