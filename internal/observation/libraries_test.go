// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// What current versions of libraries write as an exception's type or message, by
// library.
var libraryWords = map[string]map[string]report.Outcome{
	"okhttp": {
		"java.net.ConnectException: Failed to connect to payment/10.0.0.7:8080":         report.OutcomeRefused,
		"java.net.SocketTimeoutException: timeout":                                      report.OutcomeTimeout,
		"java.io.InterruptedIOException: timeout":                                       report.OutcomeTimeout,
		"java.net.SocketTimeoutException: Connect timed out":                            report.OutcomeConnectTimeout,
		"okhttp3.internal.http2.StreamResetException: stream was reset: REFUSED_STREAM": report.OutcomeReset,
		"stream was reset: INTERNAL_ERROR":                                              report.OutcomeReset,
		"java.io.IOException: unexpected end of stream on http://payment:8080/...":      report.OutcomeReset,
		"javax.net.ssl.SSLPeerUnverifiedException: Hostname payment not verified:":      report.OutcomeTLS,
		"java.net.UnknownHostException: payment: Temporary failure in name resolution":  report.OutcomeDNS,
		"java.io.IOException: Canceled":                                                 report.OutcomeCanceled,
		"java.net.SocketException: Socket closed":                                       report.OutcomeReset,
	},
	"Apache HttpClient": {
		"Connect to http://payment:8080 [payment/10.0.0.7] failed: Connection refused":                                                  report.OutcomeRefused,
		"Connect to http://payment:8080 [payment/10.0.0.7] failed: Connect timed out":                                                   report.OutcomeConnectTimeout,
		"Certificate for <payment> doesn't match any of the subject alternative names: [cart]":                                          report.OutcomeTLS,
		"org.apache.http.conn.ConnectionPoolTimeoutException: Timeout waiting for connection from pool":                                 report.OutcomeOther,
		"org.apache.hc.core5.http.ConnectionClosedException: Connection closed by peer":                                                 report.OutcomeReset,
		"org.apache.http.ConnectionClosedException: Premature end of Content-Length delimited message body (expected: 10; received: 2)": report.OutcomeReset,
		"org.apache.http.TruncatedChunkException: Truncated chunk ( expected size: 8000; actual size: 12)":                              report.OutcomeReset,
	},
	"netty": {
		"finishConnect(..) failed: Connection refused: payment/10.0.0.7:8080": report.OutcomeRefused,
		"recvAddress(..) failed: Connection reset by peer":                    report.OutcomeReset,
		"io.netty.handler.timeout.ReadTimeoutException":                       report.OutcomeTimeout,
		"io.netty.resolver.dns.DnsNameResolverTimeoutException: [1: /10.0.0.2:53] query via UDP timed out after 5000 milliseconds (no stack trace available)": report.OutcomeDNS,
		"io.netty.resolver.dns.DnsErrorCauseException: Query failed with SERVFAIL":                                                                            report.OutcomeDNS,
		"io.netty.handler.ssl.SslHandshakeTimeoutException: handshake timed out after 10000ms":                                                                report.OutcomeNoAnswer,
		"io.netty.handler.ssl.NotSslRecordException: not an SSL/TLS record: 48545450":                                                                         report.OutcomeTLS,
		"io.netty.channel.StacklessClosedChannelException":                                                                                                    report.OutcomeReset,
		"reactor.netty.channel.AbortedException: Connection has been closed BEFORE send operation":                                                            report.OutcomeReset,
		"Connection has been closed BEFORE response, while sending request body":                                                                              report.OutcomeReset,
		"Pool#acquire(Duration) has been pending for more than the configured timeout of 45000ms":                                                             report.OutcomeOther,
		"java.util.concurrent.TimeoutException: Did not observe any item or terminal signal within 2000ms in 'flatMap' (and no fallback has been configured)": report.OutcomeTimeout,
	},
	"JDK HttpClient": {
		"java.net.http.HttpConnectTimeoutException: HTTP connect timed out":                      report.OutcomeConnectTimeout,
		"java.net.http.HttpTimeoutException: request timed out":                                  report.OutcomeTimeout,
		"java.io.IOException: HTTP/1.1 header parser received no bytes":                          report.OutcomeReset,
		"java.io.IOException: fixed content-length: 10, bytes received: 5":                       report.OutcomeReset,
		"java.io.IOException: Received RST_STREAM: Internal error":                               report.OutcomeReset,
		"java.io.IOException: /10.0.0.5:1234: GOAWAY received":                                   report.OutcomeReset,
		"java.io.IOException: EOF reached while reading":                                         report.OutcomeReset,
		"java.io.IOException: chunked transfer encoding, state: READING_LENGTH":                  report.OutcomeReset,
		"java.net.SocketException: Unexpected end of file from server":                           report.OutcomeReset,
		"Received fatal alert: certificate_expired":                                              report.OutcomeTLS,
		"java.security.cert.CertificateExpiredException: NotAfter: Mon Jan 01 00:00:00 UTC 2024": report.OutcomeTLS,
	},
	"requests": {
		"HTTPConnection(host='payment', port=8080): Failed to resolve 'payment' ([Errno -2] Name or service not known)":                                                                                                                          report.OutcomeDNS,
		"HTTPConnection(host='payment', port=8080): Failed to establish a new connection: [Errno 111] Connection refused":                                                                                                                        report.OutcomeRefused,
		"HTTPConnection(host='payment', port=8080): Failed to establish a new connection: [Errno 113] No route to host":                                                                                                                          report.OutcomeUnreachable,
		"('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))":                                                                                                                                                         report.OutcomeReset,
		"requests.exceptions.ChunkedEncodingError: ('Connection broken: IncompleteRead(5 bytes read, 5 more expected)', IncompleteRead(5 bytes read, 5 more expected))":                                                                          report.OutcomeReset,
		"HTTPSConnectionPool(host='payment', port=443): Max retries exceeded with url: / (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)')))": report.OutcomeTLS,
	},
	"httpx": {
		"All connection attempts failed":                           report.OutcomeRefused,
		"httpx.ConnectError":                                       report.OutcomeRefused,
		"httpx.ConnectError: [Errno -2] Name or service not known": report.OutcomeDNS,
		"httpx.ReadError":                                          report.OutcomeReset,
		"httpx.WriteError":                                         report.OutcomeReset,
		"httpx.RemoteProtocolError: Server disconnected without sending a response.":                                              report.OutcomeReset,
		"httpx.RemoteProtocolError: peer closed connection without sending complete message body (received 5 bytes, expected 10)": report.OutcomeReset,
		"httpcore.ConnectTimeout": report.OutcomeConnectTimeout,
	},
	"aiohttp": {
		"Cannot connect to host payment:8080 ssl:default [Timeout while contacting DNS servers]": report.OutcomeDNS,
		"Cannot connect to host payment:8080 ssl:default [Domain name not found]":                report.OutcomeDNS,
		"Connection timeout to host http://payment:8080/":                                        report.OutcomeConnectTimeout,
		"aiohttp.client_exceptions.ClientPayloadError: Response payload is not completed: <TransferEncodingError: 400, message='Not enough data to satisfy transfer length header.'>": report.OutcomeReset,
		"Cannot write to closing transport":                                                 report.OutcomeReset,
		"aiohttp.client_exceptions.ServerTimeoutError: Timeout on reading data from socket": report.OutcomeTimeout,
		"Cannot connect to host payment:443 ssl:True [SSLCertVerificationError: (1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)')]": report.OutcomeTLS,
	},
	"node": {
		"Connect Timeout Error (attempted address: payment:8080, timeout: 10000ms)": report.OutcomeConnectTimeout,
		"Headers Timeout Error": report.OutcomeTimeout,
		"Client network socket disconnected before secure TLS connection was established":                           report.OutcomeReset,
		"Hostname/IP does not match certificate's altnames: Host: payment. is not in the cert's altnames: DNS:cart": report.OutcomeTLS,
		"UNABLE_TO_GET_ISSUER_CERT_LOCALLY":                                                  report.OutcomeTLS,
		"write EPROTO 40B7:error:0A00010B:SSL routines:ssl3_get_record:wrong version number": report.OutcomeTLS,
		"queryA ETIMEOUT payment":                                                            report.OutcomeDNS,
		"read ETIMEDOUT":                                                                     report.OutcomeTimeout,
		"The socket connection was closed unexpectedly. For more information, pass `verbose: true` in the second argument to fetch()": report.OutcomeReset,   // Bun
		"Unable to connect. Is the computer able to access the url?":                                                                  report.OutcomeRefused, // Bun
		"timeout of 2000ms exceeded ECONNABORTED":                                                                                     report.OutcomeTimeout,
		"The operation was aborted due to timeout":                                                                                    report.OutcomeTimeout,
	},
	"go": {
		`stream error: stream ID 1; INTERNAL_ERROR; received from peer`:                                            report.OutcomeReset,
		`Post "http://payment:8080/": http: server closed idle connection`:                                         report.OutcomeReset,
		`net/http: HTTP/1.x transport connection broken: malformed HTTP response "x"`:                              report.OutcomeWrongAnswer,
		`http: server gave HTTP response to HTTPS client`:                                                          report.OutcomeTLS,
		`http2: client connection lost`:                                                                            report.OutcomeReset,
		`http2: server sent GOAWAY and closed the connection; LastStreamID=1, ErrCode=NO_ERROR`:                    report.OutcomeReset,
		`net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)`: report.OutcomeTimeout,
		`lookup payment on 10.96.0.10:53: read udp 10.0.0.5:39321->10.96.0.10:53: read: connection refused`:        report.OutcomeDNS,
	},
	"dotnet": {
		"name_resolution_error": report.OutcomeDNS, // HttpRequestError, as error.type
		"connection_error":      report.OutcomeUnavailable,
		"System.Net.Sockets.SocketException (11): Resource temporarily unavailable": report.OutcomeDNS,
		"secure_connection_error":           report.OutcomeTLS,
		"response_ended":                    report.OutcomeReset,
		"invalid_response":                  report.OutcomeWrongAnswer,
		"host_not_found":                    report.OutcomeDNS, // SocketError, as error.type of sockets
		"Connection refused (payment:8080)": report.OutcomeRefused,
		"A connection could not be established within the configured ConnectTimeout.":                                                                         report.OutcomeConnectTimeout,
		"The remote certificate is invalid because of errors in the certificate chain: NotTimeValid":                                                          report.OutcomeTLS,
		"The remote certificate was rejected by the provided RemoteCertificateValidationCallback.":                                                            report.OutcomeTLS,
		"The HTTP/2 server reset the stream. HTTP/2 error code 'INTERNAL_ERROR' (0x2).":                                                                       report.OutcomeReset,
		"The server returned an invalid or unrecognized response.":                                                                                            report.OutcomeWrongAnswer,
		"Unable to read data from the transport connection: Connection reset by peer.":                                                                        report.OutcomeReset,
		"Received an unexpected EOF or 0 bytes from the transport stream.":                                                                                    report.OutcomeReset,
		`Status(StatusCode="Unavailable", Detail="Error connecting to subchannel.", DebugException="System.Net.Sockets.SocketException: Connection refused")`: report.OutcomeRefused,
	},
	"ruby": {
		`Net::OpenTimeout: execution expired`: report.OutcomeConnectTimeout,
		`Failed to open TCP connection to payment:8080 (Connection refused - connect(2) for "payment" port 8080)`: report.OutcomeRefused,
		`Failed to open TCP connection to payment:8080 (execution expired)`:                                       report.OutcomeConnectTimeout,
		`Failed to open TCP connection to payment:8080 (getaddrinfo(3): Temporary failure in name resolution)`:    report.OutcomeDNS,
		`Net::ReadTimeout with #<TCPSocket:(closed)>`:                                                             report.OutcomeTimeout,
		`RedisClient::ReadTimeoutError: Waited 1.0 seconds`:                                                       report.OutcomeTimeout,
		`PG::UnableToSend: no connection to the server`:                                                           report.OutcomeReset,
		`Faraday::ConnectionFailed`:                                                                               report.OutcomeRefused,
		`Mysql2::Error::ConnectionError: Can't connect to MySQL server on 'db:3306' (111)`:                        report.OutcomeRefused,
		`Mysql2::Error::ConnectionError: Can't connect to MySQL server on 'db:3306' (110)`:                        report.OutcomeConnectTimeout,
		`Mysql2::Error::ConnectionError: Can't connect to MySQL server on 'db:3306' (113)`:                        report.OutcomeUnreachable,
		`Unknown MySQL server host 'db' (-2)`:                                                                     report.OutcomeDNS,
	},
	"php": {
		`cURL error 7: Failed to connect to payment port 8080 after 1 ms: Couldn't connect to server (see https://curl.haxx.se/libcurl/c/libcurl-errors.html) for http://payment:8080/`: report.OutcomeRefused,
		`cURL error 28: Connection timed out after 2001 milliseconds`:                                           report.OutcomeConnectTimeout,
		`cURL error 28: Failed to connect to payment port 8080 after 2002 ms: Timeout was reached`:              report.OutcomeConnectTimeout,
		`cURL error 28: Operation timed out after 2001 milliseconds with 0 bytes received`:                      report.OutcomeTimeout,
		`cURL error 28: Resolving timed out after 2001 milliseconds`:                                            report.OutcomeDNS,
		`cURL error 6: Could not resolve host: payment`:                                                         report.OutcomeDNS,
		`cURL error 52: Empty reply from server`:                                                                report.OutcomeReset,
		`cURL error 56: Recv failure: Connection reset by peer`:                                                 report.OutcomeReset,
		`cURL error 18: transfer closed with 10 bytes remaining to read`:                                        report.OutcomeReset,
		`cURL error 92: HTTP/2 stream 1 was not closed cleanly: INTERNAL_ERROR (err 2)`:                         report.OutcomeReset,
		`cURL error 60: SSL certificate problem: unable to get local issuer certificate`:                        report.OutcomeTLS,
		`cURL error 60: SSL: no alternative certificate subject name matches target host name 'payment'`:        report.OutcomeTLS,
		`SQLSTATE[HY000] [2002] Connection refused`:                                                             report.OutcomeRefused,
		`SQLSTATE[HY000] [2002] php_network_getaddresses: getaddrinfo for db failed: Name or service not known`: report.OutcomeDNS,
		`SQLSTATE[HY000] [1040] Too many connections`:                                                           report.OutcomeOverloaded,
		`Idle timeout reached for "http://payment:8080/".`:                                                      report.OutcomeTimeout,
	},
	"rust": {
		`error sending request for url (http://payment:8080/): client error (Connect): tcp connect error: Connection refused (os error 111)`: report.OutcomeRefused,
		`error trying to connect: tcp connect error: deadline has elapsed`:                                                                   report.OutcomeConnectTimeout,
		`client error (Connect): tcp connect error: No route to host (os error 113)`:                                                         report.OutcomeUnreachable,
		`dns error: failed to lookup address information: Try again`:                                                                         report.OutcomeDNS,
		`failed to lookup address information: Name or service not known`:                                                                    report.OutcomeDNS,
		`connection closed before message completed`:                                                                                         report.OutcomeReset,
		`hyper::Error(IncompleteMessage)`:                                                                                                    report.OutcomeReset,
		`invalid peer certificate: Expired`:                                                                                                  report.OutcomeTLS,
		`deadline has elapsed`:                                                                                                               report.OutcomeTimeout,
		`pool timed out while waiting for an open connection`:                                                                                report.OutcomeOther,
		`error decoding response body: expected value at line 1 column 1`:                                                                    report.OutcomeWrongAnswer,
		`h2 protocol error: error reading a body from connection`:                                                                            report.OutcomeReset,
	},
	"postgresql": {
		"failed to connect to `user=app database=shop`: 10.0.0.5:5432 (pg): dial error: dial tcp 10.0.0.5:5432: connect: connection refused":       report.OutcomeRefused,
		"failed to connect to `user=app database=shop`: hostname resolving error: lookup pg on 10.0.0.2:53: no such host":                          report.OutcomeDNS,
		"failed to connect to `user=app database=shop`: 10.0.0.5:5432 (pg): server error: FATAL: sorry, too many clients already (SQLSTATE 53300)": report.OutcomeOverloaded,
		"server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally":                                        report.OutcomeReset,
		"SSL SYSCALL error: EOF detected": report.OutcomeReset,
		"Connection to pg:5432 refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections.": report.OutcomeRefused,
		"Exception while reading from stream": report.OutcomeReset,
		"Failed to connect to 10.0.0.5:5432":  report.OutcomeRefused,
		"The connection pool has been exhausted, either raise 'Max Pool Size' (currently 100) or 'Timeout' (currently 15 seconds) in your connection string.": report.OutcomeOther,
		"remaining connection slots are reserved for roles with the SUPERUSER attribute":                                                                      report.OutcomeOverloaded,
		"Timeout: Pool empty. Unable to fetch a connection in 30 seconds, none available[size:10; busy:10; idle:0; lastwait:30000].":                          report.OutcomeOther,
		"no more connections allowed (max_client_conn)":                                                                                                       report.OutcomeOverloaded,
		"connection is insecure (try using `sslmode=require`)":                                                                                                report.OutcomeOther,
	},
	"mysql": {
		"invalid connection":                                                                                  report.OutcomeReset,
		"Error 1040 (08004): Too many connections":                                                            report.OutcomeOverloaded,
		"(2003, \"Can't connect to MySQL server on 'db' (timed out)\")":                                       report.OutcomeConnectTimeout,
		"(2006, 'Server has gone away')":                                                                      report.OutcomeReset,
		"(2013, 'Lost connection to server during query')":                                                    report.OutcomeReset,
		"Unable to connect to any of the specified MySQL hosts.":                                              report.OutcomeRefused,
		"Connection lost: The server closed the connection.":                                                  report.OutcomeReset,
		"Host '10.0.0.5' is blocked because of many connection errors; unblock with 'mysqladmin flush-hosts'": report.OutcomeClientError,
	},
	"oracle and sqlserver": {
		"ORA-12541: Cannot connect. No listener at host db port 1521.": report.OutcomeRefused,
		"ORA-12541: TNS:no listener":                                   report.OutcomeRefused,
		"ORA-12514: Cannot connect to database. Service shop is not registered with the listener at host db port 1521.": report.OutcomeUnavailable,
		"ORA-12170: Cannot connect. TCP connect timeout of 60s for host db port 1521.":                                  report.OutcomeConnectTimeout,
		"ORA-03113: end-of-file on communication channel":                                                               report.OutcomeReset,
		"ORA-17410: No more data to read from socket.":                                                                  report.OutcomeReset,
		"ORA-17002: I/O error: The Network Adapter could not establish the connection":                                  report.OutcomeRefused,
		"ORA-03135: connection lost contact":                                                                            report.OutcomeReset,
		"ORA-04031: unable to allocate 4160 bytes of shared memory":                                                     report.OutcomeMemoryFull,
		"A network-related or instance-specific error occurred while establishing a connection to SQL Server. The server was not found or was not accessible. (provider: TCP Provider, error: 40 - Could not open a connection to SQL Server)": report.OutcomeRefused,
		"A transport-level error has occurred when receiving results from the server. (provider: TCP Provider, error: 0 - Connection reset by peer)":                                                                                           report.OutcomeReset,
		"Failed to connect to db:1433 in 15000ms ETIMEOUT": report.OutcomeConnectTimeout,
		"The TCP/IP connection to the host db, port 1433 has failed. Error: \"Connection refused. Verify the connection properties.\"": report.OutcomeRefused,
		"There is insufficient system memory in resource pool 'default' to run this query.":                                            report.OutcomeMemoryFull,
	},
	"redis": {
		"Unable to acquire connection! Increase connection pool size. Command: (GET)":                           report.OutcomeOther,
		"Redis server response timeout (3000 ms) occured after 3 retry attempts":                                report.OutcomeTimeout,
		"SocketFailure (ReadSocketError/ConnectionReset, last-recv: 0) on redis:6379/Interactive, Idle/Faulted": report.OutcomeReset,
		"SocketClosed on redis:6379/Interactive, Idle/Faulted":                                                  report.OutcomeReset,
		"It was not possible to connect to the redis server(s). There was an authentication failure; check that passwords (or client certificates) are configured correctly: (RedisServerException) WRONGPASS": report.OutcomeClientError,
		"Socket closed unexpectedly":                           report.OutcomeReset,
		"Could not get a resource since the pool is exhausted": report.OutcomeOther,
		"Failed to connect to any host resolved for DNS name.": report.OutcomeRefused,
		"Unexpected end of stream.":                            report.OutcomeReset,
		"Command timed out after 1 minute(s)":                  report.OutcomeTimeout,
		"Unable to connect to redis/<unresolved>:6379":         report.OutcomeRefused,
		"The client is closed":                                 report.OutcomeOther,
	},
	"mongodb": {
		"com.mongodb.MongoSocketReadException: Prematurely reached end of stream":                                                                                                                                    report.OutcomeReset,
		"MongoNetworkError: connection 3 to 10.0.0.7:27017 closed":                                                                                                                                                   report.OutcomeReset,
		"MongoNetworkTimeoutError: connection 3 to 10.0.0.7:27017 timed out":                                                                                                                                         report.OutcomeTimeout,
		"Connection pool for mongo:27017 was cleared because another operation failed with: \"connect ECONNREFUSED 10.0.0.7:27017\"":                                                                                 report.OutcomeRefused,
		"mongo:27017: [Errno 111] Connection refused (configured timeouts: socketTimeoutMS: 20000.0ms, connectTimeoutMS: 20000.0ms), Timeout: 30s, Topology Description: <TopologyDescription id: 6>":                report.OutcomeRefused,
		"server selection error: server selection timeout, current topology: { Type: Unknown, Servers: [{ Addr: mongo:27017, Type: Unknown, Last error: dial tcp 10.0.0.7:27017: connect: connection refused }, ] }": report.OutcomeRefused,
		"Timed out after 120000 ms while waiting for a connection to server mongo:27017.":                                                                                                                            report.OutcomeOther,
		"com.mongodb.MongoSocketReadTimeoutException: Timeout while receiving message":                                                                                                                               report.OutcomeTimeout,
		"A timeout occurred after 30000ms selecting a server using CompositeServerSelector":                                                                                                                          report.OutcomeTimeout,
	},
	"kafka": {
		"org.apache.kafka.common.errors.TimeoutException: Topic orders not present in metadata after 60000 ms.":                                  report.OutcomeTimeout,
		"org.apache.kafka.common.errors.NetworkException: Disconnected from node 1":                                                              report.OutcomeReset,
		"org.apache.kafka.common.errors.NotEnoughReplicasException: Messages are rejected since there are fewer in-sync replicas than required.": report.OutcomeUnavailable,
		"Local: Broker transport failure":                                                                                report.OutcomeReset,
		"Local: All broker connections are down":                                                                         report.OutcomeUnavailable,
		"KafkaJSConnectionError: Connection error: connect ECONNREFUSED 10.0.0.7:9092":                                   report.OutcomeRefused,
		"kafka: client has run out of available brokers to talk to: dial tcp 10.0.0.7:9092: connect: connection refused": report.OutcomeRefused,
		"NoBrokersAvailable": report.OutcomeUnavailable,
	},
	"amqp": {
		"RabbitMQ.Client.Exceptions.BrokerUnreachableException: None of the specified endpoints were reachable":                                                                                                                             report.OutcomeRefused,
		"connection is already closed due to connection error; protocol method: #method<connection.close>(reply-code=320, reply-text=CONNECTION_FORCED - broker forced connection closure with reason 'shutdown', class-id=0, method-id=0)": report.OutcomeReset,
		"pika.exceptions.StreamLostError: Stream connection lost: ConnectionResetError(104, 'Connection reset by peer')":                                                                                                                    report.OutcomeReset,
		"Heartbeat timeout":                           report.OutcomeTimeout,
		"Missed heartbeats from client, timeout: 60s": report.OutcomeTimeout,
	},
	"grpc": {
		"UNAVAILABLE: Network closed for unknown reason":                        report.OutcomeReset,
		"UNAVAILABLE: Unable to resolve host payment":                           report.OutcomeDNS,
		"UNAVAILABLE: Keepalive failed. The connection is likely gone":          report.OutcomeTimeout,
		"INTERNAL: RST_STREAM closed stream. HTTP/2 error code: INTERNAL_ERROR": report.OutcomeReset,
		"Received RST_STREAM with error code 2":                                 report.OutcomeReset,
		"14 UNAVAILABLE: Connection dropped":                                    report.OutcomeReset,
		"13 INTERNAL: Received RST_STREAM with code 2 (Internal server error)":  report.OutcomeReset,
		"14 UNAVAILABLE: Name resolution failed for target dns:payment:50051":   report.OutcomeDNS,
		"failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.7:50051: Failed to connect to remote host: Timeout occurred: FD Shutdown": report.OutcomeConnectTimeout,
		`connection error: desc = "transport: authentication handshake failed: context deadline exceeded"`:                                              report.OutcomeNoAnswer,
		`connection error: desc = "error reading server preface: EOF"`:                                                                                  report.OutcomeReset,
		"status: Unavailable, message: \"error trying to connect: tcp connect error: Connection refused (os error 111)\"":                               report.OutcomeRefused,
		"keepalive watchdog timeout": report.OutcomeTimeout,
		"DNS resolution failed for payment:50051: C-ares status is not ARES_SUCCESS qtype=A name=payment is_balancer=0: Domain name not found": report.OutcomeDNS,
		"UNAVAILABLE: Connection closed after GOAWAY. HTTP/2 error code: NO_ERROR":                                                             report.OutcomeReset,
	},
	"elasticsearch and cassandra": {
		"NoLivingConnectionsError: There are no living connections":                                                          report.OutcomeUnavailable,
		"com.datastax.oss.driver.api.core.NoNodeAvailableException: No node was available to execute the query":              report.OutcomeUnavailable,
		"NoHostAvailable: ('Unable to complete the operation against any hosts', {})":                                        report.OutcomeUnavailable,
		"Not enough replicas available for query at consistency QUORUM (2 required but only 1 alive)":                        report.OutcomeUnavailable,
		"Cassandra timeout during read query at consistency QUORUM (2 responses were required but only 1 replica responded)": report.OutcomeTimeout,
	},
	"quota": {
		"ThrottlingException: Rate exceeded": report.OutcomeOverloaded,
		"ProvisionedThroughputExceededException: The level of configured provisioned throughput for the table was exceeded.": report.OutcomeOverloaded,
		"SlowDown: Please reduce your request rate.":                                                                                        report.OutcomeOverloaded,
		"RequestLimitExceeded: Request limit exceeded.":                                                                                     report.OutcomeOverloaded,
		"Request rate is large. More Request Units may be needed, so no changes were made.":                                                 report.OutcomeOverloaded,
		"insufficient_quota: You exceeded your current quota, please check your plan and billing details.":                                  report.OutcomeOverloaded,
		"Bulkhead 'payment' is full and does not permit further calls":                                                                      report.OutcomeCircuitOpen,
		"Polly.RateLimiting.RateLimiterRejectedException: The operation could not be executed because it was rejected by the rate limiter.": report.OutcomeOverloaded,
		"Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute'":                                              report.OutcomeOverloaded,
	},
}

func TestWordings_of_libraries(t *testing.T) {
	for library, cases := range libraryWords {
		t.Run(library, func(t *testing.T) {
			for text, want := range cases {
				if got := words().read(text).settled().outcome(); got != want {
					t.Errorf("%q: outcome %q, want %q", text, got, want)
				}
			}
		})
	}
}

// wants are what processes write when they lack something of their own.
func TestWordings_of_wants(t *testing.T) {
	for text, want := range map[string]meaning{
		"java.net.SocketException: Too many open files":                                                                              saysDescriptors,
		"accept4: too many open files":                                                                                               saysDescriptors,
		"RangeError: Array buffer allocation failed":                                                                                 saysMemory,
		"memory allocation of 1073741824 bytes failed":                                                                               saysMemory,
		"Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 bytes)":                                           saysMemory,
		"Exception of type 'System.OutOfMemoryException' was thrown.":                                                                saysMemory,
		"Insufficient memory to continue the execution of the program.":                                                              saysMemory,
		"failed to create thread: Resource temporarily unavailable (11)":                                                             saysThreads,
		"[warning][os,thread] Failed to start thread \"Unknown thread\" with attributes: stacksize: 1024k, guardsize: 0k, detached.": saysThreads,
		"runtime: failed to create new OS thread (have 9 already; errno=11)":                                                         saysThreads,
		"SyntaxError quote: answer cannot be read":                                                                                   saysDecode,
		"error decoding response body: expected value at line 1":                                                                     saysDecode,
		"Task queue depth is 7":                                                                                                      saysThreads,
		"*** uWSGI listen queue of socket \"127.0.0.1:3031\" (fd: 3) full !!! (101/100) ***":                                         saysThreads,
		"As of \"01/05/2026 09:00:00 +00:00\", the heartbeat has been running for \"00:00:01.7\" which is longer than \"00:00:01\". This could be caused by thread pool starvation.": saysThreads,
		"RuntimeError: can't start new thread":                              saysThreads,
		"OSError: [Errno 28] No space left on device":                       saysDisk,
		"ENOSPC: no space left on device, write":                            saysDisk,
		"System.IO.IOException: No space left on device : '/var/lib/app/x'": saysDisk,
		"There is not enough space on the disk.":                            saysDisk,
	} {
		if got := words().read(text).settled(); got&want == 0 {
			t.Errorf("%q: %b, want %b", text, got, want)
		}
	}
}

// What sounds like a failure of a call, and tells of none.
func TestWordings_that_tell_nothing(t *testing.T) {
	for _, text := range []string{
		"order 110 (111) was not connected to a customer", "the disconnect button of the form", "the quota of orders was raised",
		"invalid connection string", "stream error in the parser", "keepalive set to 30s", "the pool empties at night",
		"HTTP/1.1 header parser initialised", "Resource temporarily unavailable", "the order could not be executed",
		"This connection has been closed.", "conn closed", // by whom is not told
		"ConnectError: [not_found] no such order", "Error rate exceeded the threshold", "pool acquisition", "the invalid connection of a user was removed",
	} {
		if got := words().read(text).settled().outcome(); got != report.OutcomeOther {
			t.Errorf("%q: outcome %q", text, got)
		}
	}
}
