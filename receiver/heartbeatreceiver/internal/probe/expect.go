// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/faultline-otel/faultline/internal/contract"
)

// maxBody is how much of an answer is read, in bytes.
const maxBody = 1 << 20

// expectation is an ExpectConfig that is ready for use.
type expectation struct {
	status   []int
	contains []byte
	regex    *regexp.Regexp
	digest   string // lower case
}

func newExpectation(cfg ExpectConfig) (expectation, error) {
	e := expectation{status: cfg.Status, contains: []byte(cfg.BodyContains), digest: strings.ToLower(cfg.Digest)}
	if cfg.BodyRegex != "" {
		var err error
		if e.regex, err = regexp.Compile(cfg.BodyRegex); err != nil {
			return e, fmt.Errorf("expect::body_regex: %w", err)
		}
	}
	return e, nil
}

// ofBody says whether anything is expected of the body.
func (e *expectation) ofBody() bool {
	return len(e.contains) > 0 || e.regex != nil || e.digest != ""
}

// checkStatus judges an HTTP status. One that nobody listed is a wrong answer
// only where somebody listed the right ones; 429 and 5xx are the target's own
// word that it failed.
func (e *expectation) checkStatus(status int) (outcome, message string) {
	switch {
	case slices.Contains(e.status, status), len(e.status) == 0 && status >= 200 && status < 300:
		return contract.OutcomeOK, ""
	case status >= 500, status == 429, len(e.status) == 0:
		return contract.OutcomeError, fmt.Sprintf("answered with status %d", status)
	}
	return contract.OutcomeWrongAnswer, fmt.Sprintf("answered with status %d instead of %s", status, strings.Trim(fmt.Sprint(e.status), "[]"))
}

// checkBody judges a body, of which there was more if truncated.
func (e *expectation) checkBody(body []byte, truncated bool) Result {
	r := Result{Outcome: contract.OutcomeOK}
	wrong := func(format string, a ...any) Result {
		r.Outcome, r.Message = contract.OutcomeWrongAnswer, fmt.Sprintf(format, a...)
		return r
	}
	if e.digest != "" {
		if truncated {
			return wrong("the body is longer than the %d bytes that a known answer may have", maxBody)
		}
		sum := sha256.Sum256(body)
		r.Digest = hex.EncodeToString(sum[:])
		if r.Digest != e.digest {
			return wrong("the body's SHA-256 is %s… instead of %s…", r.Digest[:12], e.digest[:12])
		}
	}
	if e.matches(body) {
		return r
	}
	return wrong("%s", e.missing())
}

// matches says whether the text is there; it may be in a part of the body.
func (e *expectation) matches(body []byte) bool {
	return bytes.Contains(body, e.contains) && (e.regex == nil || e.regex.Match(body))
}

func (e *expectation) missing() string {
	if e.regex != nil {
		return fmt.Sprintf("the answer does not match %q", e.regex)
	}
	return fmt.Sprintf("the answer does not contain %q", e.contains)
}
