// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// view is what one walk over a span's attributes gathers: the names of today's
// semantic conventions, the older ones that SDKs still send, and Envoy's.
type view struct {
	http, grpc, size            int32 // -1 if absent; size is of the answer, bytes
	retryAfter                  bool
	request                     bool   // it is one of HTTP
	dbCode                      string // of a database's answer
	errorType, flags, errorText string
	series                      string // of the status, as Micrometer has it: SERVER_ERROR

	peer, server, oldPeer, oldServer           string
	peerPort, serverPort, oldPeerPort, oldPort int32
	local                                      string // of the socket that took the call
	localPort                                  int32
	url, oldURL, oldHost                       string
	peerService, rpcService, system            string
	database, destination, routingKey          string
	statement                                  string // of a database
	upstream                                   string // to whom a proxy passed it on
}

func (v *view) read(attrs pcommon.Map) {
	v.http, v.grpc, v.size = -1, -1, -1
	for k, val := range attrs.All() {
		if len(k) < 7 {
			continue // shorter than any of these
		}
		switch k {
		case "http.response.status_code", "http.status_code":
			if v.http = number(val); v.http == 0 {
				v.http = -1 // no answer came: so browsers have it
			}
		case "rpc.grpc.status_code", "grpc.status_code":
			v.grpc = number(val)
		case "rpc.response.status_code", "rpc.connect_rpc.error_code":
			v.grpc = int32(grpcCode(text(val)))
		case "http.response.body.size", "http.response_content_length":
			v.size = number(val)
		case "http.request.method", "http.method":
			v.request = true
		case "db.response.status_code":
			v.dbCode = text(val)
		case "http.response.header.retry-after":
			v.retryAfter = true
		case "error.type":
			v.errorType = val.Str()
		case "error.message", "grpc.error_message": // the latter is Node's
			if v.errorText == "" {
				v.errorText = val.Str()
			}
		case "response_code_details", "upstream_transport_failure_reason": // Envoy's, which writes no spaces
			if s := val.Str(); len(s) > 1 && s != "via_upstream" {
				v.errorText = strings.ReplaceAll(s, "_", " ")
			}
		case "error.cause_chain": // Rust's for HTTP, whose message does not tell why
			v.errorText = val.Str()
		case "upstream_cluster": // Envoy's
			v.upstream = val.Str()
		case "response_flags":
			v.flags = val.Str()
		case "outcome":
			v.series = val.Str()

		case "network.peer.address":
			v.peer = clip(val.Str())
		case "network.peer.port":
			v.peerPort = number(val)
		case "server.address":
			v.server = clip(val.Str())
		case "server.port":
			v.serverPort = number(val)
		case "network.local.address", "net.sock.host.addr", "net.host.ip":
			v.local = clip(val.Str())
		case "network.local.port", "net.sock.host.port", "net.host.port":
			v.localPort = number(val)
		case "net.sock.peer.addr", "net.peer.ip", "upstream_address":
			v.oldPeer = clip(val.Str())
		case "net.sock.peer.port":
			v.oldPeerPort = number(val)
		case "net.peer.name", "peer.hostname":
			v.oldServer = clip(val.Str())
		case "net.peer.port", "peer.port":
			v.oldPort = number(val)
		case "url.full":
			v.url = val.Str()
		case "http.url":
			v.oldURL = val.Str()
		case "http.host":
			v.oldHost = clip(val.Str())

		case "peer.service":
			v.peerService = clip(val.Str())
		case "rpc.service":
			v.rpcService = clip(val.Str())
		case "db.system", "db.system.name", "messaging.system":
			v.system = clip(val.Str())
		case "db.query.text", "db.statement":
			v.statement = val.Str()
		case "db.namespace", "db.name":
			v.database = clip(val.Str())
		case "messaging.destination.name", "messaging.destination":
			v.destination = clip(val.Str())
		case "messaging.rabbitmq.destination.routing_key", "messaging.rabbitmq.routing_key":
			v.routingKey = clip(val.Str())
		}
	}
	if v.http < 0 && (v.series == "SERVER_ERROR" || v.series == "CLIENT_ERROR") {
		if val, ok := attrs.Get("status"); ok {
			v.http = status(text(val))
		}
	}
}

// calleeID puts together whom the span calls. Nothing is allocated in the
// common case: both strings are the span's own.
func (v *view) calleeID(src *report.Source) calleeID {
	id := calleeID{peer: v.peer, server: v.server, peerPort: max(v.peerPort, 0), serverPort: max(v.serverPort, 0)}
	if id.peer == "" {
		id.peer, id.peerPort = v.oldPeer, max(v.oldPeerPort, 0)
	}
	if id.server == "" {
		id.server, id.serverPort = v.oldServer, max(v.oldPort, 0)
	}
	if id.server == "" && id.peer == "" {
		url := v.url
		if url == "" {
			url = v.oldURL
		}
		if id.server, id.serverPort, id.usualPort = hostOfURL(url); id.server == "" {
			id.server = v.oldHost
		}
	} else if id.serverPort == 0 {
		id.usualPort = v.usualPort()
	}
	id.service = v.peerService
	if id.service == "" && id.server == "" && id.peer == "" {
		id.service = v.calleeName()
	}
	if loopback(id.peer) || loopback(id.server) {
		id.place = placeOf(src)
	}
	return id
}

// usualPort is the port of the scheme in the span's URL, or of its database.
func (v *view) usualPort() int32 {
	url := v.url
	if url == "" {
		url = v.oldURL
	}
	switch {
	case strings.HasPrefix(url, "https:"):
		return 443
	case strings.HasPrefix(url, "http:"):
		return 80
	case v.system != "":
		return usualPort(v.system)
	}
	return 0
}

// calleeName names a callee of which no address is told.
func (v *view) calleeName() string {
	switch {
	case v.system == "sqlite":
		return "" // a library within the caller
	case v.rpcService != "":
		return v.rpcService
	case v.system != "" && v.database != "":
		return v.system + "/" + v.database
	case v.system != "" && v.destination != "":
		return v.system + "/" + v.destination
	case v.destination != "": // Celery's clients do not say what the broker is
		return "queue/" + v.destination
	}
	return v.system
}

// texts are all that a failed span has to say in words: error.type, its last
// exceptions and the status message.
type texts struct {
	says    meaning
	coded   bool   // codes of databases count
	said    string // the text that said most of late, for people
	mention mention
	status  int32 // error.type as a status code of HTTP; -1 if it is none
	grpc    int32 // error.type as a code of gRPC; -1 if it is none
}

const (
	maxExceptions = 3 // the last ones of a span
	maxEventsRead = 32
)

func (v *view) texts(span ptrace.Span) texts {
	t := texts{status: -1, grpc: -1, coded: v.system != "" || v.statement != ""}
	t.take(v.dbCode)
	if v.errorType != "" {
		if n, ok := portNumber(v.errorType); ok {
			t.status = n
		} else if v.grpc < 0 && v.http < 0 {
			t.grpc = int32(grpcCode(v.errorType))
		}
		t.take(v.errorType)
	}
	t.take(v.errorText)
	events := span.Events()
	for i, n := events.Len()-1, 0; i >= 0 && n < maxExceptions && i >= events.Len()-maxEventsRead; i-- {
		if events.At(i).Name() == "exception" {
			t.exception(events.At(i).Attributes())
			n++
		}
	}
	t.take(span.Status().Message())
	if v.system != "" && v.system != "sqlite" && t.says&saysDisk != 0 {
		t.says |= saysTheirDisk // these are the words of the database
	}
	return t
}

func (t *texts) take(s string) {
	if s == "" {
		return
	}
	says := words().read(s).settled()
	if t.coded {
		says |= codeSays(s)
	}
	if says != 0 {
		t.says |= says
		t.said = s
	}
	if t.mention.port == 0 {
		if m := mentioned(s); m.host != "" && (m.port != 0 || t.mention.host == "") {
			t.mention = m
		}
	}
}

// exception reads type and message. Where they do not tell why, the first cause
// in the stack trace may.
func (t *texts) exception(attrs pcommon.Map) {
	stack := ""
	for k, val := range attrs.All() {
		switch k {
		case "exception.type", "exception.message":
			t.take(val.Str())
		case "exception.stacktrace":
			stack = val.Str()
		}
	}
	if t.says&^(saysConnecting|saysEstablished|saysConnectFailed|saysBroken|saysCallFailed) != 0 || stack == "" {
		return
	}
	before := t.says
	if t.take(firstCause(stack)); before&saysConnectFailed != 0 {
		t.says &^= saysReset // what was never connected is not reset
	}
}

// firstCause returns the line of a stack trace that names the cause of causes: the
// last of Java's "Caused by", the last of .NET's " ---> ", the one before the
// first break in Python's chain. "" where there is no other than the exception.
func firstCause(stack string) string {
	stack = cut(stack, 64<<10)
	if i := strings.LastIndex(stack, "Caused by: "); i >= 0 {
		rest, _, _ := strings.Cut(stack[i:], "\n\tat ")
		return cut(rest, maxText)
	}
	for _, chain := range [...]string{"\n\nThe above exception was the direct cause", "\n\nDuring handling of the above exception"} {
		if first, _, ok := strings.Cut(stack, chain); ok {
			return cut(first[strings.LastIndexByte(first, '\n')+1:], maxText)
		}
	}
	if i := strings.LastIndex(stack, " ---> "); i >= 0 {
		rest, _, _ := strings.Cut(stack[i:], "\n")
		return cut(rest, maxText)
	}
	return ""
}

// relayed says whether a proxy passed on what it served, to somebody else than the
// process for which it stands, as one beside an application does.
func (v *view) relayed() bool {
	return v.upstream != "" && v.upstream != "-" && !strings.HasPrefix(v.upstream, "inbound|") && v.upstream != "local_app"
}
