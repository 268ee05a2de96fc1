// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

// clientWordings are words that one library alone writes when a call of its fails,
// by who writes them; what many have in common stands in callWordings.
var clientWordings = []wording{
	// Java: OkHttp, Apache, the JDK's own client, netty.
	{"stream was reset", saysReset, anywhere},
	{"premature end of content-length", saysReset, anywhere},
	{"premature end of chunk", saysReset, anywhere},
	{"truncatedchunk", saysReset, anywhere},
	{"header parser received no bytes", saysReset, anywhere},
	{"fixed content-length:", saysReset, anywhere},
	{"chunked transfer encoding, state", saysReset, anywhere},
	{"rst_stream", saysReset, anywhere},
	{"connection has been closed before", saysReset, anywhere},
	{"sslpeerunverified", saysTLS, anywhere},
	{"any of the subject alternative names", saysTLS, anywhere},
	{"fatal alert:", saysTLS, anywhere},
	{"certificateexpired", saysTLS, anywhere},
	{"certificatenotyetvalid", saysTLS, anywhere},
	{"not an ssl/tls record", saysTLS, anywhere},
	{"handshake timed out", saysTLSTimeout, anywhere},
	{"dnsnameresolver", saysName, anywhere},
	{"unable to resolve host", saysName, anywhere},
	{"failed to start thread", saysThreads, anywhere},

	// Spring's clients, of an answer of which they can make nothing.
	{"could not extract response", saysDecode, anywhere},
	{"unknowncontenttypeexception", saysDecode, anywhere},
	{"error while extracting response", saysDecode, anywhere},
	{"not supported for bodytype", saysDecode, anywhere},
	{"codec.decodingexception", saysDecode, anywhere},

	// Python: httpx, aiohttp.
	{"httpx.connecterror", saysConnectFailed | saysConnecting, anywhere},
	{"httpcore.connecterror", saysConnectFailed | saysConnecting, anywhere},
	{"all connection attempts failed", saysConnectFailed | saysConnecting, anywhere},
	{"httpx.readerror", saysBroken, anywhere},
	{"httpx.writeerror", saysBroken, anywhere},
	{"httpcore.readerror", saysBroken, anywhere},
	{"httpcore.writeerror", saysBroken, anywhere},
	{"response payload is not completed", saysReset, anywhere},
	{"cannot write to closing transport", saysReset, anywhere},
	{"timeout while contacting dns servers", saysName, anywhere},
	{"domain name not found", saysName, anywhere},

	// Node and Bun.
	{"client network socket disconnected", saysReset, anywhere},
	{"connection dropped", saysReset, anywhere}, // grpc-js
	{"does not match certificate's altnames", saysTLS, anywhere},
	{"unable_to_get_issuer_cert", saysTLS, anywhere},
	{"etimeout", saysTimeout, wholeWord}, // tedious, c-ares
	{"querya ", saysName, atStart},       // c-ares, of records of each type
	{"queryaaaa ", saysName, atStart},
	{"querysrv ", saysName, atStart},
	{"querytxt ", saysName, atStart},
	{"array buffer allocation failed", saysMemory, anywhere},

	// Go.
	{"stream error: stream id", saysReset, anywhere},
	{"server closed idle connection", saysReset, anywhere},
	{"gave http response to https client", saysTLS, anywhere},
	{"handshake failed: context deadline exceeded", saysTLSTimeout, anywhere},
	{":53: read udp", saysName, anywhere},
	{":53: dial udp", saysName, anywhere},

	// .NET. Its HttpRequestError is an error.type; connection_error is all that is told of a
	// connection that did not come about.
	{"connection_error", saysUnavailable, wholeWord},
	{"name_resolution_error", saysName, wholeWord},
	{"secure_connection_error", saysTLS, wholeWord},
	{"response_ended", saysReset, wholeWord},
	{"invalid_response", saysDecode, wholeWord},
	{"host_not_found", saysName, wholeWord},
	{"socketexception (11)", saysName, anywhere}, // its resolver may be asked again
	{"remote certificate is invalid", saysTLS, anywhere},
	{"remote certificate was rejected", saysTLS, anywhere},
	{"server reset the stream", saysReset, anywhere},
	{"invalid or unrecognized response", saysDecode, anywhere},
	{"insufficient memory to continue", saysMemory, anywhere},

	// Ruby.
	{"execution expired", saysTimeout, anywhere},
	{"opentimeout", saysConnectTimeout, anywhere},
	{"failed to open tcp connection", saysConnectFailed | saysConnecting, anywhere},
	{"faraday::connectionfailed", saysConnectFailed, anywhere},

	// cURL and PHP.
	{"empty reply from server", saysReset, anywhere},
	{"transfer closed with", saysReset, anywhere},
	{" milliseconds with ", saysTimeout | saysEstablished, anywhere}, // some bytes received
	{"was not closed cleanly", saysReset, anywhere},
	{"resolving timed out", saysName, anywhere},
	{"ssl certificate problem", saysTLS, anywhere},
	{"no alternative certificate subject name", saysTLS, anywhere},
	{"allowed memory size of", saysMemory, anywhere},

	// Rust: hyper, reqwest, tokio, rustls.
	{"error trying to connect", saysConnectFailed | saysConnecting, anywhere},
	{"tcp connect error", saysConnectFailed | saysConnecting, anywhere},
	{"deadline has elapsed", saysTimeout, anywhere},
	{"incompletemessage", saysReset, anywhere},
	{"h2 protocol error", saysBroken, anywhere},
	{"dns error", saysName, wholeWord},
	{"failed to lookup address", saysName, anywhere},
	{"invalid peer certificate", saysTLS, anywhere},
	{"error decoding response body", saysDecode, anywhere},
	{"memory allocation of", saysMemory, atStart},

	// gRPC.
	{"network closed for unknown reason", saysReset, anywhere},
	{"keepalive failed", saysTimeout | saysEstablished, anywhere},

	// Databases.
	{"no connection to the server", saysBroken, anywhere}, // libpq
	{"postmaster is accepting", saysRefused, anywhere},    // PostgreSQL's for Java
	{"timeout: pool empty", saysPool, anywhere},           // Tomcat
	{"invalid connection", saysBroken, atEnd},             // MySQL's for Go
	{"' (110)", saysTimedOut, atEnd},                      // and what is built on its library in C
	{"' (111)", saysRefused, atEnd},                       //
	{"' (113)", saysUnreachable, atEnd},                   //
	{"' (115)", saysTimedOut, atEnd},                      //
	{"unknown mysql server host", saysName, anywhere},     //
	{"unknown server host", saysName, anywhere},           // MariaDB's
	{"tns:no listener", saysRefused, anywhere},            // Oracle's
	{"no listener at host", saysRefused, anywhere},        //
	{"is not registered with the listener", saysUnavailable, anywhere},
	{"adapter could not establish the connection", saysConnectFailed | saysConnecting, anywhere},
	{"end-of-file on communication channel", saysReset, anywhere},
	{"no more data to read from socket", saysReset, anywhere},
	{"establishing a connection to sql server", saysConnectFailed | saysConnecting, anywhere},
	{"transport-level error has occurred", saysReset, anywhere},
	{"prematurely reached end of stream", saysReset, anywhere}, // MongoDB's
	{"mongonetworkerror", saysBroken, anywhere},
	{":27017 closed", saysReset, anywhere},    // its own words, for Node
	{"socketfailure on", saysReset, anywhere}, // StackExchange.Redis
	{"socketclosed on", saysReset, anywhere},
	{"unable to acquire connection! increase", saysPool, anywhere}, // Redisson
	{"no living connections", saysUnavailable, anywhere},           // Elasticsearch's
	{"nohostavailable", saysUnavailable, anywhere},                 // Cassandra's
	{"allnodesfailed", saysUnavailable, anywhere},                  //
	{"nonodeavailable", saysUnavailable, anywhere},

	// Brokers.
	{"disconnected from node", saysReset, anywhere},
	{"broker transport failure", saysBroken, anywhere},
	{"broker connections are down", saysUnavailable, anywhere},
	{"nobrokersavailable", saysUnavailable, anywhere},
	{"connection_forced", saysReset, anywhere},
	{"brokerunreachable", saysConnectFailed, anywhere},
	{"specified endpoints were reachable", saysConnectFailed, anywhere},

	// Quotas.
	{"throughputexceeded", saysOverloaded, anywhere},
	{"reduce your request rate", saysOverloaded, anywhere},
	{"requestlimitexceeded", saysOverloaded, anywhere},
	{"request rate is large", saysOverloaded, anywhere},
	{"exceeded your current quota", saysOverloaded, anywhere},
}
