// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
)

// tcpTarget connects and, where something is expected, listens to what the
// server says first. A stopped process still accepts: only a greeting shows it.
type tcpTarget struct {
	address string
	expect  expectation
	dialer  net.Dialer
}

func (t *tcpTarget) probe(ctx context.Context) Result {
	var at tracker
	start := time.Now()
	conn, err := t.dialer.DialContext(at.watch(ctx), "tcp", t.address)
	if err != nil {
		return failure(err, at.phase())
	}
	defer conn.Close()
	if !t.expect.ofBody() {
		return Result{Outcome: contract.OutcomeOK, RTT: time.Since(start)}
	}
	// Cancelling must interrupt the read, as the deadline does.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	return t.listen(conn, start)
}

// maxGreeting is how much of a greeting is looked at, in bytes.
const maxGreeting = 64 << 10

func (t *tcpTarget) listen(conn net.Conn, start time.Time) Result {
	var said []byte
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		said = append(said, buf[:n]...)
		if t.expect.matches(said) && len(said) > 0 {
			return Result{Outcome: contract.OutcomeOK, RTT: time.Since(start)}
		}
		switch {
		case err != nil && len(said) == 0:
			return failure(err, phaseWait)
		case err != nil, len(said) > maxGreeting:
			// It spoke, and what it said was not it.
			return Result{Outcome: contract.OutcomeWrongAnswer, RTT: time.Since(start), Message: t.expect.missing()}
		}
	}
}

func (t *tcpTarget) close() {}
