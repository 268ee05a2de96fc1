// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelreceiver

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/tags"
)

// scopeName marks what the engine itself says, so that it is never evidence.
const scopeName = contract.ScopePrefix + "/receiver/failuremodelreceiver"

// eventLogs writes events as log records, in order.
func (r *failureModel) eventLogs(events []verdict.Event) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	r.settings.Resource.CopyTo(rl.Resource())
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName(scopeName)
	sl.Scope().SetVersion(r.settings.BuildInfo.Version)
	now := pcommon.NewTimestampFromTime(time.Now())
	for i := range events {
		putEvent(&events[i], now, sl.LogRecords().AppendEmpty())
	}
	return ld
}

func putEvent(ev *verdict.Event, observed pcommon.Timestamp, lr plog.LogRecord) {
	lr.SetEventName(ev.Kind)
	lr.SetTimestamp(pcommon.Timestamp(ev.At))
	lr.SetObservedTimestamp(observed)
	severity := severityOf(ev)
	lr.SetSeverityNumber(severity)
	lr.SetSeverityText(severity.String())
	lr.Body().SetStr(ev.Body)
	attrs := lr.Attributes()
	attrs.EnsureCapacity(24)
	attrs.PutStr(contract.EventName, ev.Kind)
	if ev.Incident != nil {
		attrs.PutStr(contract.IncidentID, ev.Incident.ID)
		tags.PutStrings(attrs, contract.IncidentMembers, ev.Incident.Members)
	}
	if ev.Verdict != nil {
		putVerdict(ev.Verdict, attrs)
	} else if ev.Incident != nil {
		attrs.PutStr(contract.FailureClass, string(ev.Incident.Class))
		attrs.PutStr(contract.FailureReason, ev.Incident.Reason)
		tags.PutCulprit(attrs, ev.Incident.Culprit)
	}
	if ev.Source != nil {
		putSource(ev.Source, attrs)
	}
}

// severityOf: a failure is an error; what is over, planned or about ourselves is
// not.
func severityOf(ev *verdict.Event) plog.SeverityNumber {
	switch ev.Kind {
	case contract.EventFailureDetected, contract.EventFailureRevised, contract.EventIncidentOpened, contract.EventIncidentUpdated:
		if ev.Verdict != nil && ev.Verdict.Class == verdict.ClassUnknown {
			return plog.SeverityNumberWarn
		}
		return plog.SeverityNumberError
	case contract.EventObserverDegraded, contract.EventIdentityConflict, contract.EventClockStepped, contract.EventFailurePredicted:
		return plog.SeverityNumberWarn
	}
	return plog.SeverityNumberInfo
}

func putVerdict(v *verdict.Verdict, attrs pcommon.Map) {
	tags.PutVerdict(attrs, v)
	attrs.PutStr(contract.FailureStartTime, v.Since.UTC().Format(time.RFC3339Nano))
	attrs.PutInt(contract.FailureRevision, int64(v.Revision))
	if v.Previous != verdict.ClassNone {
		attrs.PutStr(contract.FailurePreviousClass, string(v.Previous))
	}
}

// putSource writes whom the event is about.
func putSource(s *report.Source, attrs pcommon.Map) {
	tags.PutUnlessEmpty(attrs, "service.name", s.Service.Name)
	tags.PutUnlessEmpty(attrs, "service.namespace", s.Service.Namespace)
	tags.PutUnlessEmpty(attrs, "service.instance.id", s.Instance)
	tags.PutUnlessEmpty(attrs, "service.version", s.Version)
	tags.PutUnlessEmpty(attrs, "deployment.environment.name", s.Service.Environment)
	tags.PutUnlessEmpty(attrs, "k8s.cluster.name", s.Service.Cluster)
	tags.PutUnlessEmpty(attrs, "k8s.pod.uid", s.PodUID)
	tags.PutUnlessEmpty(attrs, "host.name", s.Host)
}
