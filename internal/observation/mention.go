// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"net/netip"
	"strings"
)

// mention is an address that a message names.
type mention struct {
	host string // part of the message; "" if it names none
	port int32  // 0 if none is told
	ip   bool
	name string // of an IP address, what was looked up to find it; "" if not told
}

// callee is whom a message speaks of that names m.
func (m *mention) callee() calleeID {
	switch {
	case !m.ip:
		return calleeID{server: clip(m.host), serverPort: m.port}
	case m.name == "":
		return calleeID{peer: clip(m.host), peerPort: m.port}
	}
	return calleeID{peer: clip(m.host), peerPort: m.port, server: clip(m.name), serverPort: m.port}
}

// mentioned finds the address that an error message is about:
//
//	dial tcp 10.0.0.7:8080: connect: connection refused              Go
//	read tcp 10.0.0.5:3333->10.0.0.7:8080: connection reset by peer  the far end of the two
//	Get "http://payment:8080/": dial tcp 10.0.0.7:8080: i/o timeout  Go, and what it asked for
//	Connection refused: payment/10.0.0.7:8080                        netty
//	connect ECONNREFUSED ::1:8080                                    Node, IPv6 without brackets
//	Connect call failed ('10.0.0.7', 8080)                           asyncio
//	connection to server at "10.0.0.7", port 5432 failed             libpq
//	connection to server at "db" (10.0.0.7), port 5432 failed        the same, of a name
//	failed to connect to `user=app`: 10.0.0.7:5432 (db): dial error  pgx
//	HTTPConnectionPool(host='payment', port=8080)                    urllib3
//	Error 111 connecting to redis:6379                               redis-py
//
// IP addresses are taken wherever they stand, names only after words that
// introduce one: `Main.java:123` is no address.
func mentioned(s string) mention {
	if len(s) > maxText {
		s = s[:maxText]
	}
	var bare, v6, url mention
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '[' && (c-'0' > 9 || i > 0 && inAddress(s[i-1])) {
			continue
		}
		m, end := addressAt(s, i)
		if m.host == "" {
			if c != '[' { // the rest of these digits is no address either
				for i+1 < len(s) && s[i+1]-'0' <= 9 {
					i++
				}
			}
			continue
		}
		start := i
		i = end - 1
		m.name = nameBefore(s, start)
		if m.name == "" && strings.Contains(s[:start], "failed to connect to `") { // pgx
			m.name = nameAfter(s, end)
		}
		if m.name == "" {
			m.name = nameInURL(s[:start], m.port)
		}
		switch {
		case strings.HasPrefix(s[end:], "->"): // the caller's own end
		case m.port != 0 && start >= 2 && s[start-1] == '/' && s[start-2] == '/':
			url = m // what was asked for; the rest of the message tells what failed
		case m.port != 0 && c == '[' && strings.HasPrefix(m.host, "::1"):
			v6 = m // "localhost" tries both: prefer the other, if it is named too
		case m.port != 0:
			return m
		case bare.host == "":
			bare = m
		}
	}
	if v6.host != "" {
		return v6
	}
	if url.host != "" {
		return url
	}
	if m := introduced(s); m.host != "" {
		return m
	}
	return bare
}

// nameBefore is the name that stands before an address which it was looked up to be:
// `payment/10.0.0.7:8080`, `"db" (10.0.0.7)`.
func nameBefore(s string, i int) string {
	end := i - 1
	switch {
	case strings.HasSuffix(s[:i], `" (`):
		end = i - len(`" (`)
		if end > 0 && s[end-1] == '\\' { // inside JSON
			end--
		}
	case end < 0 || s[end] != '/':
		return ""
	}
	start := end
	for start > 0 && inAddress(s[start-1]) {
		start--
	}
	if start > 0 && s[start-1] == '/' {
		return "" // the path of a file or URL
	}
	return s[start:end]
}

// nameInURL is the name in the URL that was asked for before an address was dialled at the
// same port: `Get "http://payment:8080/": dial tcp 10.0.0.7:8080`.
func nameInURL(s string, port int32) string {
	i := strings.LastIndex(s, "://")
	if i < 0 || port == 0 || !strings.HasSuffix(s, "dial tcp ") {
		return ""
	}
	scheme := i
	for scheme > 0 && inWord(s[scheme-1]) {
		scheme--
	}
	host, at, usual := hostOfURL(s[scheme:])
	if at == 0 {
		at = usual
	}
	if at != port || literal(host) {
		return ""
	}
	return host
}

// nameAfter is the name in brackets that follows an address.
func nameAfter(s string, i int) string {
	if !strings.HasPrefix(s[i:], " (") {
		return ""
	}
	start := i + len(" (")
	end := start
	for end < len(s) && inAddress(s[end]) {
		end++
	}
	if !strings.HasPrefix(s[end:], "):") {
		return ""
	}
	return s[start:end]
}

// inAddress says whether c before a digit makes it part of something longer.
func inAddress(c byte) bool { return inWord(c) || c == '.' || c == '-' }

// addressAt reads an IP address, and a port if one follows, at s[i].
func addressAt(s string, i int) (m mention, end int) {
	if s[i] == '[' {
		n := strings.IndexByte(s[i:min(len(s), i+48)], ']')
		if n < 0 {
			return m, i
		}
		inside := s[i+1 : i+n]
		if a, err := netip.ParseAddr(inside); err != nil || !a.Is6() {
			return m, i
		}
		m.host, m.ip, end = inside, true, i+n+1
		if end < len(s) && s[end] == ':' {
			m.port, end = digitsAt(s, end+1, end)
		}
		return m, end
	}
	end = i
	for end < len(s) && end-i < 15 && (s[end]-'0' <= 9 || s[end] == '.') {
		end++
	}
	for end > i && s[end-1] == '.' {
		end--
	}
	host := s[i:end]
	if end < len(s) && inWord(s[end]) || strings.Count(host, ".") != 3 {
		return m, i
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return m, i
	}
	m.host, m.ip = host, true
	if end < len(s) && s[end] == ':' {
		m.port, end = digitsAt(s, end+1, end)
		return m, end
	}
	m.port, end = portAfter(s, end, i > 0 && (s[i-1] == '\'' || s[i-1] == '"'))
	return m, end
}

// digitsAt reads a port at s[i]; if there is none, it returns otherwise as the end.
func digitsAt(s string, i, otherwise int) (port int32, end int) {
	end = i
	for end < len(s) && end-i < 6 && s[end]-'0' <= 9 {
		end++
	}
	if p, ok := portNumber(s[i:end]); ok {
		return p, end
	}
	return 0, otherwise
}

// portAfter reads a port that stands apart from its host: `', 8080` after a
// quoted host, or `, port=8080`.
func portAfter(s string, i int, quoted bool) (port int32, end int) {
	j := i
	for j < len(s) && j-i < 4 && strings.IndexByte(`'", )`, s[j]) >= 0 {
		j++
	}
	if named := strings.HasPrefix(s[j:], "port"); named {
		j += len("port")
		for j < len(s) && (s[j] == ' ' || s[j] == '=' || s[j] == ':') {
			j++
		}
	} else if !quoted || strings.IndexByte(s[i:j], ',') < 0 {
		return 0, i
	}
	return digitsAt(s, j, i)
}

// introductions are words after which a name with a port is an address. Those
// that end in a quote hold the name in quotes, with the port after it.
var introductions = [...]string{
	"econnrefused ", "etimedout ", "econnreset ", "ehostunreach ", "enetunreach ",
	"connecting to ", "connect to ", "dial tcp ", "connection refused: ", "connection timed out: ",
	"connection to server at \"", "host='", "server on '",
}

func introduced(s string) mention {
	lower := strings.ToLower(s)
	if len(lower) != len(s) {
		return mention{} // folding moved the bytes
	}
	for _, words := range introductions {
		i := strings.Index(lower, words)
		if i < 0 {
			continue
		}
		i += len(words)
		end := i
		for end < len(s) && (inAddress(s[end]) || s[end] == ':' || s[end] == '/') {
			end++
		}
		token := strings.TrimRight(s[i:end], ":./")
		if quote := words[len(words)-1]; quote == '\'' || quote == '"' {
			if port, _ := portAfter(s, i+len(token), true); port != 0 {
				return mention{host: token, port: port}
			}
		}
		if j := strings.LastIndexByte(token, ':'); j > 0 {
			host := token[:j]
			host = host[strings.LastIndexByte(host, '/')+1:]
			port, ok := portNumber(token[j+1:])
			if !ok || host == "" {
				continue
			}
			_, err := netip.ParseAddr(host)
			if err == nil || strings.IndexByte(host, ':') < 0 {
				return mention{host: host, port: port, ip: err == nil}
			}
		}
	}
	return mention{}
}
