// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/faultline-otel/faultline/extension/failuremodelextension/internal/metadata"
)

// NewFactory returns the factory of extension failure_model.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newExtension(set, cfg.(*Config))
}
