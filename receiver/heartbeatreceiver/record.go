// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"math/bits"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/metadata"
)

// Resource attributes of a sender; OpenTelemetry semantic conventions.
const (
	attrService     = "service.name"
	attrNamespace   = "service.namespace"
	attrInstance    = "service.instance.id"
	attrVersion     = "service.version"
	attrEnvironment = "deployment.environment.name"
	attrHost        = "host.name"
	attrZone        = "cloud.availability_zone"
)

// stamp says when this observer saw something.
type stamp struct {
	now    time.Time     // wall and monotonic clock
	uptime time.Duration // since this observer started, monotonic
}

// stamper writes what makes a record this observer's. seq is counted where
// records are written in order, under the batcher's lock.
type stamper struct {
	observer string
	seq      int64
}

// stampAttrs is how many attributes put writes.
const stampAttrs = 4

func (st *stamper) put(lr plog.LogRecord, at stamp) {
	lr.SetEventName(contract.EventHeartbeat)
	lr.SetObservedTimestamp(pcommon.NewTimestampFromTime(at.now))
	lr.SetSeverityNumber(plog.SeverityNumberInfo)
	attrs := lr.Attributes()
	attrs.PutStr(contract.EventName, contract.EventHeartbeat)
	st.seq++
	attrs.PutStr(contract.HeartbeatObserver, st.observer)
	attrs.PutInt(contract.HeartbeatObserverUptime, int64(at.uptime))
	attrs.PutInt(contract.HeartbeatObserverSeq, st.seq)
}

// newRecord appends a resource with one empty record of ours.
func newRecord(dst plog.ResourceLogsSlice) (pcommon.Map, plog.LogRecord) {
	rl := dst.AppendEmpty()
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName(metadata.ScopeName)
	return rl.Resource().Attributes(), sl.LogRecords().AppendEmpty()
}

// recordFields are those of a beat that stand in the record, not the resource.
const recordFields = 1<<fSeq | 1<<fIncarnation | 1<<fInterval | 1<<fSentAt | 1<<fExitCode | 1<<fStatus |
	1<<fDigest | 1<<fBootID | 1<<fGroup | 1<<fZone

func (id *identity) putTo(attrs pcommon.Map) {
	attrs.EnsureCapacity(id.resourceAttrs)
	putStr(attrs, attrService, id.service)
	putStr(attrs, attrNamespace, id.namespace)
	putStr(attrs, attrInstance, id.instance)
	putStr(attrs, attrVersion, id.version)
	putStr(attrs, attrEnvironment, id.environment)
	putStr(attrs, attrHost, id.host)
	putStr(attrs, attrZone, id.zone)
}

func putStr(attrs pcommon.Map, key, value string) {
	if value != "" {
		attrs.PutStr(key, value)
	}
}

// writeBeat appends b, which came from id, to dst. Strings of b are copied,
// since they are parts of a request.
func (st *stamper) writeBeat(dst plog.ResourceLogsSlice, b *beat, id *identity, at stamp) {
	res, lr := newRecord(dst)
	id.putTo(res)
	attrs := lr.Attributes()
	attrs.EnsureCapacity(stampAttrs + 1 + bits.OnesCount32(b.has&recordFields))
	st.put(lr, at)
	if b.given(fSeq) {
		attrs.PutInt(contract.HeartbeatSeq, b.seq)
	}
	if b.given(fIncarnation) {
		attrs.PutInt(contract.HeartbeatIncarnation, b.incarnation)
	}
	if b.interval > 0 {
		attrs.PutDouble(contract.HeartbeatInterval, b.interval.Seconds())
	}
	if b.given(fSentAt) {
		attrs.PutInt(contract.HeartbeatSentAt, b.sentAt)
		lr.SetTimestamp(pcommon.Timestamp(b.sentAt))
	}
	if b.given(fExitCode) {
		attrs.PutInt(contract.HeartbeatExitCode, b.exitCode)
	}
	putStr(attrs, contract.HeartbeatStatus, b.text[fStatus])
	putStr(attrs, contract.HeartbeatDigest, strings.Clone(b.text[fDigest]))
	putStr(attrs, contract.HeartbeatBootID, strings.Clone(b.text[fBootID]))
	putStr(attrs, contract.HeartbeatGroup, id.group)
	putStr(attrs, contract.HeartbeatZone, id.zone)
	putStr(attrs, contract.HeartbeatRemoteAddress, b.remote)
	putStr(attrs, contract.HeartbeatMessage, b.message)
	if b.authenticated {
		attrs.PutBool(contract.HeartbeatAuthenticated, true)
	}
	if !b.due.IsZero() {
		attrs.PutInt(contract.HeartbeatDue, b.due.UnixNano())
		attrs.PutDouble(contract.HeartbeatGrace, b.grace.Seconds())
	}
	if b.runTime > 0 {
		attrs.PutDouble(contract.HeartbeatRunTime, b.runTime.Seconds())
	}
	lr.Body().SetStr(id.sentence)
}
