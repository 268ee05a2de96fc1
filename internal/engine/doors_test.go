// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// A client of gRPC tells an address only when it cannot connect. Who said that it was
// called there is meant.
func TestAnAddressThatOnlyAServerToldIsIts(t *testing.T) {
	for name, c := range map[string]struct {
		doors []string
		want  string
	}{
		"one_is_called_there":    {[]string{"payments-1"}, "payments-1"},
		"several_are":            {[]string{"payments-1", "payments-2"}, "10.0.0.21:50051"},
		"nobody_is_known_to_be":  {nil, "10.0.0.21:50051"},
		"one_at_another_port_is": {[]string{"other"}, "10.0.0.21:50051"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			f.tell(time.Second, 30*time.Second, func(b *report.Batch) {
				for _, id := range c.doors {
					address := "10.0.0.21:50051"
					if id == "other" {
						address = "10.0.0.21:9000"
					}
					src := report.NewSource(report.Source{Service: report.ServiceID{Name: "payments"}, Instance: id, Host: "pay"})
					b.Served = append(b.Served, report.Served{Source: src, OK: 5, Last: b.Arrived})
					b.Doors = append(b.Doors, report.Door{Source: src, Address: address})
				}
			})
			if n := f.e.callee(report.Callee{Address: "10.0.0.21:50051", Direct: true}); n.name() != c.want {
				t.Errorf("%s is meant, want %s", n.name(), c.want)
			}
		})
	}
}
