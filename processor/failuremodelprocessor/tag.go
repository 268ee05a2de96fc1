// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/tags"
)

// tag writes a verdict onto attributes. The whole set is ours: what came in
// under these names from outside goes.
func tag(attrs pcommon.Map, d decision) {
	attrs.RemoveIf(func(key string, _ pcommon.Value) bool { return slices.Contains(contract.TagKeys, key) })
	attrs.EnsureCapacity(attrs.Len() + len(contract.TagKeys))
	tags.PutVerdict(attrs, d.verdict)
	attrs.PutStr(contract.FailureRole, d.role)
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
