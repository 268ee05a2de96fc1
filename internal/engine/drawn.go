// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// Some runtimes begin anew at each request, PHP behind FPM among them, and their SDK
// draws an instance's id each time. Such ids name nobody: what stands on one host counts
// as one instance.

const (
	// drawnMany is how many ids that a service draws on a host, over drawnWindow, are
	// more than processes start there.
	drawnMany   = 40.0
	drawnWindow = time.Minute // half-life
	// drawnHosts is how many hosts of one service are told apart; the one on which none
	// was drawn for longest goes first.
	drawnHosts = 256
)

// drawnOn is how many ids a service has drawn on a host of late.
type drawnOn struct {
	count stat.Fading
	void  bool       // they name nobody
	at    clock.Time // engine time of the latest
}

// drawnAnew takes in an id that was not known, and returns the instance for whom it
// stands if ids there name nobody; nil if they do.
func (e *Engine) drawnAnew(s *service, src *report.Source) *entity {
	if !src.Volatile || src.PodUID != "" || src.Host == "" {
		return nil
	}
	d := s.draws[src.Host]
	if d == nil {
		if len(s.draws) >= drawnHosts {
			s.forgetDraws()
			e.stats.ForgottenHosts++
		}
		if s.draws == nil {
			s.draws = map[string]*drawnOn{}
		}
		d = &drawnOn{}
		s.draws[src.Host] = d
	}
	d.at = e.now
	if !d.void {
		d.count.Add(1, e.now, drawnWindow)
		if d.count.Latest() < drawnMany {
			return nil
		}
		d.void = true
	}
	all := *src
	all.Instance, all.Volatile, all.Incarnation = "", false, 0
	one := e.instance(report.NewSource(all))
	if d.count != (stat.Fading{}) { // those that were taken for instances until now
		d.count = stat.Fading{}
		for _, n := range append([]*entity(nil), s.instances...) {
			if n != one && n.drawsAnew() && n.src.Host == src.Host && n.verdict == nil {
				e.forget(n)
			}
		}
	}
	return one
}

// forgetDraws forgets the host on which none was drawn for longest: where each process is
// a host of its own, as in a container, hosts come and go for good.
func (s *service) forgetDraws() {
	var oldest string
	for host, d := range s.draws {
		if o := s.draws[oldest]; o == nil || d.at < o.at || d.at == o.at && host < oldest {
			oldest = host
		}
	}
	delete(s.draws, oldest)
}

// drawsVoid says whether ids that the service draws on a host name nobody.
func (s *service) drawsVoid(host string) bool {
	d := s.draws[host]
	return d != nil && d.void
}
