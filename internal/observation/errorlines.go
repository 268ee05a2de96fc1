// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"iter"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Lines at ERROR that belong to a request: where spans carry no status they are
// all that tells of its failure. What one says of a call that it made is the
// callee's matter, and what it says of the request is the client's.

// maxErrorLines bounds what is told of one batch: a flood says no more.
const maxErrorLines = 512

// notOwn is what a line says when not its writer is at fault: a call of it failed,
// it is short of something (which is told as such), or the request was bad.
const notOwn = ofAnother | saysCallFailed | saysDescriptors | saysThreads | saysPorts | saysDisk | saysMemory | saysOOMKill | saysCircuit | saysCanceled

// blamesCallee says whether a line tells that a call failed which its writer made: it
// counts whether it tells its request or not. A pool that is used up is the writer's own.
func (m meaning) blamesCallee() bool { return m&ofAnother != 0 && m&saysPool == 0 }

// erred takes in a line at ERROR or above that tells its request, or one that only
// tells how a call of its writer ended.
func (r *logResource) erred(lr plog.LogRecord, says meaning, s string) {
	sc := r.sc
	if says&(saysRequest|saysClients) != 0 || len(sc.out.Errors) >= maxErrorLines || s == "" {
		return
	}
	who := r.source()
	if who == nil && (r.id.podUID != "" || r.id.podName != "") {
		who = sc.x.inPod(&r.id) // the log is read from a file of its node
	}
	if who == nil {
		return
	}
	l := report.ErrorLine{
		Source: who, Kind: kindOfLine(s), Trace: traceHash(lr.TraceID()), Count: 1, At: sc.past(when(lr)), Quoted: says&notOwn != 0,
	}
	if n := len(sc.out.Errors); n > 0 {
		if last := &sc.out.Errors[n-1]; last.Source == l.Source && last.Kind == l.Kind && last.Trace == l.Trace {
			if l.Trace == 0 {
				last.Count++
			}
			return
		}
	}
	if !l.Quoted {
		l.Text = unvaried(s)
	}
	sc.out.Errors = append(sc.out.Errors, l)
}

const (
	// kindText is how much of a line makes its kind, in bytes, and kindWords in
	// words: what comes later are stacks and values.
	kindText  = 512
	kindWords = 24
)

// kindOfLine hashes the words of a line that do not vary.
func kindOfLine(s string) uint64 {
	h := uint64(1)
	for word := range wordsOf(s) {
		h = mixString(h, word)
	}
	return h
}

// unvaried is what does not vary of a line, for people.
func unvaried(s string) string {
	text := ""
	for word := range wordsOf(s) {
		if text != "" {
			text += " "
		}
		text += word
	}
	return line(text)
}

// wordsOf yields the first words of a line, less those that hold digits: times,
// numbers and ids.
func wordsOf(s string) iter.Seq[string] {
	return func(yield func(string) bool) { eachWord(s[:min(len(s), kindText)], yield) }
}

func eachWord(s string, yield func(string) bool) {
	words := 0
	start, varies := -1, false
	for i := 0; i <= len(s); i++ {
		c := byte(' ')
		if i < len(s) {
			c = s[i]
		}
		switch {
		case c >= '0' && c <= '9':
			varies = true
			fallthrough
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= 0x80, c == '-', c == '_', c == '.', c == '$':
			if start < 0 {
				start = i
			}
			continue
		}
		if start >= 0 && !varies {
			if words++; !yield(s[start:i]) || words == kindWords {
				return
			}
		}
		start, varies = -1, false
	}
}
