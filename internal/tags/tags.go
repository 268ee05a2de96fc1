// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package tags writes verdicts onto attributes. The spans, log records and events of
// one failure say the same, in the same words.
package tags

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// PutVerdict writes what is said of a failure wherever it is told.
func PutVerdict(attrs pcommon.Map, v *verdict.Verdict) {
	attrs.PutStr(contract.FailureClass, string(v.Class))
	PutUnlessEmpty(attrs, contract.FailureSubclass, string(v.Subclass))
	attrs.PutDouble(contract.FailureConfidence, v.Confidence)
	PutCulprit(attrs, v.Culprit)
	attrs.PutStr(contract.FailureReason, v.Reason)
	PutStrings(attrs, contract.FailureEvidence, v.Evidence)
	PutStrings(attrs, contract.FailureRuledOut, v.RuledOut)
	PutUnlessEmpty(attrs, contract.IncidentID, v.Incident)
}

// PutCulprit writes who is to blame.
func PutCulprit(attrs pcommon.Map, c verdict.Culprit) {
	attrs.PutStr(contract.FailureCulpritType, string(c.Type))
	attrs.PutStr(contract.FailureCulpritName, c.Name)
	PutUnlessEmpty(attrs, contract.FailureCulpritService, c.Service.Name)
	PutUnlessEmpty(attrs, contract.FailureCulpritNamespace, c.Service.Namespace)
	PutUnlessEmpty(attrs, contract.FailureCulpritInstanceID, c.Instance)
}

// PutUnlessEmpty writes value, if it is not empty.
func PutUnlessEmpty(attrs pcommon.Map, key, value string) {
	if value != "" {
		attrs.PutStr(key, value)
	}
}

// PutStrings writes values as a slice, if there are any.
func PutStrings(attrs pcommon.Map, key string, values []string) {
	if len(values) == 0 {
		return
	}
	s := attrs.PutEmptySlice(key)
	s.EnsureCapacity(len(values))
	for _, v := range values {
		s.AppendEmpty().SetStr(v)
	}
}
