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
// from fares: price is not positive", "fares returned a negative price", "fares: impossible
// price". Only the engine knows whether it calls anybody of that name.

// faulty are the words that find fault, and absurd those of them that are said of an answer
// alone: what is invalid or wrong may as well be what one was asked for, unless it is called
// an answer.
var (
	faulty = append([]string{"invalid", "unexpected", "wrong", "bad", "negative"}, absurd...)
	absurd = []string{"malformed", "inconsistent", "implausible", "impossible", "corrupt", "corrupted", "bogus", "garbled", "nonsensical"}
)

// answerWords are the words for an answer.
var answerWords = []string{"answer", "response", "reply", "result"}

// gave are the words for giving an answer.
var gave = []string{" returned ", " gave ", " sent ", " answered with ", " replied with "}

// fewWords is how many bytes may stand between the words that find fault and those that
// say whose it is.
const fewWords = 40

// faultFound is the part of a text that finds fault with what somebody gave, and the words
// of it that name who that is; "" if none does.
func faultFound(text string) (found, whom string) {
	text = cut(text, 4*maxName)
	at := 0
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ' ' || r == ':' || r == '"' || r == '(' || r == ',' }) {
		at += strings.Index(text[at:], word)
		is := func(s string) bool { return strings.EqualFold(s, word) }
		if !slices.ContainsFunc(faulty, is) || strings.Contains(text[at:min(len(text), at+fewWords)], " status") {
			continue // a status is told with the call
		}
		if i := strings.Index(text[at:], " from "); i >= 0 && i <= fewWords {
			return text[at:], text[at+i+len(" from "):]
		}
		before := text[:at]
		for _, w := range gave {
			if i := strings.LastIndex(before, w); i >= 0 && at-i <= fewWords {
				return subject(text, i)
			}
		}
		if i := strings.LastIndex(before, ": "); i >= 0 && at-i <= fewWords/2 {
			next, _, _ := strings.Cut(strings.TrimLeft(text[at+len(word):], " "), " ")
			if slices.ContainsFunc(absurd, is) || slices.ContainsFunc(answerWords, func(s string) bool { return strings.EqualFold(s, strings.TrimRight(next, ":,;.")) }) {
				return subject(text, i)
			}
		}
	}
	return "", ""
}

// subject is a text from the clause on that ends at end, and that clause.
func subject(text string, end int) (found, whom string) {
	from := strings.LastIndexAny(text[:end], ":;,(\"") + 1
	return strings.TrimLeft(text[from:], " "), text[from:end]
}

// doubts tells that a call which was served failed over what somebody had given.
func (sc *scratch) doubts(span ptrace.Span, at clock.Time) {
	if sc.src == nil || sc.src.Key == 0 {
		return
	}
	text, whom := faultFound(span.Status().Message())
	for i, events := 0, span.Events(); text == "" && i < min(events.Len(), maxEventsRead); i++ {
		if message, ok := events.At(i).Attributes().Get("exception.message"); ok {
			text, whom = faultFound(message.Str())
		}
	}
	sc.doubted(text, whom, at)
}

// doubts tells the same of a line about a request that failed.
func (r *logResource) doubts(text, detail string, at clock.Time) {
	found, whom := faultFound(text)
	if found == "" {
		found, whom = faultFound(detail)
	}
	if found == "" {
		return
	}
	if src := r.source(); src != nil && src.Key != 0 && !src.Outside {
		r.sc.doubted(found, whom, at)
	}
}

// doubted notes what a process said of who gave it something.
func (sc *scratch) doubted(text, whom string, at clock.Time) {
	if text == "" {
		return
	}
	text, whom = line(text), line(whom)
	for i := range sc.out.Facts {
		if f := &sc.out.Facts[i]; f.Kind == report.FactDoubts && f.Source == sc.src && f.Text == text {
			f.Value++
			return
		}
	}
	if len(sc.out.Facts) < maxHeard {
		sc.out.Facts = append(sc.out.Facts, report.Fact{Source: sc.src, Kind: report.FactDoubts, Value: 1, At: at, Text: text, Whom: whom})
	}
}
