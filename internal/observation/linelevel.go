// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"
)

// Many agents pass on lines as they were written, without reading the severity out of
// them. Where a line is JSON, or pairs of key and value, it tells it itself.

// levelText is how much of a line is searched for its level, in bytes.
const levelText = 512

// severityIn is the severity that a line of JSON or of pairs tells; unspecified if it
// tells none.
func severityIn(s string) plog.SeverityNumber {
	s = s[:min(len(s), levelText)]
	if strings.HasPrefix(s, "{") {
		for _, key := range [...]string{`"level":`, `"severity":`, `"levelname":`, `"log.level":`, `"lvl":`, `"@l":`} {
			if _, value, ok := strings.Cut(s, key); ok {
				return levelNamed(strings.TrimLeft(value, ` "`))
			}
		}
		return plog.SeverityNumberUnspecified
	}
	for _, key := range [...]string{"level=", "lvl=", "severity="} {
		if before, value, ok := strings.Cut(s, key); ok && (before == "" || before[len(before)-1] == ' ') {
			return levelNamed(strings.TrimLeft(value, `"`))
		}
	}
	return plog.SeverityNumberUnspecified
}

// levelNamed reads the name of a level that s begins with, or the number that pino and
// bunyan write: 30 is info, 50 an error.
func levelNamed(s string) plog.SeverityNumber {
	end := 0
	for end < len(s) && end < 16 && (s[end]|0x20-'a' < 26 || s[end]-'0' <= 9) {
		end++
	}
	switch s[:end] {
	case "10":
		return plog.SeverityNumberTrace
	case "20":
		return plog.SeverityNumberDebug
	case "30":
		return plog.SeverityNumberInfo
	case "40":
		return plog.SeverityNumberWarn
	case "50":
		return plog.SeverityNumberError
	case "60":
		return plog.SeverityNumberFatal
	}
	return severityOf(s[:end])
}
