// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/metadata"
	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/probe"
)

// heartbeatReceiver is one observer: the server that heartbeats are pushed to,
// the probes, and the account of both. The pipelines of one ID share it.
type heartbeatReceiver struct {
	cfg       *Config
	set       receiver.Settings
	telemetry *metadata.TelemetryBuilder
	obsrep    *receiverhelper.ObsReport

	logs    consumer.Logs    // nil: no logs pipeline
	metrics consumer.Metrics // nil: no metrics pipeline
	forget  func()           // leaves the factory's table

	starting sync.Once
	startErr error
	stopping sync.Once
	stopErr  error

	hosts   []component.Host // of each signal, for status
	hostsMu sync.Mutex

	observer string
	host     string
	began    time.Time // with monotonic clock
	stamper  stamper   // used under the batcher's lock
	batch    *batcher  // nil without a logs pipeline
	senders  *senders
	checks   *checkTable
	keys     keyring
	targets  []*target
	servers  *probe.Servers // nil: local servers are not looked at

	connections *probe.Connections // nil: nor are local connections

	refusedTotal atomic.Int64
	health       health

	server *http.Server
	addr   net.Addr // that the server listens on
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newReceiver(set receiver.Settings, cfg *Config) (*heartbeatReceiver, error) {
	tb, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	obsrep, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: set.ID, Transport: "http", ReceiverCreateSettings: set, LongLivedCtx: true,
	})
	if err != nil {
		return nil, err
	}
	r := &heartbeatReceiver{
		cfg: cfg, set: set, telemetry: tb, obsrep: obsrep,
		forget: func() {},
		keys:   newKeyring(cfg.Keys),
	}
	r.senders = newSenders(cfg.MaxSenders, func() {
		tb.ReceiverHeartbeatSendersEvicted.Add(context.Background(), 1)
	})
	return r, nil
}

// Start begins to listen and to probe, once for all pipelines.
func (r *heartbeatReceiver) Start(ctx context.Context, host component.Host) error {
	r.hostsMu.Lock()
	r.hosts = append(r.hosts, host)
	r.hostsMu.Unlock()
	r.starting.Do(func() { r.startErr = r.start(ctx, host) })
	return r.startErr
}

func (r *heartbeatReceiver) start(ctx context.Context, host component.Host) error {
	var err error
	if r.host, err = os.Hostname(); err != nil {
		return fmt.Errorf("the host's name is not known: %w", err)
	}
	if r.observer = r.cfg.Observer; r.observer == "" {
		r.observer = r.host
	}
	r.stamper.observer = r.observer
	r.began = time.Now()
	if r.checks, err = newCheckTable(r.cfg, func() {
		r.telemetry.ReceiverHeartbeatChecksEvicted.Add(context.Background(), 1)
	}); err != nil {
		return err
	}
	r.checks.expect(r.senders, r.began)
	if err = r.registerGauges(); err != nil {
		return err
	}
	if r.logs == nil {
		r.set.Logger.Warn("This receiver is in no logs pipeline: its heartbeats are counted, and no engine sees them")
	} else {
		r.batch = newBatcher(r.logs, r.obsrep, r.cfg.QueueSize, r.lost)
	}
	if r.targets, err = newTargets(ctx, r.cfg.Targets); err != nil {
		return err
	}

	r.newServers()
	r.newConnections()

	run, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	if r.cfg.HTTP.NetAddr.Endpoint != "" {
		if err = r.listen(ctx, host); err != nil {
			return err
		}
	}
	if r.batch != nil {
		go r.batch.run()
	}
	r.wg.Go(func() { r.beatOwnHeart(run) })
	for _, t := range r.targets {
		r.wg.Go(func() { r.watch(run, t) })
	}
	if r.servers != nil {
		r.wg.Go(func() { r.watchServers(run) })
	}
	if r.connections != nil {
		r.wg.Go(func() { r.watchConnections(run) })
	}
	if r.metrics != nil {
		r.wg.Go(func() { r.exportMetrics(run) })
	}
	return nil
}

func (r *heartbeatReceiver) listen(ctx context.Context, host component.Host) error {
	ln, err := r.cfg.HTTP.ToListener(ctx)
	if err != nil {
		return fmt.Errorf("http::endpoint: %w", err)
	}
	r.server, err = r.cfg.HTTP.ToServer(ctx, host.GetExtensions(), r.set.TelemetrySettings, r.handler(), withErrors(r))
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	r.addr = ln.Addr()
	r.wg.Go(func() {
		if err := r.server.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
			r.fail(err)
		}
	})
	r.set.Logger.Info("Listening for heartbeats", zap.Stringer("endpoint", r.addr), zap.String("observer", r.observer))
	return nil
}

// fail tells every pipeline that the receiver cannot go on.
func (r *heartbeatReceiver) fail(err error) {
	r.hostsMu.Lock()
	defer r.hostsMu.Unlock()
	for _, h := range r.hosts {
		componentstatus.ReportStatus(h, componentstatus.NewFatalErrorEvent(err))
	}
}

// drainTime is how long a shutdown waits for requests under way.
const drainTime = 3 * time.Second

// Shutdown stops listening and probing, hands on what it holds, and waits for
// all that, once for all pipelines.
func (r *heartbeatReceiver) Shutdown(ctx context.Context) error {
	r.stopping.Do(func() { r.stopErr = r.shutdown(ctx) })
	return r.stopErr
}

func (r *heartbeatReceiver) shutdown(ctx context.Context) error {
	r.forget()
	defer r.telemetry.Shutdown()
	if r.cancel != nil {
		r.cancel()
	}
	var err error
	if r.server != nil {
		drain, cancel := context.WithTimeout(ctx, drainTime)
		defer cancel()
		if r.server.Shutdown(drain) != nil {
			// Somebody is too slow: cut him off.
			err = r.server.Close()
		}
	}
	r.wg.Wait()
	for _, t := range r.targets {
		err = errors.Join(err, t.prober.Close())
	}
	if r.servers != nil {
		r.servers.Close()
	}
	if r.batch != nil && r.startErr == nil && r.cancel != nil {
		r.batch.close()
	}
	return err
}

// now stamps what is seen at this moment.
func (r *heartbeatReceiver) now() stamp {
	t := time.Now()
	return stamp{now: t, uptime: t.Sub(r.began)}
}

// reserve keeps n places for records in the queue; there is always room while
// no logs pipeline wants any.
func (r *heartbeatReceiver) reserve(n int) bool { return r.batch == nil || r.batch.reserve(n) }

func (r *heartbeatReceiver) release(n int) {
	if r.batch != nil && n > 0 {
		r.batch.release(n)
	}
}

// accept takes a beat for which a place is reserved.
func (r *heartbeatReceiver) accept(b *beat, at stamp, check string) {
	id := r.senders.touch(b, at.now, check)
	if r.batch == nil {
		return
	}
	r.batch.add(func(dst plog.ResourceLogsSlice) { r.stamper.writeBeat(dst, b, id, at) })
}

// reason is why a heartbeat was refused, as the own metric names it.
type reason string

const (
	reasonConsumer     reason = "consumer"
	reasonEncoding     reason = "encoding"
	reasonForbidden    reason = "forbidden"
	reasonInvalid      reason = "invalid"
	reasonQueueFull    reason = "queue_full"
	reasonTooLarge     reason = "too_large"
	reasonUnknownCheck reason = "unknown_check"
)

var reasonOptions = options("reason",
	reasonConsumer, reasonEncoding, reasonForbidden, reasonInvalid, reasonQueueFull, reasonTooLarge, reasonUnknownCheck)

func (r *heartbeatReceiver) refused(n int, why reason) {
	r.refusedTotal.Add(int64(n))
	r.telemetry.ReceiverHeartbeatRefused.Add(context.Background(), int64(n), reasonOptions[why])
	if why == reasonQueueFull || why == reasonConsumer {
		r.health.strained()
	}
}

// source is how a heartbeat came in, as the own metric names it.
type source string

const (
	sourceJSON  source = "json"
	sourceOTLP  source = "otlp"
	sourcePing  source = "ping"
	sourceProbe source = "probe"
	sourceSelf  source = "self"
)

var sourceOptions = options("source", sourceJSON, sourceOTLP, sourcePing, sourceProbe, sourceSelf)

func (r *heartbeatReceiver) accepted(n int, from source) {
	if n > 0 {
		r.telemetry.ReceiverHeartbeatAccepted.Add(context.Background(), int64(n), sourceOptions[from])
	}
}

// lost counts records that the pipeline did not take.
func (r *heartbeatReceiver) lost(n int, err error) {
	r.refused(n, reasonConsumer)
	r.set.Logger.Warn("The pipeline did not take heartbeats", zap.Int("records", n), zap.Error(err))
}
