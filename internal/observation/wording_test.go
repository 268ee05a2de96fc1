// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"
	"testing"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// messages are real error messages, by language.
var messages = map[string][]struct {
	text    string
	outcome report.Outcome
	host    string
	port    int32
}{
	"go": {
		{`Post "http://payment:8080/charge": dial tcp 10.0.0.7:8080: connect: connection refused`, report.OutcomeRefused, "10.0.0.7", 8080},
		{`Get "http://[fd00::7]:8080/": dial tcp [fd00::7]:8080: connect: connection refused`, report.OutcomeRefused, "fd00::7", 8080},
		{`dial tcp 10.0.0.7:8080: i/o timeout`, report.OutcomeConnectTimeout, "10.0.0.7", 8080},
		{`dial tcp 10.0.0.7:8080: connect: connection timed out`, report.OutcomeConnectTimeout, "10.0.0.7", 8080},
		{`dial tcp 10.0.0.7:8080: connect: no route to host`, report.OutcomeUnreachable, "10.0.0.7", 8080},
		{`dial tcp 10.0.0.7:8080: connect: network is unreachable`, report.OutcomeUnreachable, "10.0.0.7", 8080},
		{`dial tcp: lookup payment on 10.96.0.10:53: no such host`, report.OutcomeDNS, "10.96.0.10", 53},
		{`dial tcp: lookup payment on 10.96.0.10:53: read udp 10.0.0.5:39321->10.96.0.10:53: i/o timeout`, report.OutcomeDNS, "10.96.0.10", 53},
		{`dial tcp: lookup payment: Temporary failure in name resolution`, report.OutcomeDNS, "", 0},
		{`read tcp 10.0.0.5:41234->10.0.0.7:8080: read: connection reset by peer`, report.OutcomeReset, "10.0.0.7", 8080},
		{`read tcp 10.0.0.5:41234->10.0.0.7:8080: i/o timeout`, report.OutcomeTimeout, "10.0.0.7", 8080},
		{`write tcp 10.0.0.5:41234->10.0.0.7:8080: write: broken pipe`, report.OutcomeReset, "10.0.0.7", 8080},
		{`Post "http://payment:8080/charge": EOF`, report.OutcomeReset, "", 0},
		{`Get "http://10.0.0.7:8080/": proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: connection refused`, report.OutcomeRefused, "10.0.0.1", 3128},
		{`Get "http://10.0.0.7:8080/": EOF`, report.OutcomeReset, "10.0.0.7", 8080},
		{`unexpected EOF`, report.OutcomeReset, "", 0},
		{`context deadline exceeded (Client.Timeout exceeded while awaiting headers)`, report.OutcomeTimeout, "", 0},
		{`net/http: timeout awaiting response headers`, report.OutcomeTimeout, "", 0},
		{`net/http: TLS handshake timeout`, report.OutcomeNoAnswer, "", 0},
		{`failed to connect to ` + "`user=app database=app`" + `: 10.96.1.2:5432 (pg-main): dial error: dial tcp 10.96.1.2:5432: connect: connection refused`, report.OutcomeRefused, "10.96.1.2", 5432},
		{`context canceled`, report.OutcomeCanceled, "", 0},
		{`tls: failed to verify certificate: x509: certificate has expired or is not yet valid`, report.OutcomeTLS, "", 0},
		{`remote error: tls: bad certificate`, report.OutcomeTLS, "", 0},
		{`dial tcp 10.0.0.7:8080: socket: too many open files`, report.OutcomeOther, "10.0.0.7", 8080},
		{`dial tcp 10.0.0.7:8080: connect: cannot assign requested address`, report.OutcomeOther, "10.0.0.7", 8080},
		{`circuit breaker is open`, report.OutcomeCircuitOpen, "", 0},
		{`redis: connection pool timeout`, report.OutcomeOther, "", 0},
		{`invalid character '<' looking for beginning of value`, report.OutcomeWrongAnswer, "", 0},
		{`connection error: desc = "transport: Error while dialing: dial tcp 10.0.0.7:50051: connect: connection refused"`, report.OutcomeRefused, "10.0.0.7", 50051},
		{`error reading from server: EOF`, report.OutcomeReset, "", 0},
		{`name resolver error: produced zero addresses`, report.OutcomeDNS, "", 0},
	},
	"java": {
		{`org.springframework.web.client.UnknownContentTypeException: Could not extract response: no suitable HttpMessageConverter found for response type [class com.example.Charge] and content type [text/html]`, report.OutcomeWrongAnswer, "", 0},
		{`org.springframework.web.client.RestClientException: Error while extracting response for type [class com.example.Charge] and content type [application/json]`, report.OutcomeWrongAnswer, "", 0},
		{`org.springframework.web.reactive.function.UnsupportedMediaTypeException: Content type 'text/html' not supported for bodyType=com.example.Charge`, report.OutcomeWrongAnswer, "", 0},
		{`org.springframework.core.codec.DecodingException: JSON decoding error: Unexpected character`, report.OutcomeWrongAnswer, "", 0},
		{`io.netty.channel.AbstractChannel$AnnotatedConnectException: Connection refused: payment/10.0.0.7:8080`, report.OutcomeRefused, "10.0.0.7", 8080},
		{`Connection refused: /10.0.0.7:8080`, report.OutcomeRefused, "10.0.0.7", 8080},
		{`java.net.ConnectException: Connection refused (Connection refused)`, report.OutcomeRefused, "", 0},
		{`java.net.ConnectException`, report.OutcomeRefused, "", 0},
		{`Connect to payment:8080 [payment/10.0.0.7] failed: Connection refused`, report.OutcomeRefused, "payment", 8080},
		{`Failed to connect to payment/10.0.0.7:8080`, report.OutcomeRefused, "10.0.0.7", 8080},
		{`java.net.SocketTimeoutException: Read timed out`, report.OutcomeTimeout, "", 0},
		{`java.net.SocketTimeoutException: connect timed out`, report.OutcomeConnectTimeout, "", 0},
		{`io.netty.channel.ConnectTimeoutException: connection timed out: payment/10.0.0.7:8080`, report.OutcomeConnectTimeout, "10.0.0.7", 8080},
		{`java.net.SocketException: Connection reset`, report.OutcomeReset, "", 0},
		{`java.io.IOException: Broken pipe`, report.OutcomeReset, "", 0},
		{`reactor.netty.http.client.PrematureCloseException: Connection prematurely closed BEFORE response`, report.OutcomeReset, "", 0},
		{`org.apache.http.NoHttpResponseException: payment:8080 failed to respond`, report.OutcomeReset, "", 0},
		{`java.net.NoRouteToHostException: No route to host`, report.OutcomeUnreachable, "", 0},
		{`java.net.UnknownHostException: payment`, report.OutcomeDNS, "", 0},
		{`javax.net.ssl.SSLHandshakeException: PKIX path building failed`, report.OutcomeTLS, "", 0},
		{`HikariPool-1 - Connection is not available, request timed out after 30000ms.`, report.OutcomeOther, "", 0},
		{`CircuitBreaker 'payment' is OPEN and does not permit further calls`, report.OutcomeCircuitOpen, "", 0},
		{`java.lang.OutOfMemoryError: unable to create new native thread`, report.OutcomeOther, "", 0},
	},
	"python": {
		{`HTTPConnectionPool(host='payment', port=8080): Max retries exceeded with url: / (Caused by NewConnectionError('<urllib3.connection.HTTPConnection object at 0x7f8>: Failed to establish a new connection: [Errno 111] Connection refused'))`, report.OutcomeRefused, "payment", 8080},
		{`HTTPConnectionPool(host='10.0.0.7', port=8080): Read timed out. (read timeout=2)`, report.OutcomeTimeout, "10.0.0.7", 8080},
		{`HTTPConnectionPool(host='10.0.0.7', port=8080): Max retries exceeded with url: / (Caused by ConnectTimeoutError(<urllib3.connection.HTTPConnection object>, 'Connection to 10.0.0.7 timed out. (connect timeout=2)'))`, report.OutcomeConnectTimeout, "10.0.0.7", 8080},
		{`[Errno 111] Connect call failed ('10.0.0.7', 8080)`, report.OutcomeRefused, "10.0.0.7", 8080},
		{`Multiple exceptions: [Errno 111] Connect call failed ('::1', 8080, 0, 0), [Errno 111] Connect call failed ('127.0.0.1', 8080)`, report.OutcomeRefused, "127.0.0.1", 8080},
		{`ConnectionRefusedError`, report.OutcomeRefused, "", 0},
		{`('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))`, report.OutcomeReset, "", 0},
		{`ConnectionResetError: [Errno 104] Connection reset by peer`, report.OutcomeReset, "", 0},
		{`httpx.ConnectTimeout`, report.OutcomeConnectTimeout, "", 0},
		{`httpx.ReadTimeout`, report.OutcomeTimeout, "", 0},
		{`httpx.PoolTimeout`, report.OutcomeOther, "", 0},
		{`aiohttp.client_exceptions.ServerDisconnectedError: Server disconnected`, report.OutcomeReset, "", 0},
		{`asyncio.exceptions.CancelledError`, report.OutcomeCanceled, "", 0},
		{`socket.gaierror: [Errno -2] Name or service not known`, report.OutcomeDNS, "", 0},
		{`[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)`, report.OutcomeTLS, "", 0},
		{`[Errno 113] No route to host`, report.OutcomeUnreachable, "", 0},
		{`failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.7:50051: Failed to connect to remote host: Connection refused`, report.OutcomeRefused, "10.0.0.7", 50051},
		{`connection to server at "10.0.0.7", port 5432 failed: Connection refused`, report.OutcomeRefused, "10.0.0.7", 5432},
		{`connection to server at "db", port 5432 failed: timeout expired`, report.OutcomeTimeout, "db", 5432},
		{`Error 111 connecting to redis:6379. Connection refused.`, report.OutcomeRefused, "redis", 6379},
		{`QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00`, report.OutcomeOther, "", 0},
		{`json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)`, report.OutcomeWrongAnswer, "", 0},
		{`com.fasterxml.jackson.core.io.JsonEOFException: Unexpected end-of-input: expected close marker for Object`, report.OutcomeWrongAnswer, "", 0},
		{`kotlinx.serialization.json.internal.JsonDecodingException: Unexpected JSON token at offset 16`, report.OutcomeWrongAnswer, "", 0},
		{`com.squareup.moshi.JsonDataException: Required value 'amount' missing at $`, report.OutcomeWrongAnswer, "", 0},
		{`EOF while parsing an object at line 1 column 16`, report.OutcomeWrongAnswer, "", 0},
		{`java.io.EOFException: \n not found: limit=0 content=`, report.OutcomeReset, "", 0}, // nothing came
	},
	"node": {
		{`connect ECONNREFUSED 10.0.0.7:8080`, report.OutcomeRefused, "10.0.0.7", 8080},
		{`connect ECONNREFUSED ::1:8080`, report.OutcomeRefused, "::1", 8080},
		{`connect ETIMEDOUT 10.0.0.7:8080`, report.OutcomeConnectTimeout, "10.0.0.7", 8080},
		{`read ECONNRESET`, report.OutcomeReset, "", 0},
		{`socket hang up`, report.OutcomeReset, "", 0},
		{`write EPIPE`, report.OutcomeReset, "", 0},
		{`getaddrinfo ENOTFOUND payment`, report.OutcomeDNS, "", 0},
		{`getaddrinfo EAI_AGAIN payment`, report.OutcomeDNS, "", 0},
		{`connect EHOSTUNREACH 10.0.0.7:8080`, report.OutcomeUnreachable, "10.0.0.7", 8080},
		{`timeout of 2000ms exceeded`, report.OutcomeTimeout, "", 0},
		{`UND_ERR_CONNECT_TIMEOUT`, report.OutcomeConnectTimeout, "", 0},
		{`UND_ERR_HEADERS_TIMEOUT`, report.OutcomeTimeout, "", 0},
		{`CERT_HAS_EXPIRED`, report.OutcomeTLS, "", 0},
		{`DEPTH_ZERO_SELF_SIGNED_CERT`, report.OutcomeTLS, "", 0},
		{`AbortError: The operation was aborted`, report.OutcomeCanceled, "", 0},
		{`Knex: Timeout acquiring a connection. The pool is probably full.`, report.OutcomeOther, "", 0},
		{`Breaker is open`, report.OutcomeCircuitOpen, "", 0},
		{`EMFILE: too many open files, open '/tmp/x'`, report.OutcomeOther, "", 0},
	},
	"dotnet": {
		{`System.Net.Http.HttpRequestException: Connection refused (10.0.0.7:8080)`, report.OutcomeRefused, "10.0.0.7", 8080},
		{`No connection could be made because the target machine actively refused it. [::ffff:10.0.0.7]:8080`, report.OutcomeRefused, "::ffff:10.0.0.7", 8080},
		{`System.Net.Sockets.SocketException (111): Connection refused`, report.OutcomeRefused, "", 0},
		{`System.Net.Sockets.SocketException`, report.OutcomeOther, "", 0},
		{`A connection attempt failed because the connected party did not properly respond after a period of time`, report.OutcomeConnectTimeout, "", 0},
		{`The request was canceled due to the configured HttpClient.Timeout of 2 seconds elapsing.`, report.OutcomeTimeout, "", 0},
		{`System.Threading.Tasks.TaskCanceledException: A task was canceled.`, report.OutcomeCanceled, "", 0},
		{`An existing connection was forcibly closed by the remote host.`, report.OutcomeReset, "", 0},
		{`The response ended prematurely.`, report.OutcomeReset, "", 0},
		{`Name or service not known (payment:8080)`, report.OutcomeDNS, "", 0},
		{`The SSL connection could not be established, see inner exception.`, report.OutcomeTLS, "", 0},
		{`Timeout expired. The timeout period elapsed prior to obtaining a connection from the pool.`, report.OutcomeOther, "", 0},
		{`The circuit is now open and is not allowing calls.`, report.OutcomeCircuitOpen, "", 0},
	},
	"envoy": {
		{`upstream connect error or disconnect/reset before headers. reset reason: connection failure, transport failure reason: delayed connect error: 111`, report.OutcomeRefused, "", 0},
		{`upstream connect error or disconnect/reset before headers. reset reason: connection failure`, report.OutcomeUnavailable, "", 0}, // or TLS, or in vain
		{`upstream connect error or disconnect/reset before headers. reset reason: connection timeout`, report.OutcomeConnectTimeout, "", 0},
		{`upstream connect error or disconnect/reset before headers. reset reason: connection termination`, report.OutcomeReset, "", 0},
		{`upstream connect error or disconnect/reset before headers. reset reason: overflow`, report.OutcomeOverloaded, "", 0},
		{`no healthy upstream`, report.OutcomeUnavailable, "", 0},
		{`upstream request timeout`, report.OutcomeTimeout, "", 0},
	},
	"nginx": {
		{`connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.1, server: , upstream: "http://10.0.0.7:80/"`, report.OutcomeRefused, "10.0.0.7", 80},
		{`upstream timed out (110: Connection timed out) while connecting to upstream, upstream: "http://10.0.0.7:80/"`, report.OutcomeConnectTimeout, "10.0.0.7", 80},
		{`upstream timed out (110: Connection timed out) while reading response header from upstream, upstream: "http://10.0.0.7:80/"`, report.OutcomeTimeout, "10.0.0.7", 80},
		{`upstream prematurely closed connection while reading response header from upstream, upstream: "http://10.0.0.7:80/"`, report.OutcomeReset, "10.0.0.7", 80},
	},
	"tells nothing": {
		{``, report.OutcomeOther, "", 0},
		{`insufficient funds`, report.OutcomeOther, "", 0},
		{`geofence violated`, report.OutcomeOther, "", 0}, // no EOF in it
		{`panic at Main.java:123 after 12:30:45`, report.OutcomeOther, "", 0},
		{`version 1.2.3.4.5 of the schema`, report.OutcomeOther, "", 0},
		{`*net.OpError`, report.OutcomeOther, "", 0},
	},
}

func TestMessageThatNamesAnAddressAndWhatItWasLookedUpFor(t *testing.T) {
	for text, want := range map[string]mention{
		`connection to server at "patients-db" (10.96.1.2), port 5432 failed: Connection refused`:                                         {"10.96.1.2", 5432, true, "patients-db"},
		`{"msg":"connection to server at \"patients-db\" (10.96.1.2), port 5432 failed: FATAL:  sorry, too many clients already"}`:        {"10.96.1.2", 5432, true, "patients-db"},
		`connection to server at "10.96.1.2", port 5432 failed: Connection refused`:                                                       {"10.96.1.2", 5432, true, ""},
		"failed to connect to `user=app database=app`: 10.96.1.2:5432 (pg-main): dial error: dial tcp 10.96.1.2:5432: connection refused": {"10.96.1.2", 5432, true, "pg-main"},
		`Get "http://pg-main:5432/": dial tcp 10.96.1.2:5432: i/o timeout`:                                                                {"10.96.1.2", 5432, true, "pg-main"},
		`Get "https://payment/a": dial tcp 10.96.1.2:443: i/o timeout`:                                                                    {"10.96.1.2", 443, true, "payment"},
		`Get "http://payment:8080/": proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: connection refused`:                               {"10.0.0.1", 3128, true, ""},
		`Connection refused: payment/10.0.0.7:8080`:                                                                                       {"10.0.0.7", 8080, true, "payment"},
		`connect to 10.0.0.7:8080 (refused): no luck`:                                                                                     {"10.0.0.7", 8080, true, ""},
		`GET http://10.0.0.7:8080/ failed`:                                                                                                {"10.0.0.7", 8080, true, ""},
	} {
		if got := mentioned(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func TestWordings(t *testing.T) {
	for language, cases := range messages {
		t.Run(language, func(t *testing.T) {
			for _, c := range cases {
				if got := words().read(c.text).settled().outcome(); got != c.outcome {
					t.Errorf("%q: outcome %q, want %q", c.text, got, c.outcome)
				}
				if m := mentioned(c.text); m.host != c.host || m.port != c.port {
					t.Errorf("%q: address %q port %d, want %q port %d", c.text, m.host, m.port, c.host, c.port)
				}
			}
		})
	}
}

func TestTraces_no_port_left(t *testing.T) {
	for text, want := range map[string]int{
		"dial tcp 10.0.0.7:8080: connect: cannot assign requested address": 1,
		"connect EADDRNOTAVAIL 10.0.0.7:8080 - Local (0.0.0.0:0)":          1,
		"dial tcp [::1]:8080: connect: cannot assign requested address":    0, // a host without IPv6
		"connect ECONNREFUSED 127.0.0.1:80; connect EADDRNOTAVAIL a:80":    0,
	} {
		td, _ := spanOf(t, checkout, client, failed, text, attrs{"server.address": "payment"})
		var b report.Batch
		New(Settings{}).Traces(td, testNow, nil, &b)
		got := 0
		for _, k := range kinds(&b) {
			if k == report.FactNoPort {
				got++
			}
		}
		if got != want {
			t.Errorf("%q: %d facts that no port is left, want %d", text, got, want)
		}
	}
}

func TestWordings_case_does_not_matter(t *testing.T) {
	if got := words().read("CONNECTION Refused").outcome(); got != report.OutcomeRefused {
		t.Errorf("outcome %q", got)
	}
}

func TestWordings_long_text_is_read_to_a_bound(t *testing.T) {
	if m := words().read(strings.Repeat("x", maxText) + " connection refused"); m != 0 {
		t.Errorf("read beyond the bound: %b", m)
	}
	if m := words().read(strings.Repeat(" ", maxText-18) + "connection refused"); m != saysRefused {
		t.Errorf("did not read up to the bound: %b", m)
	}
}

// The automaton must find exactly what a search for each wording finds.
func TestWordings_automaton_agrees_with_plain_search(t *testing.T) {
	var texts []string
	for _, cases := range messages {
		for _, c := range cases {
			texts = append(texts, c.text)
		}
	}
	for _, w := range allWordings() {
		texts = append(texts, w.text, "a "+w.text+" b", "x"+w.text+"x", w.text+w.text)
	}
	for _, s := range texts {
		if got, want := words().read(s), plainSearch(s); got != want {
			t.Errorf("%q: automaton %b, search %b", s, got, want)
		}
	}
}

// plainSearch looks for each wording by itself.
func plainSearch(s string) (m meaning) {
	if len(s) > maxText {
		s = s[:maxText]
	}
	lower := []byte(s)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c | 0x20
		}
	}
	all := allWordings()
	for i := range all {
		w := &all[i]
		for from := 0; ; {
			at := strings.Index(string(lower[from:]), w.text)
			if at < 0 {
				break
			}
			if end := from + at + len(w.text); w.place == anywhere || w.standsAt(s, end) {
				m |= w.says
			}
			from += at + 1
		}
	}
	return m
}

func FuzzWording(f *testing.F) {
	for _, cases := range messages {
		for _, c := range cases {
			f.Add(c.text)
		}
	}
	f.Add("[::1]:")
	f.Add("1.2.3.4:99999->")
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := words().read(s), plainSearch(s); got != want {
			t.Errorf("automaton %b, search %b", got, want)
		}
		m := mentioned(s)
		if m.port < 0 || m.port > 65535 || !strings.Contains(s, m.host) {
			t.Errorf("address %+v is not in %q", m, s)
		}
		canonical(m.host, m.port, 0, "")
		canonical(s, 80, 0, s)
		hostOfURL(s)
		if l := line(s); len(l) > 200 || strings.ContainsAny(l, "\n\r") {
			t.Errorf("line %q", l)
		}
	})
}
