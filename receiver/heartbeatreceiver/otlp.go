// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"bytes"
	"fmt"
	"math"
	"mime"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/faultline-otel/faultline/internal/contract"
)

const (
	typeProto = "application/x-protobuf"
	typeJSON  = "application/json"

	maxAttributes = 128     // of one resource or record
	maxBraces     = 100_000 // in an OTLP JSON request: many times what heartbeats need
)

// serveOTLP is POST /v1/logs: log records with EventName heartbeat.
func (r *heartbeatReceiver) serveOTLP(w http.ResponseWriter, req *http.Request) {
	if !only(w, req, http.MethodPost) {
		return
	}
	kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if kind != typeProto && kind != typeJSON {
		r.refuse(w, &problem{http.StatusUnsupportedMediaType, reasonEncoding, "the Content-Type must be " + typeProto + " or " + typeJSON})
		return
	}
	var ld plog.Logs
	var bad *problem
	p := readBody(req, 0, func(body []byte) { ld, bad = decodeOTLP(body, kind) })
	if p == nil {
		p = bad
	}
	if p != nil {
		r.refuse(w, p)
		return
	}
	places := min(ld.LogRecordCount(), maxElements)
	if !r.reserve(places) {
		r.refuse(w, errBusy)
		return
	}
	t := otlpTaker{r: r, at: r.now(), remote: remoteHost(req), sure: proven(req)}
	t.logs(ld)
	r.release(places - t.accepted)
	r.accepted(t.accepted, sourceOTLP)
	for why, n := range t.refused {
		r.refused(n, why)
	}

	resp := plogotlp.NewExportResponse()
	if n := ld.LogRecordCount() - t.accepted; n > 0 {
		resp.PartialSuccess().SetRejectedLogRecords(int64(n))
		resp.PartialSuccess().SetErrorMessage(strings.Join(t.reasons, "; "))
	}
	marshal := resp.MarshalProto
	if kind == typeJSON {
		marshal = resp.MarshalJSON
	}
	body, err := marshal()
	if err != nil {
		answer(w, http.StatusInternalServerError, reply{Error: err.Error()})
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(body) // the sender is gone if this fails
}

// decodeOTLP reads an export request. An empty record takes two bytes on the
// wire and a hundred times that in memory, so records are counted before.
func decodeOTLP(body []byte, kind string) (plog.Logs, *problem) {
	req := plogotlp.NewExportRequest()
	var err error
	if kind == typeJSON {
		if bytes.Count(body, []byte{'{'}) > maxBraces {
			return plog.Logs{}, &problem{http.StatusRequestEntityTooLarge, reasonTooLarge, "too many objects in one request: send less at once"}
		}
		err = req.UnmarshalJSON(body)
	} else {
		// Path to a record: resource_logs = 1, scope_logs = 2, log_records = 2.
		if n := countMessages(body, 1, 2, 2); n > maxElements {
			return plog.Logs{}, &problem{
				http.StatusRequestEntityTooLarge, reasonTooLarge,
				fmt.Sprintf("%d records in one request are more than %d: send less at once", n, maxElements),
			}
		}
		err = req.UnmarshalProto(body)
	}
	if err != nil {
		return plog.Logs{}, &problem{http.StatusBadRequest, reasonInvalid, "not a valid OTLP logs request: " + err.Error()}
	}
	return req.Logs(), nil
}

// countMessages counts the length-delimited fields at a path of field numbers.
// What is malformed counts as nothing: the decoder will say so.
func countMessages(b []byte, path ...protowire.Number) int {
	n := 0
	for len(b) > 0 && len(path) > 0 {
		num, typ, used := protowire.ConsumeTag(b)
		if used < 0 {
			return n
		}
		b = b[used:]
		used = protowire.ConsumeFieldValue(num, typ, b)
		if used < 0 {
			return n
		}
		if num == path[0] && typ == protowire.BytesType {
			if len(path) == 1 {
				n++
			} else if inner, k := protowire.ConsumeBytes(b); k >= 0 {
				n += countMessages(inner, path[1:]...)
			}
		}
		b = b[used:]
	}
	return n
}

// otlpTaker takes the heartbeats of one request.
type otlpTaker struct {
	r        *heartbeatReceiver
	at       stamp
	remote   string
	sure     bool
	accepted int
	refused  map[reason]int
	reasons  []string // the first few, for the sender
}

const maxOTLPReasons = 5

func (t *otlpTaker) refuse(e *elementError) {
	if t.refused == nil {
		t.refused = map[reason]int{}
	}
	t.refused[e.reason]++
	text := e.Error()
	for _, said := range t.reasons {
		if said == text {
			return
		}
	}
	if len(t.reasons) < maxOTLPReasons {
		t.reasons = append(t.reasons, text)
	}
}

func (t *otlpTaker) logs(ld plog.Logs) {
	for _, rl := range ld.ResourceLogs().All() {
		var who beat
		flaw := resourceBeat(&who, rl.Resource())
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				if t.accepted == maxElements {
					t.refuse(invalid("", fmt.Sprintf("more than %d heartbeats in one request: send the rest in another", maxElements)))
					continue
				}
				b := who
				if e := t.record(&b, flaw, rl.Resource(), lr); e != nil {
					t.refuse(e)
				} else {
					t.accepted++
				}
			}
		}
	}
}

// record takes one record, or says why not. flaw is that of its resource.
func (t *otlpTaker) record(b *beat, flaw *elementError, res pcommon.Resource, lr plog.LogRecord) *elementError {
	if eventName(lr) != contract.EventHeartbeat {
		return invalid("event.name", "is not heartbeat: send other records to an otlp receiver")
	}
	if flaw != nil {
		return flaw
	}
	if e := recordBeat(b, lr); e != nil {
		return e
	}
	if _, signs := t.r.keys.find(b); signs {
		return forbidden("the service %s signs its heartbeats: send them to /v1/heartbeats", clip(b.text[fService]))
	}
	b.authenticated, b.remote = t.sure, t.remote
	t.r.senders.touch(b, t.at.now, "")
	q := t.r.batch
	if q == nil {
		return nil
	}
	q.add(func(dst plog.ResourceLogsSlice) { t.r.stamper.writeOTLP(dst, b, res, lr, t.at) })
	return nil
}

// writeOTLP appends lr as ours. Its resource and further attributes are kept.
func (st *stamper) writeOTLP(dst plog.ResourceLogsSlice, b *beat, res pcommon.Resource, lr plog.LogRecord, at stamp) {
	attrs, out := newRecord(dst)
	res.Attributes().CopyTo(attrs)
	lr.CopyTo(out)
	out.Attributes().RemoveIf(func(k string, _ pcommon.Value) bool { return ours[k] })
	st.put(out, at)
	if b.given(fSentAt) {
		out.Attributes().PutInt(contract.HeartbeatSentAt, b.sentAt)
		out.SetTimestamp(pcommon.Timestamp(b.sentAt))
	}
	if b.authenticated {
		out.Attributes().PutBool(contract.HeartbeatAuthenticated, true)
	}
	putStr(out.Attributes(), contract.HeartbeatRemoteAddress, b.remote)
}

// ours are the attributes that only the observer may set.
var ours = map[string]bool{
	contract.HeartbeatAuthenticated: true, contract.HeartbeatRemoteAddress: true,
	contract.HeartbeatObserverLate: true, contract.HeartbeatObserverRefused: true,
	contract.HeartbeatDue: true, contract.HeartbeatGrace: true,
}

func eventName(lr plog.LogRecord) string {
	if name := lr.EventName(); name != "" {
		return name
	}
	if v, ok := lr.Attributes().Get(contract.EventName); ok && v.Type() == pcommon.ValueTypeStr {
		return v.Str()
	}
	return ""
}

// resourceBeat reads who beats.
func resourceBeat(b *beat, res pcommon.Resource) *elementError {
	attrs := res.Attributes()
	if n := attrs.Len(); n > maxAttributes {
		return invalid("resource", fmt.Sprintf("has %d attributes, more than %d", n, maxAttributes))
	}
	for k, v := range attrs.All() {
		f, ok := resourceFields[k]
		if !ok {
			continue
		}
		if v.Type() != pcommon.ValueTypeStr {
			return invalid(k, "must be a string")
		}
		if v.Str() == "" && f != fService {
			continue
		}
		if err := b.put(f, v.Str()); err != nil {
			return invalid(k, err.Error())
		}
	}
	if !b.given(fService) {
		return invalid(attrService, "is missing in the resource")
	}
	return nil
}

var resourceFields = map[string]field{
	attrService: fService, attrNamespace: fNamespace, attrInstance: fInstance, attrVersion: fVersion,
	attrEnvironment: fEnvironment, attrHost: fHost, attrZone: fZone,
}

// recordBeat reads what the record says of the heartbeat.
func recordBeat(b *beat, lr plog.LogRecord) *elementError {
	attrs := lr.Attributes()
	if n := attrs.Len(); n > maxAttributes {
		return invalid("attributes", fmt.Sprintf("has %d attributes, more than %d", n, maxAttributes))
	}
	for k, v := range attrs.All() {
		if !strings.HasPrefix(k, "heartbeat.") {
			continue
		}
		switch k {
		case contract.HeartbeatObserver, contract.HeartbeatTarget, contract.HeartbeatOutcome, contract.HeartbeatAddresses,
			contract.HeartbeatClient, contract.HeartbeatService:
			return invalid(k, "is for observers to set: send what another observer has seen to an otlp receiver")
		}
		if strings.HasPrefix(k, "heartbeat.process.") {
			return invalid(k, "is for observers to set")
		}
		if err := b.putAttr(k, v); err != nil {
			return invalid(k, err.Error())
		}
	}
	if !b.given(fSentAt) && lr.Timestamp() > 0 && lr.Timestamp() <= math.MaxInt64 {
		b.has |= 1 << fSentAt
		b.sentAt = int64(lr.Timestamp())
	}
	return nil
}

// putAttr sets the field that an attribute stands for.
func (b *beat) putAttr(key string, v pcommon.Value) error {
	number := func(f field, dst *int64, least, most int64) error {
		if v.Type() != pcommon.ValueTypeInt {
			return fmt.Errorf("must be an int, not a %s", v.Type())
		}
		if v.Int() < least || v.Int() > most {
			return fmt.Errorf("%d is not between %d and %d", v.Int(), least, most)
		}
		b.has |= 1 << f
		*dst = v.Int()
		return nil
	}
	text := func(f field) error {
		if v.Type() != pcommon.ValueTypeStr {
			return fmt.Errorf("must be a string, not a %s", v.Type())
		}
		if v.Str() == "" {
			return nil
		}
		return b.put(f, v.Str())
	}
	switch key {
	case contract.HeartbeatIncarnation:
		return number(fIncarnation, &b.incarnation, 0, math.MaxInt64)
	case contract.HeartbeatSeq:
		return number(fSeq, &b.seq, 0, math.MaxInt64)
	case contract.HeartbeatSentAt:
		return number(fSentAt, &b.sentAt, 0, math.MaxInt64)
	case contract.HeartbeatExitCode:
		return number(fExitCode, &b.exitCode, math.MinInt32, math.MaxUint32)
	case contract.HeartbeatStatus:
		return text(fStatus)
	case contract.HeartbeatDigest:
		return text(fDigest)
	case contract.HeartbeatBootID:
		return text(fBootID)
	case contract.HeartbeatGroup:
		return text(fGroup)
	case contract.HeartbeatZone:
		return text(fZone)
	case contract.HeartbeatInterval:
		return b.putInterval(v)
	}
	return nil
}

func (b *beat) putInterval(v pcommon.Value) error {
	var s float64
	switch v.Type() {
	case pcommon.ValueTypeDouble:
		s = v.Double()
	case pcommon.ValueTypeInt:
		s = float64(v.Int())
	default:
		return fmt.Errorf("must be a double, in seconds, not a %s", v.Type())
	}
	if !(s >= minInterval.Seconds() && s <= maxInterval.Seconds()) { // NaN too
		return fmt.Errorf("%v s is not between %v and 366 days", s, minInterval)
	}
	b.has |= 1 << fInterval
	return b.setInterval(time.Duration(s * float64(time.Second)))
}
