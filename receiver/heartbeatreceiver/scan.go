// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON (RFC 8259) strictly. It exists because a heartbeat has to
// be decoded in well under a microsecond, and because a flaw inside one element
// of an array must not cost the elements around it, which general decoders do
// not offer. What it returns are parts of s, not copies, wherever s holds no
// escapes.
type scanner struct {
	s string
	i int
}

// syntaxError is a flaw after which the rest cannot be read.
type syntaxError struct {
	offset int
	what   string
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("not valid JSON at byte %d: %s", e.offset, e.what)
}

func (sc *scanner) fail(what string) error { return &syntaxError{offset: sc.i, what: what} }

// peek skips white space and returns the next byte, 0 at the end.
func (sc *scanner) peek() byte {
	for sc.i < len(sc.s) {
		switch c := sc.s[sc.i]; c {
		case ' ', '\t', '\n', '\r':
			sc.i++
		default:
			return c
		}
	}
	return 0
}

// take consumes c, which must come next.
func (sc *scanner) take(c byte, where string) error {
	if sc.peek() != c {
		return sc.unexpected(fmt.Sprintf("want %q %s", c, where))
	}
	sc.i++
	return nil
}

func (sc *scanner) unexpected(what string) error {
	if sc.i >= len(sc.s) {
		return sc.fail("it ends too early; " + what)
	}
	return sc.fail(what)
}

// str reads a string. flaw says what is wrong inside it ("" if nothing); the
// string could be read to its end all the same.
func (sc *scanner) str() (v, flaw string, err error) {
	if sc.i >= len(sc.s) || sc.s[sc.i] != '"' {
		return "", "", sc.unexpected("want a string")
	}
	start := sc.i + 1
	var high byte
	for i := start; i < len(sc.s); i++ {
		switch c := sc.s[i]; {
		case c == '"':
			sc.i = i + 1
			v = sc.s[start:i]
			if high >= utf8.RuneSelf && !utf8.ValidString(v) {
				flaw = flawUTF8
			}
			return v, flaw, nil
		case c == '\\' || c < 0x20:
			return sc.longStr(start)
		default:
			high |= c
		}
	}
	sc.i = len(sc.s)
	return "", "", sc.fail("a string does not end")
}

const (
	flawUTF8    = "is not valid UTF-8"
	flawControl = "holds a raw control character"
	flawEscape  = "holds an escape that JSON does not know"
)

// longStr reads a string that has escapes or flaws.
func (sc *scanner) longStr(start int) (v, flaw string, err error) {
	end := start
	for ; end < len(sc.s) && sc.s[end] != '"'; end++ {
		if sc.s[end] == '\\' {
			end++
		}
	}
	if end >= len(sc.s) {
		sc.i = len(sc.s)
		return "", "", sc.fail("a string does not end")
	}
	sc.i = end + 1
	v, flaw = unescape(sc.s[start:end])
	if flaw == "" && !utf8.ValidString(v) {
		flaw = flawUTF8
	}
	return v, flaw, nil
}

// unescape resolves the escapes of raw, the inside of a JSON string.
func unescape(raw string) (v, flaw string) {
	var out strings.Builder
	out.Grow(len(raw))
	for i := 0; i < len(raw); {
		c := raw[i]
		if c < 0x20 {
			return "", flawControl
		}
		if c != '\\' {
			out.WriteByte(c)
			i++
			continue
		}
		if i+1 >= len(raw) {
			return "", flawEscape
		}
		if raw[i+1] == 'u' {
			r, n := unicodeEscape(raw[i:])
			if n == 0 {
				return "", flawEscape
			}
			out.WriteRune(r)
			i += n
			continue
		}
		at := strings.IndexByte(`"\/bfnrt`, raw[i+1])
		if at < 0 {
			return "", flawEscape
		}
		out.WriteByte("\"\\/\b\f\n\r\t"[at])
		i += 2
	}
	return out.String(), ""
}

// unicodeEscape reads \uXXXX, or two of them that make one rune, at the start
// of s. It returns how many bytes that took, 0 if it is no valid escape; half a
// surrogate pair is none, since UTF-8 cannot hold it.
func unicodeEscape(s string) (rune, int) {
	r, ok := hex4(s)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	low, ok := hex4(s[6:])
	if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}

func hex4(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s[2:6]) {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// num reads a number and returns it as written.
func (sc *scanner) num() (string, error) {
	start := sc.i
	if sc.i < len(sc.s) && sc.s[sc.i] == '-' {
		sc.i++
	}
	switch n := sc.digits(); {
	case n == 0:
		return "", sc.unexpected("want a value")
	case n > 1 && sc.s[sc.i-n] == '0':
		return "", sc.fail("a number must not begin with 0")
	}
	if sc.i < len(sc.s) && sc.s[sc.i] == '.' {
		sc.i++
		if sc.digits() == 0 {
			return "", sc.unexpected("want a digit after the point")
		}
	}
	if sc.i < len(sc.s) && (sc.s[sc.i] == 'e' || sc.s[sc.i] == 'E') {
		sc.i++
		if sc.i < len(sc.s) && (sc.s[sc.i] == '+' || sc.s[sc.i] == '-') {
			sc.i++
		}
		if sc.digits() == 0 {
			return "", sc.unexpected("want a digit in the exponent")
		}
	}
	return sc.s[start:sc.i], nil
}

func (sc *scanner) digits() int {
	start := sc.i
	for sc.i < len(sc.s) && sc.s[sc.i] >= '0' && sc.s[sc.i] <= '9' {
		sc.i++
	}
	return sc.i - start
}

// literal reads true, false or null.
func (sc *scanner) literal() error {
	for _, l := range [...]string{"null", "true", "false"} {
		if strings.HasPrefix(sc.s[sc.i:], l) {
			sc.i += len(l)
			return nil
		}
	}
	return sc.unexpected("want a value")
}

const maxDepth = 64 // the bits of skip's objects

// skip reads a value of any kind and throws it away. It does not recurse, and
// gives up below maxDepth.
func (sc *scanner) skip() error {
	var objects uint64 // a bit for each open container, the innermost lowest: is it an object?
	depth := 0
	for {
		// A value begins here.
		var err error
		switch c := sc.peek(); c {
		case '{', '[':
			if depth == maxDepth {
				return sc.fail(fmt.Sprintf("nested deeper than %d", maxDepth))
			}
			sc.i++
			objects <<= 1
			if c == '{' {
				objects |= 1
			}
			depth++
			if sc.peek() == c+2 { // '}' follows '{', and ']' '[', at a distance of two
				break
			}
			if c == '{' {
				if err = sc.key(); err != nil {
					return err
				}
			}
			continue
		case '"':
			_, _, err = sc.str()
		case 't', 'f', 'n':
			err = sc.literal()
		default:
			_, err = sc.num()
		}
		if err != nil {
			return err
		}
		// A value has ended: close what ends with it.
		for {
			if depth == 0 {
				return nil
			}
			c := sc.peek()
			if c == ',' {
				sc.i++
				if objects&1 != 0 {
					if err = sc.key(); err != nil {
						return err
					}
				}
				break
			}
			want := byte(']')
			if objects&1 != 0 {
				want = '}'
			}
			if c != want {
				return sc.unexpected(fmt.Sprintf("want , or %c", want))
			}
			sc.i++
			objects >>= 1
			depth--
		}
	}
}

// key reads a key whose name does not matter, and the colon.
func (sc *scanner) key() error {
	sc.peek()
	if _, _, err := sc.str(); err != nil {
		return err
	}
	return sc.take(':', "after a key")
}
