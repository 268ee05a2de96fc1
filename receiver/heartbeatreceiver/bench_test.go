// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package heartbeatreceiver

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/metadata"
)

// benchReceiver is a receiver without a server, whose batches go nowhere.
func benchReceiver(b *testing.B) *heartbeatReceiver {
	b.Helper()
	cfg := createDefaultConfig().(*Config)
	r, err := newReceiver(receivertest.NewNopSettings(metadata.Type), cfg)
	if err != nil {
		b.Fatal(err)
	}
	// A Collector at rest holds tens of megabytes. Without them the garbage
	// collector would run every few milliseconds, which it never does there.
	ballast := make([]byte, 64<<20)
	b.Cleanup(func() { runtime.KeepAlive(ballast) })
	r.began = time.Now()
	r.stamper.observer = "bench"
	r.batch = newBatcher(consumertest.NewNop(), r.obsrep, 1<<30, r.lost)
	go r.batch.run()
	b.Cleanup(r.batch.close)
	return r
}

func benchDoc(n int) string {
	var doc strings.Builder
	for i := range n {
		sep := ","
		if i == 0 {
			sep = "["
		}
		fmt.Fprintf(&doc, `%s{"service":"payment","instance":"payment-%d","incarnation":1767225600000000001,"seq":%d,"interval":"1s","status":"ready"}`, sep, i, i+1000)
	}
	doc.WriteByte(']')
	return doc.String()
}

// BenchmarkJSON is a heartbeat on its way from the body of a request into the
// pipeline: decoded, entered among the senders, written as a record, handed on.
// One iteration is one heartbeat.
func BenchmarkJSON(b *testing.B) {
	const n = 100
	doc := benchDoc(n)
	r := benchReceiver(b)
	at := r.now()
	one := new(beat)
	b.ReportAllocs()
	cpu := cpuTime(b)
	defer func() { b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op") }()
	for i := 0; b.Loop(); i++ {
		if i%n != 0 {
			continue
		}
		if !r.reserve(n) {
			b.Fatal("no room")
		}
		decodeBeats(doc, one, func(x *beat) *elementError {
			x.remote = "127.0.0.1"
			r.accept(x, at, "")
			return nil
		}, func(e *elementError) { b.Fatal(e) })
	}
}

// BenchmarkDecode is the decoding alone.
func BenchmarkDecode(b *testing.B) {
	const n = 100
	doc := benchDoc(n)
	one := new(beat)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%n != 0 {
			continue
		}
		decodeBeats(doc, one, func(*beat) *elementError { return nil }, func(e *elementError) { b.Fatal(e) })
	}
}

// BenchmarkFlood is a heartbeat of somebody never seen before, beyond the limit.
func BenchmarkFlood(b *testing.B) {
	t := newSenders(1000, func() {})
	now := time.Now()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		var x beat
		x.text[fService] = "made-up"
		x.text[fInstance] = fmt.Sprint(i)
		t.touch(&x, now, "")
	}
}

// cpuTime is what this process has used so far in all its threads: on a busy
// machine it tells more than the clock on the wall.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
