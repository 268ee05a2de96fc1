// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"

	"github.com/faultline-otel/faultline/receiver/failuremodelreceiver"
)

// Names of the files that --out writes, as the lab names them.
const (
	tracesFile = "traces.jsonl"
	eventsFile = "events.jsonl"
)

// written keeps what a Collector would have sent on, as its file exporter does:
// the tagged spans, and what the receiver failure_model tells. It is the end of
// both of their pipelines.
type written struct {
	sink
	mu             sync.Mutex // the receiver tells when it comes to it; guards the rest
	files          []*os.File
	traces, events *bufio.Writer
}

// newWritten begins the files in a folder; none of inputs is written over.
func newWritten(dir string, inputs []string) (*written, error) {
	for _, name := range [...]string{tracesFile, eventsFile} {
		if before, err := os.Stat(filepath.Join(dir, name)); err == nil {
			for _, input := range inputs {
				if in, err := os.Stat(input); err == nil && os.SameFile(before, in) {
					return nil, fmt.Errorf("--out %s: %s is a recording that is read: give another folder", dir, input)
				}
			}
		}
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	w := &written{}
	create := func(name string) (*bufio.Writer, error) {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		w.files = append(w.files, f)
		return bufio.NewWriterSize(f, 1<<20), nil
	}
	var errs [2]error
	w.traces, errs[0] = create(tracesFile)
	w.events, errs[1] = create(eventsFile)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, errors.Join(err, w.closeFiles())
	}
	return w, nil
}

// follow starts a receiver that writes what the engine of host tells.
func (w *written) follow(ctx context.Context, engine component.ID, host component.Host) (receiver.Logs, error) {
	f := failuremodelreceiver.NewFactory()
	cfg := f.CreateDefaultConfig().(*failuremodelreceiver.Config)
	cfg.Engine = engine
	set := receiver.Settings{ID: component.NewID(f.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings(), BuildInfo: component.NewDefaultBuildInfo()}
	r, err := f.CreateLogs(ctx, set, cfg, w)
	if err != nil {
		return nil, err
	}
	return r, r.Start(ctx, host)
}

func (w *written) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	return w.line(w.traces, text, err)
}

func (w *written) ConsumeLogs(_ context.Context, ld plog.Logs) error {
	text, err := (&plog.JSONMarshaler{}).MarshalLogs(ld)
	return w.line(w.events, text, err)
}

func (w *written) line(to *bufio.Writer, text []byte, err error) error {
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err = to.Write(append(text, '\n'))
	return err
}

func (w *written) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.traces.Flush(), w.events.Flush(), w.closeFiles())
}

func (w *written) closeFiles() error {
	var errs []error
	for _, f := range w.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
