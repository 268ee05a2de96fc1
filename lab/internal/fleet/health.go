// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/service"
	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

// WaitHealthy waits until every process serves and for two seconds no customer
// was turned away.
func (f *Fleet) WaitHealthy(ctx context.Context) error {
	var before service.Load
	good := 0
	for {
		var now service.Load
		var errs []error
		for _, in := range f.Instances() {
			errs = append(errs, in.ready(ctx))
		}
		text, err := f.Instance("load").Ask(ctx, control.Stats)
		if err == nil {
			err = json.Unmarshal([]byte(text), &now)
		}
		unhealthy := errors.Join(append(errs, err)...)
		if unhealthy == nil && now.Failed > before.Failed {
			unhealthy = fmt.Errorf("%d requests failed in half a second", now.Failed-before.Failed)
		}
		before = now
		good++
		if unhealthy != nil {
			good = 0
		}
		if good > 4 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("fleet is not healthy: %w: %w", ctx.Err(), unhealthy)
		case <-time.After(500 * time.Millisecond):
		}
	}
}
