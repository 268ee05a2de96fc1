// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import "github.com/faultline-otel/faultline/internal/engine/report"

// meaning is what words say, one bit each: several may be said at once, and
// only together do they tell how a call ended.
type meaning uint64

const (
	// About a call.
	saysRefused meaning = 1 << iota
	saysReset
	saysBroken         // the connection broke; why is not told
	saysTimeout        // somebody ran out of time; at what, the others tell
	saysConnectTimeout // while connecting, for certain
	saysTimedOut       // ETIMEDOUT: while connecting, unless the connection stood
	saysConnecting     // the attempt to connect is what the text is about
	saysEstablished    // the connection stood
	saysConnectFailed  // could not connect; why is not told
	saysUnreachable
	saysName // name look-up
	saysTLS
	saysTLSTimeout // connected, and then not even a handshake
	saysUnavailable
	saysOverloaded
	saysPool
	saysUnfilled // a pool has nothing to give since it could not connect
	saysCircuit
	saysCanceled
	saysDecode    // the answer could not be understood
	saysIntegrity // checksum, signature or digest
	saysParser    // an end of file is that of a text that was parsed

	// What a database answers (replies.go).
	saysTheirDisk   // its own disk is full
	saysTheirMemory // its own memory is used up
	saysNotServing  // it does not serve for now: it starts, loads, has no master
	saysUndecided   // it answered, and that tells nobody's failure
	saysRequest     // the request is at fault, or in conflict with another

	// In errors that are another's (errorwordings.go).
	saysCallFailed // a call that was made failed; how is not told
	saysClients    // the client is at fault
	saysQuoted     // it quotes what somebody answered

	// About the process that says it.
	saysDescriptors
	saysThreads
	saysPorts
	saysDisk
	saysWatchers // it is watches of files that it speaks of
	saysMemory
	saysGuess // that memory ran out is a guess
	saysOOMKill
	saysPanic
	saysRecovered // it panicked and lives on
	saysStopping
	saysNotStopping // a part of it stops, or it only prepares for signals
	saysStarted
)

// aboutCall are the meanings that make a text one about a call.
const aboutCall = saysRefused | saysReset | saysTimeout | saysConnectTimeout | saysTimedOut | saysConnectFailed |
	saysUnreachable | saysName | saysTLS | saysTLSTimeout | saysBroken

// anySeverity are the meanings that are looked for in ordinary lines, too.
const anySeverity = saysPanic | saysStopping | saysStarted

// settled takes out what another meaning of the same text contradicts. A pool that
// holds no connection at all is not used up. An answer that ends too early for its parser
// has come, and its connection was not reset. A kernel without room for watches of
// files says that there is none on the device.
func (m meaning) settled() meaning {
	if m&saysUnfilled != 0 {
		m = m&^(saysPool|saysTimeout) | saysUnavailable
	}
	if m&saysParser != 0 {
		m &^= saysReset
	}
	if m&saysWatchers != 0 && m&saysDisk != 0 {
		m = m&^saysDisk | saysDescriptors
	}
	return m
}

// outcome is how a call ended of which m was said, most telling first. A
// look-up that was refused is a failure of the name service, and a pool or
// breaker in the caller is no word about the callee, so they come before what
// the rest of the text says.
func (m meaning) outcome() report.Outcome {
	has := func(one meaning) bool { return m&one != 0 }
	switch {
	case has(saysCircuit):
		return report.OutcomeCircuitOpen
	case has(saysPool | saysDescriptors | saysThreads):
		return report.OutcomeOther // the caller's own want
	case has(saysName):
		return report.OutcomeDNS
	case has(saysTLSTimeout):
		return report.OutcomeNoAnswer
	case has(saysTLS):
		return report.OutcomeTLS
	case has(saysRefused):
		return report.OutcomeRefused
	case has(saysUnreachable):
		return report.OutcomeUnreachable
	case has(saysTheirDisk):
		return report.OutcomeDiskFull
	case has(saysTheirMemory):
		return report.OutcomeMemoryFull
	case has(saysUndecided):
		return report.OutcomeOther
	case has(saysNotServing):
		return report.OutcomeUnavailable
	case has(saysRequest) && !has(saysReset|saysBroken|saysOverloaded):
		return report.OutcomeClientError
	case has(saysConnectTimeout) && !has(saysEstablished),
		has(saysTimedOut) && !has(saysEstablished),
		has(saysTimeout) && has(saysConnecting) && !has(saysEstablished):
		return report.OutcomeConnectTimeout
	case has(saysTimeout | saysTimedOut | saysConnectTimeout):
		return report.OutcomeTimeout
	case has(saysReset | saysBroken):
		return report.OutcomeReset
	case has(saysOverloaded):
		return report.OutcomeOverloaded
	case has(saysDecode | saysIntegrity):
		return report.OutcomeWrongAnswer
	case has(saysUnavailable):
		return report.OutcomeUnavailable
	case has(saysConnectFailed) && !has(saysPorts):
		return report.OutcomeRefused // by far the most frequent cause, and the others are named
	case has(saysCanceled):
		return report.OutcomeCanceled
	case has(saysPorts):
		return report.OutcomeOther // the caller's own want
	}
	return report.OutcomeOther
}
