// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"time"
)

// explanation is what was found about one incident or trace.
type explanation struct {
	verdicts []verdict // as last said, by culprit
	timeline []moment
	spans    map[string]int // tagged spans by service and role
}

// What a verdict was read from. A span was tagged when little was known yet; the
// events carry every change of mind.
const (
	fromSpan = iota
	fromEvent
)

// verdict is one culprit's, as attributes tell it.
type verdict struct {
	class, subclass, culprit, culpritType, reason, incident string
	confidence                                              float64
	evidence, ruledOut                                      []string

	from int // fromSpan or fromEvent
	at   time.Time
}

// moment is one event of the engine.
type moment struct {
	at    time.Time
	event string
	body  string
}

func (e *explanation) empty() bool { return len(e.verdicts) == 0 && len(e.timeline) == 0 }

// add keeps v, unless something later or more final was said of the same culprit.
func (e *explanation) add(v verdict) {
	for i := range e.verdicts {
		if e.verdicts[i].culprit == v.culprit && e.verdicts[i].incident == v.incident {
			if known := &e.verdicts[i]; v.from > known.from || v.from == known.from && !v.at.Before(known.at) {
				*known = v
			}
			return
		}
	}
	e.verdicts = append(e.verdicts, v)
}

func (e *explanation) print(w io.Writer) error {
	var sb strings.Builder
	for _, v := range e.verdicts {
		class := v.class
		if v.subclass != "" {
			class += " (" + v.subclass + ")"
		}
		fmt.Fprintf(&sb, "%s of %s %s, confidence %.2f\n", class, v.culpritType, v.culprit, v.confidence)
		if v.incident != "" {
			fmt.Fprintf(&sb, "incident %s\n", v.incident)
		}
		list(&sb, "because", v.evidence, v.reason)
		list(&sb, "ruled out", v.ruledOut, "")
		sb.WriteByte('\n')
	}
	if len(e.timeline) > 0 {
		sort.SliceStable(e.timeline, func(i, j int) bool { return e.timeline[i].at.Before(e.timeline[j].at) })
		sb.WriteString("what was said\n")
		for _, m := range e.timeline {
			fmt.Fprintf(&sb, "  %s  %-18s %s\n", m.at.UTC().Format("15:04:05.000"), m.event, m.body)
		}
		sb.WriteByte('\n')
	}
	if len(e.spans) > 0 {
		sb.WriteString("spans that carry it\n")
		keys := make([]string, 0, len(e.spans))
		for k := range e.spans {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			fmt.Fprintf(&sb, "  %6d  %s\n", e.spans[k], k)
		}
	}
	_, err := io.WriteString(w, sb.String())
	return err
}

// list prints items below a heading; instead stands in for none.
func list(sb *strings.Builder, heading string, items []string, instead string) {
	if len(items) == 0 {
		if instead == "" {
			return
		}
		items = []string{instead}
	}
	fmt.Fprintln(sb, heading)
	for _, item := range items {
		fmt.Fprintln(sb, "  -", item)
	}
}
