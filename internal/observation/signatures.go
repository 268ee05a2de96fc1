// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// What lines of a log say outright. The words are those of callWordings and its like; here
// stands at which severity they are believed and whom they are about.

// ordinaryText is how much of a line below WARN is read, in bytes: stops, starts
// and panics are told at its beginning.
const ordinaryText = 256

// told by a line: facts about its own writer. The first that fits is taken.
var signatures = [...]struct {
	says, unless meaning
	least, most  plog.SeverityNumber // severities at which it is believed; unset always is
	kind         report.FactKind
}{
	{saysOOMKill, 0, plog.SeverityNumberWarn, plog.SeverityNumberFatal4, report.FactOOMKill},
	{saysThreads, saysQuoted, plog.SeverityNumberWarn, plog.SeverityNumberFatal4, report.FactNoThread},
	{saysMemory, saysGuess | quotesAnswer, plog.SeverityNumberWarn, plog.SeverityNumberFatal4, report.FactOutOfMemory},
	{saysDescriptors, saysQuoted, plog.SeverityNumberWarn, plog.SeverityNumberFatal4, report.FactNoDescriptor},
	// A host without IPv6 says so of each name that has both kinds of address.
	{saysPorts, saysQuoted | aboutCall&^saysConnectFailed, plog.SeverityNumberWarn, plog.SeverityNumberFatal4, report.FactNoPort},
	{saysDisk, quotesAnswer, plog.SeverityNumberWarn, plog.SeverityNumberFatal4, report.FactDiskFull},
	{saysPool, saysQuoted, plog.SeverityNumberWarn, plog.SeverityNumberFatal4, report.FactPoolEmpty},
	{saysIntegrity, quotesAnswer, plog.SeverityNumberWarn, plog.SeverityNumberFatal4, report.FactIntegrity},
	// A server that recovers from panics writes them, too, and lives on; so does
	// one that installs a handler for SIGSEGV.
	{saysPanic, saysRecovered | saysNotStopping, plog.SeverityNumberInfo, plog.SeverityNumberFatal4, report.FactPanic},
	// "the server is shutting down" in an error is somebody else's word.
	{saysStopping, saysNotStopping | saysNotServing | aboutCall | saysPanic, plog.SeverityNumberInfo, plog.SeverityNumberWarn4, report.FactStopping},
	{saysStarted, saysNotStopping | aboutCall | saysStopping, plog.SeverityNumberInfo, plog.SeverityNumberWarn4, report.FactStarted},
}

// quotesAnswer: a callee's want, or what a callee found, which came with its answer.
const quotesAnswer = saysUnavailable | saysCallFailed | saysQuoted

const aboutItself = saysOOMKill | saysThreads | saysMemory | saysDescriptors | saysPorts | saysDisk | saysPool | saysIntegrity |
	saysPanic | saysStopping | saysStarted

// line takes in one log record that is neither a heartbeat nor an event.
func (r *logResource) line(lr plog.LogRecord) {
	severity := lr.SeverityNumber()
	if severity == plog.SeverityNumberUnspecified {
		severity = severityOf(lr.SeverityText())
	}
	if severity > plog.SeverityNumberUnspecified && severity < plog.SeverityNumberInfo {
		return
	}
	s := message(lr.Body())
	if r.accessed(lr, s) {
		return
	}
	if severity == plog.SeverityNumberUnspecified {
		if severity = severityIn(s); severity > plog.SeverityNumberUnspecified && severity < plog.SeverityNumberInfo {
			return
		}
	}
	grave := severity == plog.SeverityNumberUnspecified || severity >= plog.SeverityNumberWarn
	if !grave {
		if s = s[:min(len(s), ordinaryText)]; endings().read(s) == 0 {
			return
		}
	}
	says := words().read(s).settled()
	detail, text := "", s
	if severity >= plog.SeverityNumberWarn {
		var more meaning
		if more, detail = details(lr.Attributes()); says == 0 {
			s = detail
		}
		says |= more
		if more&(saysTheirDisk|saysTheirMemory) != 0 {
			says &^= saysDisk | saysMemory // a driver's exception quotes its database
		}
	}
	if severity >= plog.SeverityNumberError && !lr.TraceID().IsEmpty() || grave && says.blamesCallee() && lr.TraceID().IsEmpty() {
		r.erred(lr, says, text)
	}
	at := r.sc.past(when(lr))
	if severity >= plog.SeverityNumberError && !lr.TraceID().IsEmpty() && says&notOwn == 0 {
		r.doubts(text, detail, at)
	}
	if says&saysOOMKill != 0 {
		if r.identify(); r.id.name == "" { // the kernel's log, perhaps
			if src := r.sc.x.killed(r.id.hostName, s); src != nil {
				r.sc.out.Facts = append(r.sc.out.Facts, report.Fact{Source: src, Kind: report.FactOOMKill, At: at, Text: line(s)})
			}
			return
		}
	}
	if says&(aboutItself|aboutCall) == 0 {
		return
	}
	src := r.source()
	if grave && says&aboutCall != 0 && (src == nil || src.Outside) {
		r.proxied(lr, says, s)
	}
	if src == nil {
		r.unnamed(says, severity, at, s)
		return
	}
	if says&aboutItself != 0 {
		r.tell(says, severity, at, s)
	}
	if !src.Outside && grave && says&aboutCall != 0 {
		r.sc.mentionedPeer(says, at, s, detail)
	}
}

// tell adds the fact that a line states, once for each kind and resource in a
// batch: a flood of lines says no more than one. Of answers that do not check it
// says how many.
func (r *logResource) tell(says meaning, severity plog.SeverityNumber, at clock.Time, s string) {
	for i := range signatures {
		g := &signatures[i]
		if says&g.says == 0 || says&g.unless != 0 ||
			severity != plog.SeverityNumberUnspecified && (severity < g.least || severity > g.most) {
			continue
		}
		sc := r.sc
		if sc.facts>>g.kind&1 == 0 {
			sc.facts |= 1 << g.kind
			sc.out.Facts = append(sc.out.Facts, report.Fact{Source: sc.src, Kind: g.kind, At: at, Text: line(s), Said: sc.src.Service.Name == ""})
		}
		if g.kind == report.FactIntegrity {
			for i := len(sc.out.Facts) - 1; i >= 0; i-- {
				if f := &sc.out.Facts[i]; f.Kind == g.kind && f.Source == sc.src {
					f.Value++
					break
				}
			}
		}
		return
	}
}

// unnamed adds what a line tells of the want, or of the orderly end, of somebody on its
// host who gives no service: a server without telemetry, whose log is read.
func (r *logResource) unnamed(says meaning, severity plog.SeverityNumber, at clock.Time, s string) {
	if says&saysStopping != 0 && (says&saysPanic != 0 || complains(s)) {
		says &^= saysStopping
	}
	if says &= saysDisk | saysMemory | saysGuess | quotesAnswer | saysStopping | saysNotStopping | saysNotServing | aboutCall; says&(saysDisk|saysMemory|saysStopping) == 0 {
		return
	}
	if r.identify(); r.id.hostName == "" {
		return
	}
	if says&saysStopping != 0 && (r.id.podUID != "" || r.id.podName != "") {
		return // pods of one node come and go all day
	}
	r.sc.src = r.sc.x.source(&sourceID{host: r.id.hostName, cluster: r.id.cluster})
	r.tell(says, severity, at, s)
	r.sc.src = nil
}

// complains says whether a line without a severity tells of an error: who shuts down
// because of one does not end in order.
func complains(s string) bool {
	s = strings.ToLower(s[:min(len(s), ordinaryText)])
	for _, word := range [...]string{"error", "fatal", "panic", "crit", "exception", "fail", "cannot", "can't", "could not", "unable", "corrupt", "because", "abort"} {
		if strings.Contains(s, word) {
			return true
		}
	}
	return false
}

// firstEphemeral is the lowest port that systems hand out to callers: an error
// about such a port at the far end is a server's about its client.
const firstEphemeral = 32768

// mentionedPeer counts a call of which only a line tells that it failed, if the
// line names the address. What such a line says of the state of a connection is
// told by both of its ends, so the callee's port must be one to listen at.
func (sc *scratch) mentionedPeer(says meaning, at clock.Time, texts ...string) {
	o := says.outcome()
	if !(phase(o) || o == report.OutcomeReset || o == report.OutcomeTimeout || o == report.OutcomeNoAnswer) || o == report.OutcomeDNS {
		return
	}
	for _, s := range texts {
		m := mentioned(s)
		if m.port == 0 || m.port >= firstEphemeral || ofTelemetry(s, m.port) {
			continue
		}
		id := m.callee()
		if loopback(m.host) {
			// Spans of the same process may tell the host: without it, this
			// would be somebody else's address.
			if id.place = placeOf(sc.src); id.place == "" {
				continue
			}
		}
		sc.out.Calls = append(sc.out.Calls, report.Calls{
			Caller: sc.src, Callee: sc.callee(&id).Callee, Outcome: o, Count: 1, First: at, Last: at, Hearsay: true,
		})
		return
	}
}

// ofTelemetry says whether a line is about the way that telemetry itself takes:
// those who watch are no part of what they watch.
func ofTelemetry(s string, port int32) bool {
	return port == portOTLPgRPC || port == portOTLPHTTP ||
		strings.Contains(s, "/v1/traces") || strings.Contains(s, "/v1/metrics") || strings.Contains(s, "/v1/logs")
}

// The ports of OTLP, by its specification.
const (
	portOTLPgRPC = 4317
	portOTLPHTTP = 4318
)

// message returns the text of a body: itself, or the field of a structured one
// that holds it.
func message(body pcommon.Value) string {
	switch body.Type() {
	case pcommon.ValueTypeStr:
		return body.Str()
	case pcommon.ValueTypeMap:
		for k, v := range body.Map().All() {
			switch k {
			case "message", "msg", "log", "MESSAGE":
				return v.Str()
			}
		}
	}
	return ""
}

// details reads the attributes in which libraries keep the error of a line.
func details(attrs pcommon.Map) (says meaning, text string) {
	for k, v := range attrs.All() {
		switch k {
		case "exception.message", "exception.type", "error", "err", "error.message", "error.type", "log.exception":
			if s := v.Str(); s != "" {
				more := words().read(s)
				if says |= more; more != 0 && len(s) > len(text) {
					text = s
				}
			}
		}
	}
	// A logged error is no uncaught one.
	return says &^ saysPanic, text
}

// when is the time of a record; 0 if it tells none.
func when(lr plog.LogRecord) pcommon.Timestamp {
	if t := lr.Timestamp(); t != 0 {
		return t
	}
	return lr.ObservedTimestamp()
}

// severityOf reads a severity's name where the number is not set.
func severityOf(name string) plog.SeverityNumber {
	if len(name) < 3 || len(name) > 16 {
		return plog.SeverityNumberUnspecified
	}
	for _, s := range [...]struct {
		prefix string
		number plog.SeverityNumber
	}{
		{"inf", plog.SeverityNumberInfo}, {"not", plog.SeverityNumberInfo2}, {"war", plog.SeverityNumberWarn},
		{"err", plog.SeverityNumberError}, {"sev", plog.SeverityNumberError}, {"cri", plog.SeverityNumberError3},
		{"fat", plog.SeverityNumberFatal}, {"pan", plog.SeverityNumberFatal}, {"eme", plog.SeverityNumberFatal},
		{"ale", plog.SeverityNumberFatal}, {"deb", plog.SeverityNumberDebug}, {"tra", plog.SeverityNumberTrace},
	} {
		if strings.EqualFold(name[:3], s.prefix) {
			return s.number
		}
	}
	return plog.SeverityNumberUnspecified
}
