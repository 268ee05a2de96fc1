// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

// where a wording must stand to count.
type place uint8

const (
	anywhere  place = iota
	wholeWord       // not inside a longer word
	atStart         // at the start of the text
	atEnd           // at its end
)

// wording is text, in lower case, and what it says. Matching folds case.
type wording struct {
	text  string
	says  meaning
	place place
}

// callWordings are the words of calls that fail, in the messages of spans and in log
// lines, as many libraries write them. What one library alone writes stands in
// clientWordings, what the callee itself answers in replyWordings, what a process says of
// itself in ownWordings, and whose failure an error is in errorWordings. Collected from
// what Go, Java (netty, Apache, OkHttp, Hikari), Python (requests, urllib3, httpx, aiohttp,
// asyncio, grpc, psycopg), Node, .NET, Rust, Envoy and the kernel print. Error numbers are
// those of Linux and, from 10000 on, of Windows.
var callWordings = []wording{
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
	{"socket error", saysBroken, anywhere}, // MariaDB's driver, of any
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
	{"read etimedout", saysEstablished, anywhere},
	{"write etimedout", saysEstablished, anywhere},
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
	// Envoy's, of any connection that did not come about, TLS included.
	{"reset reason: connection failure", saysUnavailable, anywhere},
	{"remote connection failure", saysUnavailable, anywhere},
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
	{"in name resolution", saysName, anywhere}, // "name resolution: 0.003s" is how long it took
	{"name resolution fail", saysName, anywhere},
	{"name resolution error", saysName, anywhere},
	{"name resolution timed out", saysName | saysTimeout, anywhere},
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
	{"eai_again", saysName | saysTimeout, anywhere}, // its name server gave no answer
	{"temporary failure in name", saysName | saysTimeout, anywhere},
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
	{"too many open connections", saysOverloaded, anywhere},    // memcached, MongoDB
	{"maximum connections exceeded", saysOverloaded, anywhere}, // NATS
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
	{"pool is exhausted", saysPool, anywhere},
	{"a client to checkout a connection has timed out", saysPool, anywhere}, // c3p0
	{"getconnectiontimeoutexception", saysPool, anywhere},                   // Druid
	{"no managed connections available", saysPool, anywhere},                // IronJacamar
	{"universal connection pool are in use", saysPool, anywhere},            // Oracle
	{"while waiting for a connection to server", saysPool, anywhere},        // MongoDB's drivers
	{"while checking out a connection", saysPool, anywhere},                 // and others of them
	{"connectionacquiretimeout", saysPool, anywhere},                        // Sequelize
	{"retrieve connection from pool timeout", saysPool, anywhere},           // MariaDB's for Node
	{"all pooled connections are in use", saysPool, anywhere},               // MySqlConnector
	{"all pooled connections were in use", saysPool, anywhere},              // Rails, SqlClient
	{"connectionpool::timeout", saysPool, anywhere},                         // Ruby
	{"waiting for a slot to become available", saysPool, anywhere},          // deadpool
	{"timed out in bb8", saysPool, anywhere},
	{"pool reached maximum size", saysPool, anywhere},             // urllib3, where it blocks
	{"pool#acquire(duration)", saysPool, anywhere},                // reactor-pool
	{"connectionpooltoobusy", saysPool, anywhere},                 // Vert.x
	{"pool reached max wait queue size", saysPool, anywhere},      // and its words
	{"waitqueuefull", saysPool, anywhere},                         // MongoDB's drivers
	{"already waiting for a connection", saysPool, anywhere},      // and their words
	{"wait queue for acquiring a connection", saysPool, anywhere}, // that for .NET
	{"busypoolexception", saysPool, anywhere},                     // Cassandra's for Java
	{"no streams available on connection", saysPool, anywhere},    // and for Go
	// They have no connection at all: HikariCP, Tomcat, Druid and MariaDB's for Node.
	{"(total=0,", saysUnfilled, anywhere},
	{"available[size:0;", saysUnfilled, anywhere},
	{"active 0, maxactive", saysUnfilled, anywhere},
	{"(pool connections: active=0 idle=0", saysUnfilled, anywhere},

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
	{"jsoneofexception", saysDecode | saysParser, anywhere},
	{"unexpected end-of-input", saysDecode, anywhere},
	{"jsondecodingexception", saysDecode, anywhere},
	{"jsondataexception", saysDecode, anywhere},
	{"jsonencodingexception", saysDecode, anywhere},
	{"eof while parsing", saysDecode | saysParser, anywhere}, // serde
	{"jsonreaderexception", saysDecode, anywhere},
	{"text.json.jsonexception", saysDecode, anywhere},
	{"mismatchedinputexception", saysDecode, anywhere},
	{"deserializationexception", saysDecode, anywhere},
	{"error deserializing", saysDecode, anywhere}, // Kafka's clients
	{"failed to deserialize", saysDecode, anywhere},
	{"messageconversionexception", saysDecode, anywhere}, // Spring's listeners
	{"invalidprotocolbuffer", saysDecode, anywhere},
	{"contentdecodingerror", saysDecode, anywhere},
	{"invalid wire-format", saysDecode, anywhere},
	{"malformed response", saysDecode, anywhere},
	{"illegal status line", saysDecode, anywhere},
	{"invalid status line", saysDecode, anywhere},
	{"unexpected status line", saysDecode, anywhere},
	{"malformed status line", saysDecode, anywhere},
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
}
