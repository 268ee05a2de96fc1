// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// writer prints events for people or as JSON lines. The first error stays.
type writer struct {
	out  io.Writer
	json bool
	err  error
}

// line is the public form of an event; its keys are part of the contract.
type line struct {
	Time       string  `json:"time"`
	Event      string  `json:"event"`
	Entity     string  `json:"entity"`
	Class      string  `json:"class"`
	Subclass   string  `json:"subclass"`
	Confidence float64 `json:"confidence"`
	Culprit    string  `json:"culprit"`
	Reason     string  `json:"reason"`
	Incident   string  `json:"incident"`
}

func lineOf(ev *verdict.Event) line {
	l := line{Time: ev.At.UTC().Format(time.RFC3339Nano), Event: ev.Kind, Entity: ev.Entity, Reason: ev.Body}
	if ev.Incident != nil {
		l.Class, l.Culprit, l.Reason, l.Incident = string(ev.Incident.Class), ev.Incident.Culprit.Name, ev.Incident.Reason, ev.Incident.ID
	}
	if v := ev.Verdict; v != nil {
		l.Class, l.Subclass, l.Confidence = string(v.Class), string(v.Subclass), v.Confidence
		l.Culprit, l.Reason, l.Incident = v.Culprit.Name, v.Reason, v.Incident
	}
	return l
}

func (w *writer) event(ev *verdict.Event) {
	if w.json {
		w.encode(lineOf(ev))
		return
	}
	w.printf("%s  %-18s %s\n", ev.At.UTC().Format("2006-01-02 15:04:05.000"), ev.Kind, ev.Body)
}

func (w *writer) encode(v any) {
	if w.err == nil {
		w.err = json.NewEncoder(w.out).Encode(v)
	}
}

func (w *writer) printf(format string, a ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.out, format, a...)
	}
}

func (w *writer) score(s Score) {
	if w.json {
		w.encode(struct {
			Event string `json:"event"`
			Score
		}{"score", s})
		return
	}
	w.printf("\nfaults: %d in %v; false verdicts: %d (%.2f an hour); unknown outside of faults: %d\n", s.Faults, time.Duration(s.Hours*float64(time.Hour)).Round(time.Second), s.FalseVerdicts, s.FalsePerHour, s.UnknownOutside)
	t := tabwriter.NewWriter(w.out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "class\tfaults\tprecision\trecall\tF1\tdelay p50\tp95\tculprit top-1\ttop-3\ttop-5\tfound\tculprit too\tother class\tunknown\tnothing\t")
	for _, c := range s.Classes {
		fmt.Fprintf(t, "%s\t%d\t%.2f\t%.2f\t%.2f\t%s\t%s\t%.2f\t%.2f\t%.2f\t%d\t%d\t%d\t%d\t%d\t\n",
			c.Class, c.Faults, c.Precision, c.Recall, c.F1, inSeconds(c.DelayMedian), inSeconds(c.DelayP95), c.Top1, c.Top3, c.Top5,
			c.Found, c.CulpritToo, c.OtherClass, c.Unknown, c.Nothing)
	}
	if w.err == nil {
		w.err = t.Flush()
	}
}

func inSeconds(s *float64) string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f s", *s)
}
