// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Who checks what it is given finds fault with it in words of its own: "invalid quote
// from fares: price is not positive". Only the engine knows whether it calls anybody of
// that name.

// faulty are the words that find fault, and fewWords how many bytes of what is at fault
// may stand between them and "from".
var faulty = []string{"invalid", "unexpected", "malformed", "inconsistent", "implausible", "impossible", "wrong", "bad", "corrupt", "bogus"}

const fewWords = 40

// faultFound is the part of a text that finds fault with what somebody gave, "" if none
// does.
func faultFound(text string) string {
	text = cut(text, 4*maxName)
	end := strings.Index(text, " from ")
	if end < 0 {
		return ""
	}
	at := 0
	for word := range strings.FieldsFuncSeq(text[:end], func(r rune) bool { return r == ' ' || r == ':' || r == '"' || r == '(' }) {
		at += strings.Index(text[at:], word)
		if end-at <= fewWords && slices.ContainsFunc(faulty, func(f string) bool { return strings.EqualFold(f, word) }) {
			return text[at:]
		}
	}
	return ""
}

// doubts tells that a call which was served failed over what somebody had given.
func (sc *scratch) doubts(span ptrace.Span, at clock.Time) {
	if sc.src == nil || sc.src.Key == 0 {
		return
	}
	text := faultFound(span.Status().Message())
	for i, events := 0, span.Events(); text == "" && i < min(events.Len(), maxEventsRead); i++ {
		if message, ok := events.At(i).Attributes().Get("exception.message"); ok {
			text = faultFound(message.Str())
		}
	}
	if text == "" {
		return
	}
	text = line(text)
	for i := range sc.out.Facts {
		if f := &sc.out.Facts[i]; f.Kind == report.FactDoubts && f.Source == sc.src && f.Text == text {
			f.Value++
			return
		}
	}
	if len(sc.out.Facts) < maxHeard {
		sc.out.Facts = append(sc.out.Facts, report.Fact{Source: sc.src, Kind: report.FactDoubts, Value: 1, At: at, Text: text})
	}
}
