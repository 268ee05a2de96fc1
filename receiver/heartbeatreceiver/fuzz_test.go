// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/metadata"
	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/probe"
)

// depthOf is how deep a valid document is nested.
func depthOf(doc string) int {
	deepest, depth := 0, 0
	dec := json.NewDecoder(strings.NewReader(doc))
	for {
		tok, err := dec.Token()
		if err != nil {
			return deepest
		}
		if d, ok := tok.(json.Delim); ok {
			if d == '{' || d == '[' {
				depth++
				deepest = max(deepest, depth)
			} else {
				depth--
			}
		}
	}
}

// FuzzSkip holds our JSON scanner against the standard library's: what one
// takes as a whole document the other must take.
func FuzzSkip(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `[1,-2.5e+3,"a",null,true,false]`, `{"a":{"b":[{}]}}`, `"\ud83d\ude00"`, `[1,]`, `{"a"}`, `01`, `1.`,
		`-`, `"\x"`, ` [ ] `, `{"a":1,}`, `[[[[`, "\"\x01\"", `nul`, `{"a":1 "b":2}`, "\xff", `"\ud800"`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		sc := scanner{s: doc}
		err := sc.skip()
		if err == nil {
			sc.peek()
		}
		ok := err == nil && sc.i == len(doc)
		valid := json.Valid([]byte(doc))
		if valid && !ok && depthOf(doc) <= maxDepth {
			t.Fatalf("%q is valid, but: %v", doc, err)
		}
		// Flaws inside strings are reported where the string is used, so a
		// document with them may pass here; without a quote there are none.
		if ok && !valid && !strings.Contains(doc, `"`) {
			t.Fatalf("%q is not valid, but passed", doc)
		}
		if ok && sc.i > len(doc) {
			t.Fatal("read beyond the end")
		}
	})
}

// FuzzString compares every string that we read with what the standard library reads.
func FuzzString(f *testing.F) {
	for _, s := range []string{`"a"`, `"\u00e9\n\/"`, `"\ud83d\ude00"`, "\"é\"", `"\ud800x"`, "\"\xff\"", `"\`, `"\u12`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		sc := scanner{s: doc}
		got, flaw, err := sc.str()
		if err != nil || flaw != "" {
			return // TestBadHeartbeats says which; that valid ones pass is FuzzSkip's and below
		}
		var want string
		if err := json.Unmarshal([]byte(doc[:sc.i]), &want); err != nil {
			t.Fatalf("%q passed, but: %v", doc[:sc.i], err)
		}
		if got != want || !utf8.ValidString(got) {
			t.Fatalf("%q: got %q, want %q", doc, got, want)
		}
	})
}

// FuzzBeats checks what must hold of every request: no panic, no beat that
// breaks a limit, as many outcomes as there are elements.
func FuzzBeats(f *testing.F) {
	for _, s := range []string{
		benchDocFor(3), `{"service":"a","seq":1,"sent_at":"2026-01-01T00:00:00Z","mac":"00"}`, `[{"service":"a"},7]`,
		`[{"service":"a","interval":"1s"`, `[[[[[`, `{"service":"a","service":"b"}`, `null`, `[]`, `[,]`, `{"service":"\ud800"}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		n, flaws := 0, 0
		decodeBeats(doc, new(beat), func(b *beat) *elementError {
			n++
			for fd, text := range b.text {
				if probe.CheckName(text) != nil {
					t.Fatalf("%s: %q passed", field(fd), text)
				}
			}
			if b.text[fService] == "" || b.seq < 0 || b.incarnation < 0 || b.sentAt < 0 || b.interval < 0 || b.interval > maxInterval {
				t.Fatalf("%+v passed", b)
			}
			return nil
		}, func(e *elementError) {
			flaws++
			if e.Text == "" || e.reason == "" {
				t.Fatalf("an error without a reason: %+v", e)
			}
		})
		if n > strings.Count(doc, "{") {
			t.Fatal("more beats than braces: too few places would be reserved")
		}
		var elements []json.RawMessage
		if json.Unmarshal([]byte(doc), &elements) == nil && elements != nil && len(elements) <= maxElements && depthOf(doc) <= maxDepth {
			if n+flaws != len(elements) {
				t.Fatalf("%d beats and %d flaws in %d elements", n, flaws, len(elements))
			}
		}
	})
}

func benchDocFor(n int) string {
	return "[" + strings.TrimSuffix(strings.Repeat(`{"service":"payment","instance":"p","seq":7,"interval":"1s","status":"ready"},`, n), ",") + "]"
}

// FuzzPing checks the parser of ping URLs.
func FuzzPing(f *testing.F) {
	for _, s := range []string{nightly, nightly + "/start", nightly + "/256", "key/slug/fail", "key/slug/log/x", "", "/", "a/b/c/d", nightly + "/"} {
		f.Add(s, "", "1")
	}
	f.Add(nightly, runID, "")
	f.Fuzz(func(t *testing.T, path, rid, create string) {
		p, problem := parsePing(path, rid, rid != "", create)
		if problem != "" {
			return
		}
		if (p.uuid == "") == (p.slug == "") || p.uuid != "" && !isUUID(p.uuid) || p.slug != "" && !isSlug(p.slug) {
			t.Fatalf("%q names no check: %+v", path, p)
		}
		if p.rid != "" && !isUUID(p.rid) || p.exitCode < -1 || p.exitCode > 255 {
			t.Fatalf("%q %q: %+v", path, rid, p)
		}
		if p.exitCode > 0 && p.signal != signalFail {
			t.Fatalf("%q is a failure: %+v", path, p)
		}
	})
}

// FuzzMessage checks that whatever is sent becomes a short line of text.
func FuzzMessage(f *testing.F) {
	f.Add([]byte("a\r\nb"))
	f.Add(bytes.Repeat([]byte("é "), 1000))
	f.Fuzz(func(t *testing.T, body []byte) {
		line := oneLine(body)
		if !utf8.ValidString(line) || len(line) > maxMessage+len("…") || strings.ContainsAny(line, "\r\n\t\x00") {
			t.Fatalf("%q", line)
		}
	})
}

// FuzzOTLP sends whatever through the OTLP decoder into records.
func FuzzOTLP(f *testing.F) {
	var m plog.ProtoMarshaler
	proto, err := m.MarshalLogs(otlpBeat(nil))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(proto, false)
	f.Add([]byte(`{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a"}}]},"scopeLogs":[{"logRecords":[{"eventName":"heartbeat","attributes":[{"key":"heartbeat.interval","value":{"doubleValue":"NaN"}}]}]}]}]}`), true)
	f.Add([]byte("\x0a\x02\x12\x00"), false)
	set := receivertest.NewNopSettings(metadata.Type)
	f.Fuzz(func(t *testing.T, body []byte, isJSON bool) {
		kind := typeProto
		if isJSON {
			kind = typeJSON
		}
		ld, bad := decodeOTLP(body, kind)
		if bad != nil {
			return
		}
		r, err := newReceiver(set, createDefaultConfig().(*Config))
		if err != nil {
			t.Fatal(err)
		}
		r.batch = newBatcher(consumertest.NewNop(), r.obsrep, maxElements, r.lost)
		taker := otlpTaker{r: r, at: stamp{now: time.Now()}}
		taker.logs(ld)
		refused := 0
		for _, n := range taker.refused {
			refused += n
		}
		if taker.accepted+refused != ld.LogRecordCount() {
			t.Fatalf("%d accepted and %d refused of %d", taker.accepted, refused, ld.LogRecordCount())
		}
		for _, s := range flatten(append(r.batch.full, r.batch.current)) {
			if s.res["service.name"] == "" || s.EventName() != "heartbeat" {
				t.Fatalf("a record of nobody: %v", s.res)
			}
		}
	})
}
