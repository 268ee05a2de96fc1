// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"slices"
	"strings"
)

// Spans of calls to a database are named by the verb and at best the table: a report
// and a look-up share a name, and what is usual of one is slow for the other. So the
// statement is part of what makes spans of SQL comparable. What varies from one call to
// the next is none of it, as far as that shows.

// maxStatement is how much of a statement is read, in bytes.
const maxStatement = 256

var verbs = [...]string{"select", "insert", "update", "delete", "with", "call", "merge", "replace"}

// shapeMemo remembers the shape of a text.
type shapeMemo struct{ text, shape uint64 }

// shape is the shape of a statement; 0 if it is none of SQL.
func (sc *scratch) shape(text string) uint64 {
	if len(text) < len("call ") {
		return 0
	}
	text = text[:min(len(text), maxStatement)]
	h := mixString(0, text)
	m := &sc.shapes[h%memoSize]
	if m.text != h {
		*m = shapeMemo{h, shapeOf(text)}
	}
	return m.shape
}

// shapeOf hashes the words of a statement of SQL, without numbers, placeholders and
// what stands in quotes; 0 for any other text: keys of caches vary by their letters.
func shapeOf(text string) uint64 {
	text = text[:min(len(text), maxStatement)]
	verb, _, _ := strings.Cut(strings.TrimLeft(text, " \t\r\n("), " ")
	if !slices.ContainsFunc(verbs[:], func(v string) bool { return strings.EqualFold(v, verb) }) {
		return 0
	}
	h, quoted := uint64(1), false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == '%': // %s, as Python's drivers have it
			i++
		case c|0x20 >= 'a' && c|0x20 <= 'z', c == '*':
			h = mix(h, uint64(c|0x20))
		}
	}
	return h
}

// keyOfStatement is the key of the kind of span whose statement has that shape.
func keyOfStatement(key, shape uint64) uint64 {
	if shape == 0 {
		return key
	}
	return mix(key, shape)
}
