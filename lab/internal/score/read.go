// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// maxLine bounds a line of OTLP JSON, which holds a whole batch.
const maxLine = 64 << 20

// Score judges the runs in the given folders, each a run or a shard of one. A
// bad line of telemetry is listed among the problems; a bad line of the lab's
// own account is an error, because the truth must be whole. Without calls or
// arrivals the figures that need them are missing, and the problems say so.
func Score(dirs ...string) (Result, error) {
	if len(dirs) == 0 {
		return Result{}, errors.New("score: no folder given")
	}
	t := newTally()
	for _, dir := range dirs {
		if err := t.folder(dir); err != nil {
			return Result{}, fmt.Errorf("score: %w", err)
		}
	}
	return t.result(), nil
}

func (t *tally) folder(dir string) error {
	injections, err := account[ledger.Injection](dir, ledger.InjectionsFile)
	if err != nil {
		return err
	}
	calls, err := account[ledger.Call](dir, ledger.CallsFile)
	if err = t.optional(err); err != nil {
		return err
	}
	arrivals, err := account[ledger.Arrival](dir, ledger.ArrivalsFile)
	if err = t.optional(err); err != nil {
		return err
	}
	var verdicts []Verdict
	err = t.lines(filepath.Join(dir, ledger.EventsFile), func(line []byte) error {
		got, err := ReadEvents(line)
		verdicts = append(verdicts, got...)
		return err
	})
	if err != nil {
		return err
	}
	var spans []Span
	names := interned{}
	err = t.lines(filepath.Join(dir, ledger.TracesFile), func(line []byte) error {
		td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
		if err == nil {
			spans = names.appendSpans(spans, td)
		}
		return err
	})
	if err != nil {
		return err
	}
	t.add(injections, verdicts, spans, calls, arrivals)
	return nil
}

// account reads a file of the lab's own.
func account[T any](dir, name string) ([]T, error) {
	path := filepath.Join(dir, name)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	out, err := ledger.Read[T](f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

// optional makes a missing file a problem instead of an error.
func (t *tally) optional(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		t.problem(err.Error())
		return nil
	}
	return err
}

func (t *tally) problem(text string) {
	if len(t.r.Problems) >= maxProblems {
		t.r.MoreProblem++
		return
	}
	t.r.Problems = append(t.r.Problems, text)
}

// lines hands each line of a file to read, one at a time. What read refuses is
// a problem, except a last line that its writer did not finish.
func (t *tally) lines(path string, read func([]byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	in := bufio.NewReaderSize(f, 1<<20)
	var line []byte
	for number := 1; ; number++ {
		line, err = nextLine(in, line[:0])
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errLong):
			t.problem(fmt.Sprintf("%s:%d: longer than %d bytes", path, number, maxLine))
			continue
		case err != nil:
			return fmt.Errorf("%s:%d: %w", path, number, err)
		}
		if text := bytes.TrimSpace(line); len(text) > 0 {
			if err := read(text); err != nil {
				t.problem(fmt.Sprintf("%s:%d: %v", path, number, err))
			}
		}
	}
}

var errLong = errors.New("line too long")

// nextLine reads into buf and passes over the rest of a line that is too long.
func nextLine(in *bufio.Reader, buf []byte) ([]byte, error) {
	long := false
	for {
		part, err := in.ReadSlice('\n')
		if long = long || len(buf)+len(part) > maxLine; !long {
			buf = append(buf, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return buf, err
		case long:
			return buf[:0], errLong
		default:
			return buf, nil
		}
	}
}

// ReadEvents reads a line of OTLP JSON logs. Records that are no events are
// left out.
func ReadEvents(line []byte) ([]Verdict, error) {
	ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
	if err != nil {
		return nil, err
	}
	var out []Verdict
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				if v, ok := verdictOf(lr); ok {
					out = append(out, v)
				}
			}
		}
	}
	return out, nil
}

func verdictOf(lr plog.LogRecord) (Verdict, bool) {
	a := lr.Attributes()
	v := Verdict{Event: lr.EventName(), At: lr.Timestamp().AsTime(), Text: lr.Body().AsString()}
	if v.Event == "" {
		v.Event = text(a, contract.EventName)
	}
	if v.Event == "" || v.Event == contract.EventHeartbeat {
		return v, false
	}
	if lr.Timestamp() == 0 {
		v.At = lr.ObservedTimestamp().AsTime()
	}
	v.Class, v.Subclass, v.Role = text(a, contract.FailureClass), text(a, contract.FailureSubclass), text(a, contract.FailureRole)
	v.Culprit, v.Incident = culpritOf(a), text(a, contract.IncidentID)
	if c, ok := a.Get(contract.FailureConfidence); ok {
		v.Confidence = c.Double()
	}
	if n, ok := a.Get(contract.FailureRevision); ok {
		v.Revision = n.Int()
	}
	if since, err := time.Parse(time.RFC3339Nano, text(a, contract.FailureStartTime)); err == nil {
		v.Since = since
	}
	v.Entity = entityOf(a)
	return v, true
}

// entityOf is who was judged. The host says so only of one that has no id: where an
// instance runs may become known, or be left out, between two events.
func entityOf(a pcommon.Map) string {
	keys := []string{"service.name", "service.namespace", "service.instance.id"}
	if text(a, "service.instance.id") == "" {
		keys = append(keys, "host.name")
	}
	entity := ""
	for _, key := range keys {
		entity += text(a, key) + "\x00"
	}
	if strings.Trim(entity, "\x00") == "" {
		return ""
	}
	return entity
}

func culpritOf(a pcommon.Map) ledger.Culprit {
	return ledger.Culprit{
		Type: text(a, contract.FailureCulpritType), Name: text(a, contract.FailureCulpritName),
		Service: text(a, contract.FailureCulpritService), Instance: text(a, contract.FailureCulpritInstanceID),
	}
}

func text(a pcommon.Map, key string) string {
	v, ok := a.Get(key)
	if !ok || v.Type() != pcommon.ValueTypeStr {
		return ""
	}
	return v.Str()
}

// interned keeps one copy of each text, since a run has millions of spans and
// few names.
type interned map[string]string

func (n interned) one(s string) string {
	if kept, ok := n[s]; ok {
		return kept
	}
	s = strings.Clone(s)
	n[s] = s
	return s
}

func (n interned) appendSpans(out []Span, td ptrace.Traces) []Span {
	for _, rs := range td.ResourceSpans().All() {
		res := rs.Resource().Attributes()
		service, instance := n.one(text(res, "service.name")), n.one(text(res, "service.instance.id"))
		version := n.one(text(res, "service.version"))
		place := &Place{n.one(text(res, "host.name")), n.one(text(res, "cloud.availability_zone"))}
		for _, ss := range rs.ScopeSpans().All() {
			for _, sp := range ss.Spans().All() {
				s := spanOf(sp)
				s.Service, s.Instance, s.Version, s.Place, s.Operation = service, instance, version, place, n.one(s.Operation)
				s.Address = n.one(s.Address)
				if s.Tag != nil {
					g := s.Tag
					for _, field := range []*string{&g.Class, &g.Subclass, &g.Role, &g.Culprit.Type, &g.Culprit.Name, &g.Culprit.Service, &g.Culprit.Instance} {
						*field = n.one(*field)
					}
				}
				out = append(out, s)
			}
		}
	}
	return out
}

func spanOf(sp ptrace.Span) Span {
	a := sp.Attributes()
	s := Span{
		Trace: sp.TraceID(), ID: sp.SpanID(), Parent: sp.ParentSpanID(), Operation: text(a, "http.route"),
		Start:  sp.StartTimestamp().AsTime(),
		Client: sp.Kind() == ptrace.SpanKindClient,
		Server: sp.Kind() == ptrace.SpanKindServer || sp.Kind() == ptrace.SpanKindConsumer,
		Failed: failedSpan(sp),
	}
	s.Duration = max(0, sp.EndTimestamp().AsTime().Sub(s.Start))
	if s.Operation == "" {
		s.Operation = sp.Name()
	}
	// A client and a server of one service and route are not equally fast.
	s.Operation = sp.Kind().String() + " " + s.Operation
	if s.Client {
		s.Address = cmp.Or(text(a, "network.peer.address"), text(a, "server.address"))
	}
	if class := text(a, contract.FailureClass); class != "" {
		s.Tag = &Tag{Class: class, Subclass: text(a, contract.FailureSubclass), Role: text(a, contract.FailureRole), Culprit: culpritOf(a)}
	}
	return s
}

// failedSpan: a client's own mistake is no failure, whatever status its SDK
// sets. To be turned away is one, and so by gRPC, where servers set no status for it.
func failedSpan(sp ptrace.Span) bool {
	if v, ok := sp.Attributes().Get("rpc.grpc.status_code"); ok && v.Type() == pcommon.ValueTypeInt && v.Int() == grpcExhausted {
		return true
	}
	for _, key := range []string{"http.response.status_code", "http.status_code"} {
		if v, ok := sp.Attributes().Get(key); ok && v.Type() == pcommon.ValueTypeInt {
			switch code := v.Int(); {
			case code >= 500, code == 408, code == 429:
				return true
			case code >= 400:
				return false
			}
		}
	}
	return sp.Status().Code() == ptrace.StatusCodeError
}

// grpcExhausted is what HTTP calls 429.
const grpcExhausted = 8
