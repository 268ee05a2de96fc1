// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// keyring holds the secrets of senders that sign.
type keyring map[string][]KeyConfig // by service

func newKeyring(keys []KeyConfig) keyring {
	k := keyring{}
	for _, c := range keys {
		k[c.Service] = append(k[c.Service], c)
	}
	return k
}

// find returns the key that b must be signed with, the most specific one.
func (k keyring) find(b *beat) (key []byte, needed bool) {
	best := -1
	for _, c := range k[b.text[fService]] {
		if c.Namespace != "" && c.Namespace != b.text[fNamespace] || c.Instance != "" && c.Instance != b.text[fInstance] {
			continue
		}
		rank := 0
		if c.Namespace != "" {
			rank++
		}
		if c.Instance != "" {
			rank += 2
		}
		if rank > best {
			best, key = rank, []byte(c.Key)
		}
	}
	return key, best >= 0
}

// verify checks the MAC of b where one is needed, and marks b as authenticated.
func (k keyring) verify(b *beat) *elementError {
	if len(k) == 0 {
		return nil
	}
	key, needed := k.find(b)
	if !needed {
		return nil
	}
	if !b.given(fMAC) {
		return forbidden("is missing: the service %s signs its heartbeats", clip(b.text[fService]))
	}
	want := sign(key, b)
	got, ok := decodeMAC(b.text[fMAC])
	if !ok || !hmac.Equal(got, want) {
		return forbidden("does not fit: sign the fields as sent by HMAC-SHA256 with the key of %s", clip(b.text[fService]))
	}
	b.authenticated = true
	return nil
}

func forbidden(format string, a ...any) *elementError {
	return &elementError{Field: "mac", Text: fmt.Sprintf(format, a...), reason: reasonForbidden}
}

// sign is HMAC-SHA256 over the canonical form: for each field that is given, in
// the order of the constants, its name, "=", its value as sent, and a line feed.
// No value can hold a line feed, so no two heartbeats share a form.
func sign(key []byte, b *beat) []byte {
	h := hmac.New(sha256.New, key)
	var form strings.Builder
	for f := range fMAC {
		if b.given(f) {
			form.WriteString(fieldNames[f])
			form.WriteByte('=')
			form.WriteString(b.text[f])
			form.WriteByte('\n')
		}
	}
	h.Write([]byte(form.String()))
	return h.Sum(nil)
}

// decodeMAC reads hex or base64 (plain or URL, padded or not).
func decodeMAC(text string) ([]byte, bool) {
	if len(text) == hex.EncodedLen(sha256.Size) {
		sum, err := hex.DecodeString(text)
		return sum, err == nil
	}
	text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
	sum, err := base64.RawStdEncoding.DecodeString(text)
	return sum, err == nil && len(sum) == sha256.Size
}
