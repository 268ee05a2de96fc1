// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/config/confighttp"
)

func (r *heartbeatReceiver) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ping/", r.servePing)
	mux.HandleFunc("/v1/heartbeats", r.serveJSON)
	mux.HandleFunc("/v1/logs", r.serveOTLP)
	return mux
}

// withErrors answers in JSON where confighttp itself refuses a request.
func withErrors(r *heartbeatReceiver) confighttp.ToServerOption {
	return confighttp.WithErrorHandler(func(w http.ResponseWriter, _ *http.Request, msg string, status int) {
		why := reasonEncoding
		if status == http.StatusUnauthorized || status == http.StatusForbidden {
			why = reasonForbidden
		}
		r.refused(1, why)
		if why == reasonEncoding {
			msg += ": send it plain, or with Content-Encoding gzip or zstd"
		}
		answer(w, status, reply{Error: msg})
	})
}

// reply is what the sender of JSON heartbeats is told.
type reply struct {
	Accepted int             `json:"accepted"`
	Error    string          `json:"error,omitempty"` // the first of Errors, or what concerns the whole request
	Errors   []*elementError `json:"errors,omitempty"`
	Omitted  int             `json:"errors_omitted,omitempty"`
}

// maxReported bounds the answer: a request may hold thousands of bad elements.
const maxReported = 100

func (p *reply) add(e *elementError) {
	if p.Error == "" {
		p.Error = e.Error()
	}
	if len(p.Errors) < maxReported {
		p.Errors = append(p.Errors, e)
	} else {
		p.Omitted++
	}
}

func answer(w http.ResponseWriter, status int, p reply) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(p) // the sender is gone if this fails
}

// refuse answers a request of which nothing is taken.
func (r *heartbeatReceiver) refuse(w http.ResponseWriter, p *problem) {
	r.refused(1, p.why)
	if p.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	answer(w, p.status, reply{Error: p.text})
}

// problem is why a whole request is refused.
type problem struct {
	status int
	why    reason
	text   string
}

var errBusy = &problem{
	http.StatusServiceUnavailable, reasonQueueFull,
	"the pipeline is busy and the queue is full: try again in a second",
}

// only says whether req has one of the methods, and answers it if not.
func only(w http.ResponseWriter, req *http.Request, methods ...string) bool {
	for _, m := range methods {
		if req.Method == m {
			return true
		}
	}
	allow := strings.Join(methods, ", ")
	w.Header().Set("Allow", allow)
	answer(w, http.StatusMethodNotAllowed, reply{Error: fmt.Sprintf("%s is not for this path: use %s", req.Method, allow)})
	return false
}

// bodies are buffers that requests are read into. What grew large is not kept.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const maxKeptBuffer = 64 << 10

// readBody reads the body of req, at most limit bytes; its size is bounded by
// confighttp too. use must not keep the slice.
func readBody(req *http.Request, limit int64, use func([]byte)) *problem {
	buf := bodies.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= maxKeptBuffer {
			buf.Reset()
			bodies.Put(buf)
		}
	}()
	body := io.Reader(req.Body)
	if limit > 0 {
		body = io.LimitReader(req.Body, limit)
	}
	if _, err := buf.ReadFrom(body); err != nil {
		return bodyProblem(err)
	}
	use(buf.Bytes())
	return nil
}

func bodyProblem(err error) *problem {
	var large *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &large):
		return &problem{http.StatusRequestEntityTooLarge, reasonTooLarge, fmt.Sprintf("the body is larger than %d bytes: send less at once", large.Limit)}
	case errors.As(err, &network) && network.Timeout():
		return &problem{http.StatusRequestTimeout, reasonEncoding, "the body came too slowly"}
	}
	return &problem{http.StatusBadRequest, reasonEncoding, "the body cannot be read: " + err.Error()}
}

// remoteHost is the host part of where req came from.
func remoteHost(req *http.Request) string {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		return req.RemoteAddr
	}
	return host
}

// proven says whether the sender showed a certificate that we verified.
func proven(req *http.Request) bool { return req.TLS != nil && len(req.TLS.VerifiedChains) > 0 }

// serveJSON is POST /v1/heartbeats.
func (r *heartbeatReceiver) serveJSON(w http.ResponseWriter, req *http.Request) {
	if !only(w, req, http.MethodPost) {
		return
	}
	var doc string
	if p := readBody(req, 0, func(body []byte) { doc = string(body) }); p != nil {
		r.refuse(w, p)
		return
	}
	// Each heartbeat has one brace at least, so this many places are enough.
	places := min(strings.Count(doc, "{"), maxElements)
	if !r.reserve(places) {
		r.refuse(w, errBusy)
		return
	}
	var p reply
	defer func() { r.release(places - p.Accepted) }()
	at, remote, sure := r.now(), remoteHost(req), proven(req)
	var refused, forbidden int
	decodeBeats(doc, new(beat), func(b *beat) *elementError {
		if e := r.keys.verify(b); e != nil {
			return e
		}
		b.authenticated = b.authenticated || sure
		b.remote = remote
		r.accept(b, at, "")
		p.Accepted++
		return nil
	}, func(e *elementError) {
		if e.reason == reasonForbidden {
			forbidden++
		} else {
			refused++
		}
		p.add(e)
	})
	r.accepted(p.Accepted, sourceJSON)
	if refused > 0 {
		r.refused(refused, reasonInvalid)
	}
	if forbidden > 0 {
		r.refused(forbidden, reasonForbidden)
	}
	status := http.StatusAccepted
	switch {
	case p.Accepted > 0:
	case refused > 0:
		status = http.StatusBadRequest
	case forbidden > 0:
		status = http.StatusForbidden
	}
	answer(w, status, p)
}
