// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/contract"
)

// maxPingBody is how much of a ping's body is read, and what the answer tells
// the client, as healthchecks.io does.
const maxPingBody = 100_000

// maxMessage is how much of it is kept, in bytes.
const maxMessage = 1000

// pingRequest is what a ping's path and query say.
type pingRequest struct {
	uuid      string // or
	key, slug string
	signal    signal
	exitCode  int // -1: none
	rid       string
	create    bool
}

// parsePing reads the part of the path after /ping/, and the query's rid and
// create. problem is the text of the answer, "" if all is well.
func parsePing(path, rid string, hasRID bool, create string) (p pingRequest, problem string) {
	const badURL = "invalid url format"
	p.exitCode = -1
	parts := strings.Split(path, "/")
	if isUUID(parts[0]) {
		p.uuid = strings.ToLower(parts[0])
		if parts = parts[1:]; len(parts) == 1 && parts[0] == "" {
			parts = nil // a slash at the end
		}
	} else {
		if len(parts) < 2 || !isPingKey(parts[0]) || !isSlug(parts[1]) {
			return p, badURL
		}
		p.key, p.slug = parts[0], parts[1]
		parts = parts[2:]
	}
	switch {
	case len(parts) > 1:
		return p, badURL
	case len(parts) == 1:
		switch action := parts[0]; action {
		case "start":
			p.signal = signalStart
		case "fail":
			p.signal = signalFail
		case "log":
			p.signal = signalLog
		default:
			code, err := strconv.ParseUint(action, 10, 8)
			if err != nil {
				return p, badURL
			}
			if p.exitCode = int(code); code != 0 {
				p.signal = signalFail
			}
		}
	}
	if hasRID {
		if !isUUID(rid) {
			return p, "invalid uuid format"
		}
		p.rid = strings.ToLower(rid)
	}
	p.create = create == "1"
	return p, ""
}

// isPingKey says whether s may be a ping key: letters, digits, - and _.
func isPingKey(s string) bool {
	if s == "" || len(s) > maxSlug {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// servePing is GET, HEAD and POST /ping/….
func (r *heartbeatReceiver) servePing(w http.ResponseWriter, req *http.Request) {
	if !only(w, req, http.MethodGet, http.MethodHead, http.MethodPost) {
		return
	}
	query := req.URL.Query()
	p, bad := parsePing(strings.TrimPrefix(req.URL.Path, "/ping/"), query.Get("rid"), query.Has("rid"), query.Get("create"))
	if bad != "" {
		r.refused(1, reasonInvalid)
		pong(w, http.StatusBadRequest, bad)
		return
	}
	var b beat
	if pr := readBody(req, maxPingBody, func(body []byte) { b.message = oneLine(body) }); pr != nil {
		r.refused(1, pr.why)
		pong(w, pr.status, pr.text)
		return
	}
	if !r.reserve(1) {
		r.refused(1, reasonQueueFull)
		w.Header().Set("Retry-After", "1")
		pong(w, errBusy.status, errBusy.text)
		return
	}
	status, text := r.takePing(&b, p, remoteHost(req), proven(req))
	if status >= http.StatusBadRequest {
		r.release(1)
	}
	pong(w, status, text)
}

// takePing hands on what a ping stands for; a place is reserved for it.
func (r *heartbeatReceiver) takePing(b *beat, p pingRequest, remote string, sure bool) (status int, text string) {
	ids, service := []string{p.uuid}, p.uuid
	if p.uuid == "" {
		ids, service = []string{slugID(p.key, p.slug), slugID("", p.slug)}, p.slug
	}
	_, signs := r.keys[service]
	at := r.now()

	r.checks.mu.Lock()
	c, created := r.checks.find(service, !signs, ids...)
	if c == nil {
		r.checks.mu.Unlock()
		if r.cfg.AutoCreate && signs {
			r.refused(1, reasonForbidden)
			return http.StatusForbidden, "the service " + service + " signs its heartbeats: write a check for this ping"
		}
		r.refused(1, reasonUnknownCheck)
		return http.StatusNotFound, "not found"
	}
	c.ping(b, p.signal, p.rid, at.now)
	key := c.senderKey()
	r.checks.mu.Unlock()

	if p.exitCode >= 0 {
		b.has |= 1 << fExitCode
		b.exitCode = int64(p.exitCode)
	}
	b.remote = remote
	b.authenticated = sure
	if p.signal == signalLog {
		r.logLine(b, at)
	} else {
		r.accept(b, at, key)
	}
	r.accepted(1, sourcePing)
	if created && p.create {
		return http.StatusCreated, "Created"
	}
	return http.StatusOK, "OK"
}

// logLine hands on a /log ping: words of a job, and no sign that it lives.
func (r *heartbeatReceiver) logLine(b *beat, at stamp) {
	if r.batch == nil {
		return
	}
	id := newIdentity(b)
	r.batch.add(func(dst plog.ResourceLogsSlice) {
		res, lr := newRecord(dst)
		id.putTo(res)
		r.stamper.put(lr, at)
		lr.SetEventName("")
		attrs := lr.Attributes()
		attrs.Remove(contract.EventName)
		putStr(attrs, contract.HeartbeatRemoteAddress, b.remote)
		lr.Body().SetStr(b.message)
	})
}

// pong answers as healthchecks.io does.
func pong(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "no-store")
	if status < http.StatusBadRequest {
		h.Set("Ping-Body-Limit", strconv.Itoa(maxPingBody))
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client is gone if this fails
}

// oneLine makes body one short line of printable text.
func oneLine(body []byte) string {
	var line strings.Builder
	space := false
	for len(body) > 0 {
		r, n := utf8.DecodeRune(body)
		body = body[n:]
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			space = line.Len() > 0
			continue
		}
		if line.Len()+utf8.UTFMax+1 > maxMessage {
			line.WriteString("…")
			break
		}
		if space {
			line.WriteByte(' ')
			space = false
		}
		line.WriteRune(r)
	}
	return line.String()
}
