package observation

import (
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine"
)

type (
	stateID struct{ key string }
	skips   struct{}
)

func (x *Extractor) Metrics(md pmetric.Metrics, now engine.Time, b *engine.Batch) {}
func (x *Extractor) Logs(ld plog.Logs, now engine.Time, b *engine.Batch)          {}
func IsHeartbeat(lr plog.LogRecord) bool                                          { return lr.EventName() == contract.EventHeartbeat }
