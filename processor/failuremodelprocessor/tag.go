// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// tag writes a verdict onto attributes. The whole set is ours: what came in
// under these names from outside goes.
func tag(attrs pcommon.Map, d decision) {
	v := d.verdict
	attrs.RemoveIf(func(key string, _ pcommon.Value) bool { return slices.Contains(contract.TagKeys, key) })
	attrs.EnsureCapacity(attrs.Len() + len(contract.TagKeys))
	attrs.PutStr(contract.FailureClass, string(v.Class))
	putUnlessEmpty(attrs, contract.FailureSubclass, v.Subclass)
	attrs.PutDouble(contract.FailureConfidence, v.Confidence)
	attrs.PutStr(contract.FailureRole, d.role)
	attrs.PutStr(contract.FailureCulpritType, string(v.Culprit.Type))
	attrs.PutStr(contract.FailureCulpritName, v.Culprit.Name)
	putUnlessEmpty(attrs, contract.FailureCulpritService, v.Culprit.Service.Name)
	putUnlessEmpty(attrs, contract.FailureCulpritNamespace, v.Culprit.Service.Namespace)
	putUnlessEmpty(attrs, contract.FailureCulpritInstanceID, v.Culprit.Instance)
	attrs.PutStr(contract.FailureReason, v.Reason)
	putStrings(attrs, contract.FailureEvidence, v.Evidence)
	putStrings(attrs, contract.FailureRuledOut, v.RuledOut)
	putUnlessEmpty(attrs, contract.IncidentID, v.Incident)
}

func putUnlessEmpty(attrs pcommon.Map, key, value string) {
	if value != "" {
		attrs.PutStr(key, value)
	}
}

func putStrings(attrs pcommon.Map, key string, values []string) {
	if len(values) == 0 {
		return
	}
	s := attrs.PutEmptySlice(key)
	s.EnsureCapacity(len(values))
	for _, v := range values {
		s.AppendEmpty().SetStr(v)
	}
}

// warn writes the reason where Jaeger shows warnings: always a slice, whatever
// stood there before.
func warn(attrs pcommon.Map, v *verdict.Verdict) {
	text := string(v.Class) + " of " + v.Culprit.Name + ": " + v.Reason
	old, ok := attrs.Get(contract.JaegerWarnings)
	switch {
	case ok && old.Type() == pcommon.ValueTypeSlice:
		old.Slice().AppendEmpty().SetStr(text)
	case ok:
		was := old.AsString()
		s := old.SetEmptySlice()
		s.AppendEmpty().SetStr(was)
		s.AppendEmpty().SetStr(text)
	default:
		attrs.PutEmptySlice(contract.JaegerWarnings).AppendEmpty().SetStr(text)
	}
}
