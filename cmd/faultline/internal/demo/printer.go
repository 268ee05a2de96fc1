// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/faultline-otel/faultline/internal/contract"
)

// printer writes the running account: plain lines, with colour on a terminal
// unless NO_COLOR is set.
type printer struct {
	mu     sync.Mutex
	w      io.Writer
	colour bool
	began  time.Time
}

func newPrinter(f *os.File) *printer {
	return &printer{w: f, colour: term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "", began: time.Now()}
}

const (
	bold  = "1"
	green = "32"
	red   = "31"
	grey  = "90"
)

func (p *printer) paint(code, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p *printer) line(format string, a ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, format+"\n", a...)
}

// progress writes what takes long, and a dot now and then until it is stopped.
func (p *printer) progress(what string) (stop func()) {
	fmt.Fprint(p.w, what)
	halt, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(3 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprint(p.w, ".")
			case <-halt:
				fmt.Fprintln(p.w)
				return
			}
		}
	}()
	return func() { close(halt); <-done }
}

// step opens a step, with the time since the demo began.
func (p *printer) step(title string) {
	p.line("\n%s  %s", p.paint(grey, fmt.Sprintf("%6.1f s", time.Since(p.began).Seconds())), p.paint(bold, title))
}

// row writes one line of a step: when, what, and the text.
func (p *printer) row(when, what, colour, text string) {
	label := fmt.Sprintf("%-18s", what)
	if colour != "" {
		label = p.paint(colour, label)
	}
	p.line("%9s  %s  %s", when, label, text)
}

// under writes text below that of the row before.
func (p *printer) under(text string) { p.line("%31s%s", "", text) }

// said writes one event, and how long after the injection it came.
func (p *printer) said(x *said, injected time.Time) {
	if x.event == contract.EventIncidentOpened || x.event == contract.EventIncidentUpdated {
		return // they repeat the verdict
	}
	after := fmt.Sprintf("%+.1f s", x.at.Sub(injected).Seconds())
	label := strings.TrimPrefix(x.event, "failure.")
	if !x.accuses() {
		p.row(after, label, "", x.body)
		return
	}
	p.row(after, label, "", fmt.Sprintf("%s, confidence %.2f", p.paint(bold, x.accusation()), x.confidence))
	p.under(x.reason)
}

// judge writes whether a step went right, and how long the verdict took.
func (p *printer) judge(r *result) {
	switch {
	case r.wrong != "" && r.began.IsZero():
		p.row("", "WRONG", red, "nothing was done yet, and "+r.wrong)
	case r.wrong != "":
		p.row("", "WRONG", red, fmt.Sprintf("expected: %s; %s", r.step.want, r.wrong))
	case r.named == nil:
		p.row("", "right", green, r.step.want.String())
	default:
		p.row("", "right", green, fmt.Sprintf("named %.1f s after it was done%s", r.named.at.Sub(r.began).Seconds(), sinceEvidence(r)))
	}
}

// sinceEvidence says how long the verdict took from the moment when the first
// failed call reached the Collector, and how long the SDK had held that.
func sinceEvidence(r *result) string {
	f := r.first
	if f == nil {
		return ""
	}
	held := f.arrived.Sub(f.ended).Seconds()
	if f.arrived.After(r.named.at) {
		return ", before a failed call was reported"
	}
	return fmt.Sprintf(", %.1f s after the first failed call was reported (it failed at %+.1f s; the SDK held it for %.1f s)",
		r.named.at.Sub(f.arrived).Seconds(), f.ended.Sub(r.began).Seconds(), held)
}

// inJaeger writes what Jaeger has of a step.
func (p *printer) inJaeger(r *result, c counts, wrong, link string) {
	verdict, colour := "right", green
	if wrong != "" {
		verdict, colour = "WRONG", red
	}
	p.row("", verdict, colour, p.paint(bold, r.step.title))
	if wrong != "" {
		p.under(wrong)
	}
	p.under(fmt.Sprintf("%d of %d failed spans say %s; of those since 3 s before the verdict %d of %d",
		c.tagged, c.failed, r.step.want, c.taggedSince, c.failedSince))
	p.under(fmt.Sprintf("%d of them show the reason as a warning", c.warned))
	p.under(link)
}

// strays writes whether spans carry a class that no fault explains.
func (p *printer) strays(n int, example *span) {
	if n == 0 {
		p.row("", "right", green, "no other span carries a class")
		return
	}
	p.row("", "WRONG", red, fmt.Sprintf("%d spans carry a class that no fault explains, such as", n))
	p.under(fmt.Sprintf("%s of %s: %s of %s, in trace %s", example.Operation, example.end().Format(time.TimeOnly),
		example.tag(contract.FailureClass), example.tag(contract.FailureCulpritName), example.TraceID))
}

func (p *printer) summary(results []result, wrong int) {
	right := 0
	for _, r := range results {
		if r.wrong == "" {
			right++
		}
	}
	text := fmt.Sprintf("%d of %d steps right", right, len(results))
	if wrong == 0 {
		p.line("\n%s", p.paint(green, text+", and Jaeger shows them."))
		return
	}
	p.line("\n%s", p.paint(red, fmt.Sprintf("%s; %d wrong in all.", text, wrong)))
}
