// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"context"
	"testing"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/faultline-otel/faultline/extension/failuremodelextension"
)

// engineHost is a host that runs the extension failure_model.
type engineHost struct {
	extensions map[component.ID]component.Component
}

func (h *engineHost) GetExtensions() map[component.ID]component.Component { return h.extensions }

// newEngineHost starts a failure_model extension that ends with the test.
func newEngineHost(t *testing.T) component.Host {
	f := failuremodelextension.NewFactory()
	set := extensiontest.NewNopSettings(f.Type())
	set.ID = component.NewID(f.Type())
	x, err := f.Create(context.Background(), set, f.CreateDefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	host := &engineHost{map[component.ID]component.Component{set.ID: x}}
	if err := x.Start(context.Background(), host); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return host
}
