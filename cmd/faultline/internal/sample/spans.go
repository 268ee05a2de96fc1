// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package sample

import (
	"encoding/binary"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const port = 8080

// requests is one second of spans: a request for each payment instance that
// checkout still calls.
func (f *fleet) requests(s Story) (string, error) {
	r := &recorder{fleet: f, td: ptrace.NewTraces(), spans: map[*process]ptrace.SpanSlice{}}
	for which := range 2 {
		callee := f.payment(which)
		if which == 1 && s.Stopped.has(f.at) {
			callee = f.payment(0) // whoever stops is called no more
		}
		r.request(time.Duration(which)*300*time.Millisecond, callee)
	}
	text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(r.td)
	return string(text), err
}

type recorder struct {
	*fleet
	td    ptrace.Traces
	spans map[*process]ptrace.SpanSlice
}

// request records GET /pay of checkout, which calls callee, which calls the ledger.
func (r *recorder) request(after time.Duration, callee *process) {
	begin := r.at + after
	end := begin + time.Duration(12+r.rand.Int64N(4))*time.Millisecond
	var trace pcommon.TraceID
	binary.BigEndian.PutUint64(trace[8:], r.rand.Uint64())

	root := r.span(r.checkout(), trace, pcommon.SpanID{}, ptrace.SpanKindServer, "GET /pay", begin, end)
	out := r.span(r.checkout(), trace, root.SpanID(), ptrace.SpanKindClient, "POST", begin+time.Millisecond, end-time.Millisecond)
	called(out, callee)
	if callee.status == "" {
		message := fmt.Sprintf("dial tcp %s:%d: connect: connection refused", callee.host, port)
		for _, s := range []ptrace.Span{out, root} {
			s.Status().SetCode(ptrace.StatusCodeError)
		}
		out.Status().SetMessage(message)
		out.Attributes().PutStr("error.type", "*net.OpError")
		root.Attributes().PutInt("http.response.status_code", 502)
		root.Attributes().PutStr("error.type", "502")
		return
	}
	answered(root)
	answered(out)
	in := r.span(callee, trace, out.SpanID(), ptrace.SpanKindServer, "POST /charge", begin+2*time.Millisecond, end-2*time.Millisecond)
	answered(in)
	book := r.span(callee, trace, in.SpanID(), ptrace.SpanKindClient, "POST", begin+3*time.Millisecond, end-3*time.Millisecond)
	called(book, r.ledger())
	answered(book)
	answered(r.span(r.ledger(), trace, book.SpanID(), ptrace.SpanKindServer, "POST /book", begin+4*time.Millisecond, end-4*time.Millisecond))
}

func (r *recorder) span(p *process, trace pcommon.TraceID, parent pcommon.SpanID, kind ptrace.SpanKind, name string, begin, end time.Duration) ptrace.Span {
	spans, ok := r.spans[p]
	if !ok {
		rs := r.td.ResourceSpans().AppendEmpty()
		p.describe(rs.Resource())
		spans = rs.ScopeSpans().AppendEmpty().Spans()
		r.spans[p] = spans
	}
	s := spans.AppendEmpty()
	var id pcommon.SpanID
	binary.BigEndian.PutUint64(id[:], r.rand.Uint64())
	s.SetTraceID(trace)
	s.SetSpanID(id)
	s.SetParentSpanID(parent)
	s.SetKind(kind)
	s.SetName(name)
	s.SetStartTimestamp(stamp(begin))
	s.SetEndTimestamp(stamp(end))
	s.Attributes().PutStr("http.request.method", "POST")
	return s
}

func called(s ptrace.Span, p *process) {
	s.Attributes().PutStr("server.address", p.host)
	s.Attributes().PutInt("server.port", port)
}

func answered(s ptrace.Span) { s.Attributes().PutInt("http.response.status_code", 200) }
