// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"

	"github.com/faultline-otel/faultline/internal/contract"
)

// phase is how far a probe came. A silence means something else in each.
type phase int32

const (
	phaseResolve   phase = iota // the name is looked up
	phaseConnect                // SYN sent
	phaseHandshake              // connected; TLS where there is any
	phaseWait                   // request sent or being sent
	phaseAnswer                 // the answer has begun
)

// tracker follows a probe's phase. Dialling races several addresses, so that
// the furthest phase counts.
type tracker struct{ at atomic.Int32 }

func (t *tracker) phase() phase { return phase(t.at.Load()) }

func (t *tracker) reach(p phase) {
	for {
		old := t.at.Load()
		if old >= int32(p) || t.at.CompareAndSwap(old, int32(p)) {
			return
		}
	}
}

// again starts over, for a redirect.
func (t *tracker) again() { t.at.Store(int32(phaseResolve)) }

// watch makes what is dialled and asked under the returned context move t.
func (t *tracker) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		ConnectStart: func(_, _ string) { t.reach(phaseConnect) },
		ConnectDone: func(_, _ string, err error) {
			if err == nil {
				t.reach(phaseHandshake)
			}
		},
		GotConn:              func(httptrace.GotConnInfo) { t.reach(phaseWait) },
		GotFirstResponseByte: func() { t.reach(phaseAnswer) },
	})
}

// failure turns an error into a result by its type and by the phase it came in.
func failure(err error, at phase) Result {
	// A url.Error repeats the URL, whose query may hold a secret.
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	r := Result{Outcome: outcomeOf(err, at), Message: err.Error()}
	switch {
	case r.Outcome == contract.OutcomeNoAnswer:
		r.Message = "connected, then no answer in time"
		if at == phaseAnswer {
			r.Message = "the answer did not end in time"
		}
	case r.Outcome == contract.OutcomeTimeout:
		r.Message = "could not connect in time"
	case isOurFault(err):
		r.Message = "the observer itself could not ask: " + r.Message
	case r.Outcome == contract.OutcomeReset && errors.Is(err, io.EOF):
		r.Message = "the connection was closed without an answer"
	}
	return r
}

func outcomeOf(err error, at phase) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return contract.OutcomeDNS
	case isRefused(err):
		return contract.OutcomeRefused
	case isUnreachable(err):
		return contract.OutcomeUnreachable
	case isTimeout(err):
		switch at {
		case phaseResolve:
			return contract.OutcomeDNS
		case phaseConnect:
			return contract.OutcomeTimeout
		}
		return contract.OutcomeNoAnswer
	case isReset(err), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return contract.OutcomeReset
	case isTLS(err), at == phaseHandshake && !isOurFault(err):
		return contract.OutcomeTLS
	case at == phaseAnswer:
		return contract.OutcomeWrongAnswer
	}
	return contract.OutcomeError
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// isTLS knows what the two ends of a handshake complain of. An alert has no
// exported type: crypto/tls wraps it in an OpError that names whose it was.
func isTLS(err error) bool {
	var (
		verify  *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		op      *net.OpError
	)
	return errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &invalid) ||
		errors.As(err, &unknown) || errors.As(err, &host) || errors.Is(err, http.ErrSchemeMismatch) ||
		errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}
