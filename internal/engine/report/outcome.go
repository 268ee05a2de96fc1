// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package report

// Outcome is how a call or a probe ended. The phase in which it failed tells
// the failure models apart (ENGINE §2.2 of the design notes).
type Outcome uint8

// Values of Outcome.
const (
	OutcomeUnset          Outcome = iota
	OutcomeOK                     // answered as asked
	OutcomeRefused                // connection refused: host and path alive, port dead
	OutcomeReset                  // reset, EOF or broken pipe on an established connection
	OutcomeConnectTimeout         // could not connect in time
	OutcomeTimeout                // connected or unknown, and no answer in time
	OutcomeNoAnswer               // connected for certain, then silence
	OutcomeUnreachable            // no route to host or network
	OutcomeDNS                    // name not found, or name service failed
	OutcomeTLS                    // handshake or certificate failed
	OutcomeUnavailable            // 502, 503, 504 or gRPC UNAVAILABLE without a telling message
	OutcomeOverloaded             // 429, RESOURCE_EXHAUSTED, 503 with Retry-After
	OutcomeServerError            // the callee answered with a failure of its own (500, gRPC INTERNAL, UNKNOWN, DATA_LOSS)
	OutcomeClientError            // the callee answered that the request is bad (4xx): it is alive
	OutcomeWrongAnswer            // answered in time and wrongly: schema, checksum, digest
	OutcomeCanceled               // the caller gave up by itself
	OutcomeDown                   // failed, and nobody said how (scrape `up` = 0)
	OutcomeCircuitOpen            // the caller's breaker did not try: no evidence
	OutcomeOther                  // failed in a way that tells nothing
	OutcomeDiskFull               // the callee answered that its own disk is full
	OutcomeMemoryFull             // the callee answered that its own memory is used up
	OutcomeSent                   // sent on a connection that stood; whether an answer came is not told
	OutcomeUnacknowledged         // the kernel of the callee's machine acknowledges nothing
	NumOutcomes
)

var outcomeNames = [NumOutcomes]string{
	"unset", "ok", "refused", "reset", "connect timeout", "timeout", "no answer", "unreachable", "dns", "tls",
	"unavailable", "overloaded", "server error", "client error", "wrong answer", "canceled", "down", "circuit open", "other",
	"disk full", "memory full", "sent", "not acknowledged",
}

func (o Outcome) String() string {
	if o < NumOutcomes {
		return outcomeNames[o]
	}
	return "invalid"
}

// Failed says whether the call did not do what was asked through no fault of
// the request.
func (o Outcome) Failed() bool {
	return o != OutcomeUnset && o != OutcomeOK && o != OutcomeClientError && o != OutcomeSent
}

// Answered says whether the callee itself was heard: it is alive and reachable.
func (o Outcome) Answered() bool {
	switch o {
	case OutcomeOK, OutcomeClientError, OutcomeServerError, OutcomeWrongAnswer, OutcomeOverloaded, OutcomeDiskFull, OutcomeMemoryFull:
		return true
	}
	return false
}

// Crossed says how sure it is, 0-1, that packets went both ways, and silent that
// nothing came back. Where both are 0 the outcome says nothing of the network. A
// probe connects anew each time, so one that connected has crossed; a call may
// go by a connection made long ago.
func (o Outcome) Crossed(probe bool) (crossed, silent float64) {
	switch o {
	case OutcomeConnectTimeout, OutcomeUnreachable, OutcomeUnacknowledged:
		return 0, 1
	case OutcomeNoAnswer:
		if probe {
			return 1, 0
		}
		return 0, MayBeSlow
	case OutcomeTimeout:
		return 0, MayBeSlow
	case OutcomeRefused, OutcomeReset, OutcomeTLS:
		return 1, 0
	}
	if o.Answered() {
		return 1, 0
	}
	return 0, 0
}

// MayBeSlow is how much it counts: no answer in time may be the callee's slowness as well.
const MayBeSlow = 0.5
