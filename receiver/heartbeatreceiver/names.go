// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/google/uuid"
)

var errControl = errors.New("holds a control character")

// checkName says what is wrong with a name that comes from outside: it must be
// valid UTF-8, of at most maxNameRunes characters, none of them a control
// character (they would break lines, and the canonical form that is signed).
func checkName(s string) error {
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

// isUUID accepts the plain form with hyphens, as in a ping URL, in either case.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	_, err := uuid.Parse(s)
	return err == nil
}

const maxSlug = 100

// isSlug says whether s may be a slug: a-z, 0-9, hyphen and underscore.
func isSlug(s string) bool {
	if s == "" || len(s) > maxSlug {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
