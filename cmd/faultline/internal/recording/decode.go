// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bytes"
	"errors"
	"regexp"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Decode reads one line. Some writers put NaN and Infinity into JSON as bare
// words; they are read, too.
func Decode(text []byte) (*Line, error) {
	l, err := decode(text)
	if err == nil {
		return l, nil
	}
	if quoted := bareNumber.ReplaceAll(text, []byte(`:"$1"`)); len(quoted) != len(text) {
		if l, second := decode(quoted); second == nil {
			return l, nil
		}
	}
	return nil, err
}

var bareNumber = regexp.MustCompile(`:\s*(NaN|-?Infinity)\b`)

func decode(text []byte) (*Line, error) {
	l := &Line{}
	var err error
	switch signalKey(text) {
	case "resourceSpans":
		l.Signal = Traces
		if l.Traces, err = (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(text); err == nil {
			l.timeTraces()
		}
	case "resourceMetrics":
		l.Signal = Metrics
		if l.Metrics, err = (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(text); err == nil {
			l.timeMetrics()
		}
	case "resourceLogs":
		l.Signal = Logs
		if l.Logs, err = (&plog.JSONUnmarshaler{}).UnmarshalLogs(text); err == nil {
			l.timeLogs()
		}
	default:
		return nil, errors.New("no OTLP JSON: none of resourceSpans, resourceMetrics, resourceLogs")
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// signalKey is the key that says which signal a line holds. It comes first in
// all that the Collector writes; looking elsewhere is for other writers, because
// a value further in may be spelt the same.
func signalKey(text []byte) string {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(text), []byte("{"))
	if rest = bytes.TrimSpace(rest); ok && len(rest) > 0 && rest[0] == '"' {
		if end := bytes.IndexByte(rest[1:], '"'); end >= 0 {
			for _, key := range signalKeys {
				if string(rest[1:1+end]) == key {
					return key
				}
			}
		}
	}
	for _, key := range signalKeys {
		if bytes.Contains(text, []byte(`"`+key+`"`)) {
			return key
		}
	}
	return ""
}

var signalKeys = [...]string{"resourceSpans", "resourceMetrics", "resourceLogs"}
