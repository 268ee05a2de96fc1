// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/faultline-otel/faultline/cmd/faultline/internal/shop"
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

// progress writes a dot now and then, until it is stopped.
func (p *printer) progress(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprint(p.w, ".")
			case <-ctx.Done():
				fmt.Fprintln(p.w)
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

func (p *printer) step(title string) {
	p.line("")
	p.line("%s  %s", p.paint(grey, fmt.Sprintf("%6.1f s", time.Since(p.began).Seconds())), p.paint(bold, title))
}

// said writes one event, and how long after the injection it came.
func (p *printer) said(x *said, injected time.Time) {
	after := fmt.Sprintf("+%.1f s", x.at.Sub(injected).Seconds())
	label := strings.TrimPrefix(x.event, "failure.")
	text := x.body
	if x.failure() {
		class := x.class
		if x.subclass != "" {
			class += " (" + x.subclass + ")"
		}
		text = fmt.Sprintf("%s of %s, confidence %.2f\n%s%s", p.paint(bold, class), x.culprit, x.confidence, strings.Repeat(" ", 30), x.reason)
	}
	if strings.HasPrefix(x.event, "incident.") && x.event != contract.EventIncidentResolved {
		return // it repeats the verdict
	}
	p.line("  %8s  %-16s  %s", after, label, text)
}

func (p *printer) judge(r *result) {
	verdict := p.paint(green, "right")
	if !r.right {
		verdict = p.paint(red, "WRONG")
	}
	switch {
	case r.step.want.nothing() && r.verdict == nil:
		p.line("  %8s  %-16s  nobody is accused", "", verdict)
	case r.step.want.nothing():
		p.line("  %8s  %-16s  nobody should be accused", "", verdict)
	case r.verdict == nil:
		p.line("  %8s  %-16s  expected %s (%s) of %s, and nothing was said", "", verdict, r.step.want.class, r.step.want.subclass, r.step.want.instance)
	case !r.right:
		p.line("  %8s  %-16s  expected %s (%s) of %s, cleared after it was undone", "", verdict, r.step.want.class, r.step.want.subclass, r.step.want.instance)
	default:
		p.line("  %8s  %-16s  named %.1f s after it was done, of which up to %v is the SDK's export interval", "", verdict,
			r.verdict.at.Sub(r.began).Seconds(), shop.ExportInterval)
	}
}

func (p *printer) summary(results []result, wrong int) {
	right := 0
	for _, r := range results {
		if r.right {
			right++
		}
	}
	p.line("")
	text := fmt.Sprintf("%d of %d steps right", right, len(results))
	if wrong == 0 {
		p.line("%s", p.paint(green, text+"."))
		return
	}
	p.line("%s", p.paint(red, fmt.Sprintf("%s, %d things wrong.", text, wrong)))
}
