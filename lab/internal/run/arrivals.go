// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package run

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// arrivals notes when evidence of each fault was there at the earliest: when a
// culprit's process ended, or when the first call ended that the fault hurt. It
// reaches the gateway later, by a batch and a probe's interval, so a delay that
// is counted from here is longer than one from its arrival. Faults that only
// slow down or lie to nobody have none.
func (r *runner) arrivals(ins []ledger.Injection, deaths map[string]time.Time) error {
	var hurt []time.Time // ends of calls
	from := ins[0].Start
	err := r.calls.next(func(line []byte) error {
		var c ledger.Call
		if err := json.Unmarshal(line, &c); err != nil {
			return err
		}
		if end := c.Start.Add(c.Duration); (!c.OK || c.Wrong) && end.After(from) {
			hurt = append(hurt, end)
		}
		return nil
	})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(r.fleet.Dir, ledger.ArrivalsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	var errs []error
	for _, in := range ins {
		if in.Kind != ledger.Fault || in.Failed != "" {
			continue
		}
		at := slices.Clone(hurt)
		for _, c := range in.Culprits {
			if died, ok := deaths[c.Instance]; ok {
				at = append(at, died)
			}
		}
		at = slices.DeleteFunc(at, func(t time.Time) bool { return t.Before(in.Start) || t.After(in.End) })
		if len(at) > 0 {
			errs = append(errs, ledger.Write(f, ledger.Arrival{ID: in.ID, At: slices.MinFunc(at, time.Time.Compare)}))
		}
	}
	return errors.Join(append(errs, f.Close())...)
}

// deaths are when the processes ended that are gone, by the names of their instances.
func (r *runner) deaths(since time.Time) map[string]time.Time {
	at := map[string]time.Time{}
	for _, in := range r.fleet.Instances() {
		if _, died, ok := in.Exit(); ok && died.After(since) {
			at[in.Name] = died
		}
	}
	return at
}
