// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import "github.com/faultline-otel/faultline/internal/engine"

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
	saysCircuit
	saysCanceled
	saysDecode    // the answer could not be understood
	saysIntegrity // checksum, signature or digest

	// What a database answers (replies.go).
	saysTheirDisk   // its own disk is full
	saysTheirMemory // its own memory is used up
	saysNotServing  // it does not serve for now: it starts, loads, has no master
	saysUndecided   // it answered, and that tells nobody's failure
	saysRequest     // the request is at fault, or in conflict with another

	// About the process that says it.
	saysDescriptors
	saysThreads
	saysPorts
	saysDisk
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

// where a wording must stand to count.
type place uint8

const (
	anywhere  place = iota
	wholeWord       // not inside a longer word
	atStart         // at the start of the text
)

// wording is text, in lower case, and what it says. Matching folds case.
type wording struct {
	text  string
	says  meaning
	place place
}

// wordings and replyWordings are where words get their meaning, for the messages
// of spans and for log lines. Collected from what Go, Java (netty, Apache, OkHttp,
// Hikari), Python (requests, urllib3, httpx, aiohttp, asyncio, grpc, psycopg),
// Node, .NET, Rust, Envoy and the kernel print. Error numbers are those of Linux
// and, from 10000 on, of Windows.
var wordings = []wording{
	{"connection refused", saysRefused, anywhere},
	{"connection was refused", saysRefused, anywhere},
	{"connectionrefused", saysRefused, anywhere},
	{"connection_refused", saysRefused, anywhere},
	{"econnrefused", saysRefused, anywhere},
	{"actively refused", saysRefused, anywhere},
	{"errno 111", saysRefused, wholeWord},
	{"errno 61", saysRefused, wholeWord},
	{"error 111", saysRefused, wholeWord},
	{"os error 10061", saysRefused, anywhere},
	{"connect error: 111", saysRefused, wholeWord},

	{"connection reset", saysReset, anywhere},
	{"connectionreset", saysReset, anywhere},
	{"reset by peer", saysReset, anywhere},
	{"econnreset", saysReset, anywhere},
	{"econnaborted", saysReset, anywhere},
	{"broken pipe", saysReset, anywhere},
	{"brokenpipe", saysReset, anywhere},
	{"epipe", saysReset, wholeWord},
	{"socket hang up", saysReset, anywhere},
	{"eof", saysReset, wholeWord},
	{"eofexception", saysReset, anywhere},
	{"eoferror", saysReset, anywhere},
	{"connection aborted", saysReset, anywhere},
	{"connectionaborted", saysReset, anywhere},
	{"remotedisconnected", saysReset, anywhere},
	{"serverdisconnected", saysReset, anywhere},
	{"server disconnected", saysReset, anywhere},
	{"closed connection without", saysReset, anywhere},
	{"premature close", saysReset, anywhere},
	{"prematureclose", saysReset, anywhere},
	{"ended prematurely", saysReset, anywhere},
	{"prematurely closed", saysReset, anywhere},
	{"connection closed", saysReset, anywhere},
	{"connection was closed", saysReset, anywhere},
	{"closed the connection", saysReset, anywhere},
	{"closedchannelexception", saysReset, anywhere},
	{"forcibly closed", saysReset, anywhere},
	{"transport is closing", saysReset, anywhere},
	{"error reading from server", saysReset, anywhere},
	{"stream removed", saysReset, anywhere},
	{"goaway", saysReset, wholeWord},
	{"incompleteread", saysReset, anywhere},
	{"nohttpresponse", saysReset, anywhere},
	{"failed to respond", saysReset, anywhere},
	{"other side closed", saysReset, anywhere},
	{"und_err_socket", saysReset, anywhere},
	{"hpe_invalid_eof", saysReset, anywhere},
	{"socket closed", saysReset, anywhere},
	{"connection is closed", saysReset, anywhere},
	{"connection terminated", saysReset, anywhere},
	{"terminating connection", saysReset, anywhere},
	{"connection lost", saysReset, anywhere},
	{"lost connection", saysReset, anywhere},
	{"server has gone away", saysReset, anywhere},
	{"unexpectedclose", saysReset, anywhere},
	{"unexpected end of file", saysReset, anywhere},
	{"unexpected end of stream", saysReset, anywhere},
	{"end of file reached", saysReset, anywhere},
	{"sending to the backend", saysBroken, anywhere},
	{"reading from stream", saysBroken, anywhere},
	{"communications link failure", saysBroken, anywhere},
	{"bad connection", saysBroken, wholeWord},
	{"reset reason: connection termination", saysReset, anywhere},
	{"reset reason: remote reset", saysReset, anywhere},
	{"errno 104", saysReset, wholeWord},
	{"errno 32", saysReset, wholeWord},
	{"os error 104", saysReset, wholeWord},
	{"os error 32", saysReset, wholeWord},
	{"os error 10054", saysReset, anywhere},

	{"timeout", saysTimeout, wholeWord},
	{"timed out", saysTimeout, anywhere},
	// libpq and pg: connected or not, the server had not let it in. A PostgreSQL
	// that is stopped still accepts.
	{"timeout expired", saysTimeout | saysEstablished, anywhere},
	{"terminated due to connection timeout", saysEstablished, anywhere},
	{"time-out", saysTimeout, wholeWord},
	{"deadline exceeded", saysTimeout, anywhere},
	{"deadlineexceeded", saysTimeout, anywhere},
	{"deadline_exceeded", saysTimeout, anywhere},
	{"timeouterror", saysTimeout, anywhere},
	{"timeoutexception", saysTimeout, anywhere},
	{"timeoutexceeded", saysTimeout, anywhere},
	{"readtimeout", saysTimeout | saysEstablished, anywhere},
	{"writetimeout", saysTimeout | saysEstablished, anywhere},
	{"read timed out", saysTimeout | saysEstablished, anywhere},
	{"read operation timed out", saysTimeout | saysEstablished, anywhere},
	{"timeout awaiting response headers", saysTimeout | saysEstablished, anywhere},
	{"timeout reading", saysTimeout | saysEstablished, anywhere},
	{"timeout on reading", saysTimeout | saysEstablished, anywhere},
	{"headers_timeout", saysTimeout | saysEstablished, anywhere},
	{"headerstimeout", saysTimeout | saysEstablished, anywhere},
	{"body_timeout", saysTimeout | saysEstablished, anywhere},
	// Go says "while awaiting headers" of a dial that is still under way, too:
	// it proves no connection, and takes none back.
	{"client.timeout exceeded", saysTimeout, anywhere},
	{"httpclient.timeout", saysTimeout, anywhere},
	{"esockettimedout", saysTimeout, anywhere},
	{"period of time", saysTimeout, anywhere},
	{"etimedout", saysTimedOut, anywhere},
	{"connection timed out", saysTimedOut, anywhere},
	{"errno 110", saysTimedOut, wholeWord},
	{"os error 110", saysTimedOut, wholeWord},
	{"connect etimedout", saysConnectTimeout, anywhere},
	{"connect timed out", saysConnectTimeout, anywhere},
	{"connect timeout", saysConnectTimeout, anywhere},
	{"connecttimeout", saysConnectTimeout, anywhere},
	{"connect_timeout", saysConnectTimeout, anywhere},
	{"connectiontimeout", saysConnectTimeout, anywhere},
	{"timeout connecting", saysConnectTimeout, anywhere},
	{"connection timeout", saysConnectTimeout, anywhere},
	{"connect error: 110", saysConnectTimeout, wholeWord},
	{"connection attempt failed", saysConnectTimeout, anywhere},
	{"os error 10060", saysConnectTimeout, anywhere},

	{"dial tcp", saysConnecting, anywhere},
	{"dial unix", saysConnecting, anywhere},
	{"while dialing", saysConnecting, anywhere},
	{"connect call failed", saysConnectFailed | saysConnecting, anywhere},
	{"connection to server at", saysConnecting, anywhere},
	{"error connecting", saysConnecting, anywhere},
	{"newconnectionerror", saysConnectFailed | saysConnecting, anywhere},
	{"failed to establish a new connection", saysConnectFailed | saysConnecting, anywhere},
	{"failed to connect", saysConnectFailed | saysConnecting, anywhere},
	{"could not connect", saysConnectFailed | saysConnecting, anywhere},
	{"can't connect", saysConnectFailed | saysConnecting, anywhere},
	{"cannot connect", saysConnectFailed | saysConnecting, anywhere},
	{"unable to connect", saysConnectFailed | saysConnecting, anywhere},
	{"not possible to connect", saysConnectFailed | saysConnecting, anywhere},
	{"connectexception", saysConnectFailed | saysConnecting, anywhere},
	{"reset reason: connection failure", saysConnectFailed, anywhere},
	{"remote connection failure", saysConnectFailed, anywhere},
	{"read tcp", saysEstablished, anywhere},
	{"write tcp", saysEstablished, anywhere},
	{"while reading response header from upstream", saysEstablished, anywhere},
	{"while reading upstream", saysEstablished, anywhere},
	{"while sending request to upstream", saysEstablished, anywhere},
	{"while connecting to upstream", saysConnecting, anywhere},
	{"could not receive data from server", saysEstablished, anywhere},
	{"could not send data to server", saysEstablished, anywhere},

	{"no route to host", saysUnreachable, anywhere},
	{"noroutetohost", saysUnreachable, anywhere},
	{"ehostunreach", saysUnreachable, anywhere},
	{"enetunreach", saysUnreachable, anywhere},
	{"network is unreachable", saysUnreachable, anywhere},
	{"network unreachable", saysUnreachable, anywhere},
	{"host is unreachable", saysUnreachable, anywhere},
	{"host unreachable", saysUnreachable, anywhere},
	{"unreachable network", saysUnreachable, anywhere},
	{"unreachable host", saysUnreachable, anywhere},
	{"host is down", saysUnreachable, anywhere},
	{"errno 113", saysUnreachable, wholeWord},
	{"errno 101", saysUnreachable, wholeWord},
	{"os error 113", saysUnreachable, wholeWord},
	{"os error 101", saysUnreachable, wholeWord},
	{"connect error: 113", saysUnreachable, wholeWord},

	{"no such host", saysName, anywhere},
	{"server misbehaving", saysName, anywhere},
	{"dial tcp: lookup", saysName, anywhere},
	{"name or service not known", saysName, anywhere},
	{"name does not resolve", saysName, anywhere},
	{"name resolution", saysName, anywhere},
	{"nameresolution", saysName, anywhere},
	{"name resolver error", saysName, anywhere},
	{"nodename nor servname", saysName, anywhere},
	{"no address associated with hostname", saysName, anywhere},
	{"failed to resolve", saysName, anywhere},
	{"could not resolve", saysName, anywhere},
	{"dns resolution failed", saysName, anywhere},
	{"dns lookup failed", saysName, anywhere},
	{"errors resolving", saysName, anywhere},
	{"address lookup failed", saysName, anywhere},
	{"could not translate host name", saysName, anywhere},
	{"unresolvedaddress", saysName, anywhere},
	{"getaddrinfo", saysName, anywhere},
	{"gaierror", saysName, anywhere},
	{"enotfound", saysName, anywhere},
	{"eai_again", saysName, anywhere},
	{"unknownhost", saysName, anywhere},
	{"unknown host", saysName, anywhere},
	{"*net.dnserror", saysName, anywhere},
	{"nxdomain", saysName, anywhere},
	{"servfail", saysName, anywhere},

	{"tls handshake timeout", saysTLSTimeout, anywhere},
	{"x509:", saysTLS, anywhere},
	{"tls:", saysTLS, wholeWord},
	{"handshake failed", saysTLS, anywhere},
	{"handshake failure", saysTLS, anywhere},
	{"handshake_failure", saysTLS, anywhere},
	{"sslhandshake", saysTLS, anywhere},
	{"ssl handshake", saysTLS, anywhere},
	{"sslerror", saysTLS, anywhere},
	{"sslexception", saysTLS, anywhere},
	{"sslcertverification", saysTLS, anywhere},
	{"ssl connection could not be established", saysTLS, anywhere},
	{"security.authentication.authenticationexception", saysTLS, anywhere},
	{"certificate verify failed", saysTLS, anywhere},
	{"certificate_verify_failed", saysTLS, anywhere},
	{"certificate has expired", saysTLS, anywhere},
	{"cert_has_expired", saysTLS, anywhere},
	{"certificate is not trusted", saysTLS, anywhere},
	{"self-signed certificate", saysTLS, anywhere},
	{"self signed certificate", saysTLS, anywhere},
	{"self_signed_cert", saysTLS, anywhere},
	{"unable_to_verify_leaf", saysTLS, anywhere},
	{"unable to verify the first certificate", saysTLS, anywhere},
	{"unable to get local issuer", saysTLS, anywhere},
	{"pkix path", saysTLS, anywhere},
	{"err_tls", saysTLS, anywhere},
	{"err_ssl", saysTLS, anywhere},
	{"wrong version number", saysTLS, anywhere},

	{"no healthy upstream", saysUnavailable, anywhere},
	{"service unavailable", saysUnavailable, anywhere},
	{"serviceunavailable", saysUnavailable, anywhere},
	{"bad gateway", saysUnavailable, anywhere},
	{"max retries per request", saysUnavailable, anywhere}, // ioredis: of reconnecting
	{"broker not connected", saysUnavailable, anywhere},
	{"no connection is available to service", saysUnavailable, anywhere},
	{"no connection is active/available to service", saysUnavailable, anywhere},

	{"too many requests", saysOverloaded, anywhere},
	{"toomanyrequests", saysOverloaded, anywhere},
	{"resource exhausted", saysOverloaded, anywhere},
	{"resourceexhausted", saysOverloaded, anywhere},
	{"resource_exhausted", saysOverloaded, anywhere},
	{"rate limit", saysOverloaded, anywhere},
	{"ratelimit", saysOverloaded, anywhere},
	{"throttled", saysOverloaded, anywhere},
	{"throttling", saysOverloaded, anywhere},
	{"quota exceeded", saysOverloaded, anywhere},
	{"quotaexceeded", saysOverloaded, anywhere},
	{"too many connections", saysOverloaded, anywhere},
	{"too many clients", saysOverloaded, anywhere},
	{"connection slots are reserved", saysOverloaded, anywhere},
	{"reset reason: overflow", saysOverloaded, anywhere},

	{"waiting for connection from pool", saysPool, anywhere},
	{"timed out waiting for connection", saysPool, anywhere},
	{"timed out waiting for a connection", saysPool, anywhere},
	{"timed out waiting for available connection", saysPool, anywhere},
	{"connection is not available, request timed out", saysPool, anywhere},
	{"pool exhausted", saysPool, anywhere},
	{"poolexhausted", saysPool, anywhere},
	{"queuepool limit", saysPool, anywhere},
	{"connection pool timeout", saysPool, anywhere},
	{"pooltimeout", saysPool, anywhere},
	{"poolacquiretimeout", saysPool, anywhere},
	{"pool timed out", saysPool, anywhere},
	{"obtaining a connection from the pool", saysPool, anywhere},
	{"timeout acquiring a connection", saysPool, anywhere},
	{"resourcerequest timed out", saysPool, anywhere},
	{"pool has been exhausted", saysPool, anywhere},
	{"pool is empty", saysPool, anywhere},
	{"emptypool", saysPool, anywhere},
	{"no connection available", saysPool, anywhere},
	{"no connections available", saysPool, anywhere},
	{"timeout waiting for idle object", saysPool, anywhere},
	{"timeout exceeded when trying to connect", saysPool, anywhere}, // pg-pool: all are in use
	{"connectionrequesttimeout", saysPool, anywhere},
	{"maxconnectionserror", saysPool, anywhere},
	{"connectionerror: too many connections", saysPool, anywhere}, // redis-py: its own
	{"couldn't get a connection after", saysPool, anywhere},
	{"acquire operation took longer", saysPool, anywhere},
	{"pending acquire queue", saysPool, anywhere},
	{"worker_connections are not enough", saysPool, anywhere},

	{"circuit breaker is open", saysCircuit, anywhere},
	{"breaker is open", saysCircuit, anywhere},
	{"breaker still open", saysCircuit, anywhere},
	{"circuit is open", saysCircuit, anywhere},
	{"circuit is now open", saysCircuit, anywhere},
	{"circuit open", saysCircuit, anywhere},
	{"circuitopen", saysCircuit, anywhere},
	{"brokencircuit", saysCircuit, anywhere},
	{"callnotpermitted", saysCircuit, anywhere},
	{"does not permit further calls", saysCircuit, anywhere},
	{"eopenbreaker", saysCircuit, anywhere},

	{"canceled", saysCanceled, wholeWord},
	{"cancelled", saysCanceled, wholeWord},
	{"cancellederror", saysCanceled, anywhere},
	{"canceledexception", saysCanceled, anywhere},
	{"cancellationexception", saysCanceled, anywhere},
	{"aborterror", saysCanceled, anywhere},
	{"operation was aborted", saysCanceled, anywhere},
	{"user aborted a request", saysCanceled, anywhere},

	{"jsondecodeerror", saysDecode, anywhere},
	{"jsonparseexception", saysDecode, anywhere},
	{"unexpected end of json", saysDecode, anywhere},
	{"cannot unmarshal", saysDecode, anywhere},
	{"looking for beginning of value", saysDecode, anywhere},
	{"malformed http", saysDecode, anywhere},
	{"unexpected token", saysDecode, anywhere}, // JSON.parse
	{"is not valid json", saysDecode, anywhere},
	{"malformedjsonexception", saysDecode, anywhere},
	{"jsonsyntaxexception", saysDecode, anywhere},
	{"jsonreaderexception", saysDecode, anywhere},
	{"text.json.jsonexception", saysDecode, anywhere},
	{"mismatchedinputexception", saysDecode, anywhere},
	{"invalidprotocolbuffer", saysDecode, anywhere},
	{"contentdecodingerror", saysDecode, anywhere},
	{"invalid wire-format", saysDecode, anywhere},
	{"malformed response", saysDecode, anywhere},
	{"status line", saysDecode, anywhere}, // illegal, invalid, unexpected
	{"badstatusline", saysDecode, anywhere},
	{"does not match the http", saysDecode, anywhere},
	{"parse error: expected http", saysDecode, anywhere},
	{"failed parsing http", saysDecode, anywhere},
	{"checksum mismatch", saysIntegrity, anywhere},
	{"bad checksum", saysIntegrity, anywhere},
	{"digest mismatch", saysIntegrity, anywhere},
	{"hash mismatch", saysIntegrity, anywhere},
	{"crc mismatch", saysIntegrity, anywhere},
	{"signature mismatch", saysIntegrity, anywhere},
	{"bad signature", saysIntegrity, anywhere},
	{"invalid mac", saysIntegrity, wholeWord},
	{"data corruption", saysIntegrity, anywhere},
	{"is corrupted", saysIntegrity, anywhere},
	{"uncorrectable ecc", saysIntegrity, anywhere},
	{"uncorrected ecc", saysIntegrity, anywhere},

	{"too many open files", saysDescriptors, anywhere},
	{"emfile", saysDescriptors, wholeWord},
	{"enfile", saysDescriptors, wholeWord},
	{"no file descriptors available", saysDescriptors, anywhere},
	{"cannot assign requested address", saysPorts, anywhere},
	{"can't assign requested address", saysPorts, anywhere},
	{"eaddrnotavail", saysPorts, wholeWord},
	{"lacked sufficient buffer space", saysPorts, anywhere}, // WSAENOBUFS
	{"create new native thread", saysThreads, anywhere},
	{"create native thread", saysThreads, anywhere},
	{"can't start new thread", saysThreads, anywhere},
	{"pthread_create failed", saysThreads, anywhere},
	{"failed to create new os thread", saysThreads, anywhere},
	{"failed to create thread", saysThreads, anywhere},
	{"cannot create thread", saysThreads, anywhere},
	{"fork: resource temporarily unavailable", saysThreads, anywhere},
	{"no space left on device", saysDisk, anywhere},
	{"enospc", saysDisk, wholeWord},
	{"edquot", saysDisk, wholeWord},
	{"disk quota exceeded", saysDisk, anywhere},
	{"not enough space on the disk", saysDisk, anywhere},
	{"disk full", saysDisk, anywhere},
	{"disk is full", saysDisk, anywhere},
	{"disk resource limit alarm set", saysDisk, anywhere},
	{"free disk space is insufficient", saysDisk, anywhere},
	{"flood stage disk watermark", saysDisk, anywhere},
	{"read-only file system", saysDisk, anywhere},
	{"erofs", saysDisk, wholeWord},
	{"out of memory", saysMemory, anywhere},
	{"perhaps out of memory", saysGuess, anywhere}, // gunicorn, of any worker that was killed
	{"memory resource limit alarm set", saysMemory, anywhere},
	{"outofmemory", saysMemory, anywhere},
	{"cannot allocate memory", saysMemory, anywhere},
	{"memoryerror", saysMemory, wholeWord},
	{"bad_alloc", saysMemory, anywhere},
	{"enomem", saysMemory, wholeWord},
	{"java heap space", saysMemory, anywhere},
	{"gc overhead limit exceeded", saysMemory, anywhere},
	{"oom-kill", saysOOMKill, anywhere},
	{"killed by the oom", saysOOMKill, anywhere},
	{"out of memory: kill", saysOOMKill, anywhere},

	{"panic: ", saysPanic, atStart},
	{"fatal error: ", saysPanic, atStart},
	{"unhandled exception", saysPanic, atStart},
	{"uncaught exception", saysPanic, atStart},
	{"uncaughtexception", saysPanic, anywhere},
	{"exception in thread", saysPanic, atStart},
	{"traceback (most recent call last)", saysPanic, atStart},
	{"terminate called", saysPanic, atStart},
	{"fatal python error", saysPanic, anywhere},
	{"' panicked at", saysPanic, anywhere},
	{"error has been detected by the java runtime", saysPanic, anywhere},
	{"sigsegv", saysPanic, anywhere},
	{"sigabrt", saysPanic, anywhere},
	{"sigbus", saysPanic, wholeWord},
	{"segmentation fault", saysPanic, anywhere},
	{"segmentation violation", saysPanic, anywhere},
	{"core dumped", saysPanic, anywhere},
	{"recovered", saysRecovered, anywhere},
	{"recovering", saysRecovered, anywhere},
	{"panic serving", saysRecovered, anywhere},

	{"sigterm", saysStopping, anywhere},
	{"sigint", saysStopping, wholeWord},
	{"signal terminated", saysStopping, anywhere},
	{"signal: terminated", saysStopping, anywhere},
	{"signal interrupt", saysStopping, anywhere},
	{"signal: interrupt", saysStopping, anywhere},
	{"terminating on signal 15", saysStopping, anywhere},
	{"shutting down", saysStopping, anywhere},
	{"graceful shutdown", saysStopping, anywhere},
	{"graceful stop", saysStopping, anywhere},
	{"gracefully shut", saysStopping, anywhere},
	{"gracefully stop", saysStopping, anywhere},
	{"stopping gracefully", saysStopping, anywhere},
	{"stopping server", saysStopping, anywhere},
	{"stopping service", saysStopping, wholeWord},
	{"closing org.springframework", saysStopping, anywhere},
	{"handler", saysNotStopping, wholeWord},
	{"waiting for sig", saysNotStopping, anywhere},
	{"listening for sig", saysNotStopping, anywhere},
	{"shutting down client", saysNotStopping, anywhere},
	{"shutting down connection", saysNotStopping, anywhere},
	{"shutting down idle", saysNotStopping, anywhere},
	{"shutting down session", saysNotStopping, anywhere},
	{"shutting down channel", saysNotStopping, anywhere},
	{"shutting down stream", saysNotStopping, anywhere},
	{"shutting down worker", saysNotStopping, anywhere},
	{"shutting down thread", saysNotStopping, anywhere},
	{"shutting down pool", saysNotStopping, anywhere},
	{"shutting down executor", saysNotStopping, anywhere},
	{"shutting down consumer", saysNotStopping, anywhere},
	{"shutting down producer", saysNotStopping, anywhere},
	{"shutting down subscription", saysNotStopping, anywhere},

	{"listening on", saysStarted, anywhere},
	{"server started", saysStarted, anywhere},
	{"application started", saysStarted, anywhere},
	{"application startup complete", saysStarted, anywhere},
	{"started application", saysStarted, anywhere},
	{"ready to accept connections", saysStarted, anywhere},
	{"ready for connections", saysStarted, anywhere},
	{"process running for", saysStarted, anywhere},
	{"jvm running for", saysStarted, anywhere},
}

// outcome is how a call ended of which m was said, most telling first. A
// look-up that was refused is a failure of the name service, and a pool or
// breaker in the caller is no word about the callee, so they come before what
// the rest of the text says.
func (m meaning) outcome() engine.Outcome {
	has := func(one meaning) bool { return m&one != 0 }
	switch {
	case has(saysCircuit):
		return engine.OutcomeCircuitOpen
	case has(saysPool | saysDescriptors | saysThreads):
		return engine.OutcomeOther // the caller's own want
	case has(saysName):
		return engine.OutcomeDNS
	case has(saysTLSTimeout):
		return engine.OutcomeNoAnswer
	case has(saysTLS):
		return engine.OutcomeTLS
	case has(saysRefused):
		return engine.OutcomeRefused
	case has(saysUnreachable):
		return engine.OutcomeUnreachable
	case has(saysTheirDisk):
		return engine.OutcomeDiskFull
	case has(saysTheirMemory):
		return engine.OutcomeMemoryFull
	case has(saysUndecided):
		return engine.OutcomeOther
	case has(saysNotServing):
		return engine.OutcomeUnavailable
	case has(saysRequest) && !has(saysReset|saysBroken|saysOverloaded):
		return engine.OutcomeClientError
	case has(saysConnectTimeout) && !has(saysEstablished),
		has(saysTimedOut) && !has(saysEstablished),
		has(saysTimeout) && has(saysConnecting) && !has(saysEstablished):
		return engine.OutcomeConnectTimeout
	case has(saysTimeout | saysTimedOut | saysConnectTimeout):
		return engine.OutcomeTimeout
	case has(saysReset | saysBroken):
		return engine.OutcomeReset
	case has(saysOverloaded):
		return engine.OutcomeOverloaded
	case has(saysDecode | saysIntegrity):
		return engine.OutcomeWrongAnswer
	case has(saysUnavailable):
		return engine.OutcomeUnavailable
	case has(saysConnectFailed) && !has(saysPorts):
		return engine.OutcomeRefused // by far the most frequent cause, and the others are named
	case has(saysCanceled):
		return engine.OutcomeCanceled
	case has(saysPorts):
		return engine.OutcomeOther // the caller's own want
	}
	return engine.OutcomeOther
}
