// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxNameRunes is how many characters a name may have.
const maxNameRunes = 256

var errControl = errors.New("holds a control character")

// CheckName says what is wrong with a name, of a target or of one who beats: it must be
// valid UTF-8, of at most maxNameRunes characters, none of them a control
// character (they would break lines, and the canonical form that is signed).
func CheckName(s string) error {
	ascii := true
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return errControl
		}
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	n := len(s)
	if !ascii {
		if !utf8.ValidString(s) {
			return errors.New("is not valid UTF-8")
		}
		n = utf8.RuneCountInString(s)
	}
	if n > maxNameRunes {
		return fmt.Errorf("has %d characters, more than the %d allowed", n, maxNameRunes)
	}
	return nil
}
