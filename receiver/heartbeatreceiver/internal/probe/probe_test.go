// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.uber.org/goleak"

	"github.com/faultline-otel/faultline/internal/contract"
)

func TestMain(m *testing.M) {
	// A test starts this binary again as the process that it looks at.
	if mode := os.Getenv(childMode); mode != "" {
		child(mode)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

const childMode = "FAULTLINE_PROBE_TEST_CHILD"

// quick is a time-out for targets that never answer.
const quick = 300 * time.Millisecond

func newProber(t *testing.T, cfg Config) Prober {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	cfg.CollectionInterval = defaultInterval
	require.NoError(t, cfg.Validate())
	p, err := New(t.Context(), &cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, p.Close())
		assert.NoError(t, p.Close(), "closing twice")
	})
	return p
}

func probeOnce(t *testing.T, cfg Config) Result {
	t.Helper()
	return newProber(t, cfg).Probe(t.Context())
}

// serveTCP hands each accepted connection to handle, which owns it.
func serveTCP(t *testing.T, handle func(*net.TCPConn)) (hostport string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			handle(c.(*net.TCPConn))
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// silent accepts and never says a word until the test ends.
func silent(t *testing.T) (hostport string) {
	var conns []net.Conn
	// Cleanups run last to first: the accepting ends before this.
	t.Cleanup(func() {
		for _, c := range conns {
			_ = c.Close()
		}
	})
	return serveTCP(t, func(c *net.TCPConn) { conns = append(conns, c) })
}

// resetting reads a first chunk and answers with RST.
func resetting(t *testing.T) (hostport string) {
	return serveTCP(t, func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 4096))
		_ = c.SetLinger(0)
		_ = c.Close()
	})
}

// closing reads a first chunk and hangs up politely.
func closing(t *testing.T) (hostport string) {
	return serveTCP(t, func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 64<<10))
		_ = c.Close()
	})
}

// closedPort is an address on which nobody listens.
func closedPort(t *testing.T) (hostport string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func TestHowATargetFailsIsToldApart(t *testing.T) {
	greeting := ExpectConfig{BodyContains: "220"}
	for _, tt := range []struct {
		name   string
		listen func(*testing.T) string
		want   string
		tcp    string // what a TCP probe with an expected greeting says
	}{
		{"nobody_listens_is_refused", closedPort, contract.OutcomeRefused, contract.OutcomeRefused},
		{"accepted_then_silent_is_no_answer", silent, contract.OutcomeNoAnswer, contract.OutcomeNoAnswer},
		{"rst_after_connect_is_reset", resetting, contract.OutcomeReset, ""},
		{"hang_up_without_an_answer_is_reset", closing, contract.OutcomeReset, ""},
		{"full_backlog_is_timeout", fullBacklog, contract.OutcomeTimeout, contract.OutcomeTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := tt.listen(t)
			for _, scheme := range []string{"http", "https", "grpc", "grpcs"} {
				r := probeOnce(t, Config{Endpoint: scheme + "://" + addr, Timeout: quick})
				assert.Equal(t, tt.want, r.Outcome, "%s: %+v", scheme, r)
				assert.NotEmpty(t, r.Message, scheme)
				assert.Zero(t, r.RTT, "%s: no answer has no round trip", scheme)
			}
			if tt.tcp != "" {
				r := probeOnce(t, Config{Endpoint: "tcp://" + addr, Timeout: quick, Expect: greeting})
				assert.Equal(t, tt.tcp, r.Outcome, "tcp: %+v", r)
			}
		})
	}
}

func TestNameThatDoesNotExistIsDNS(t *testing.T) {
	// .invalid never resolves (RFC 6761): by whatever resolver there is, or by none.
	for _, endpoint := range []string{"http://faultline.invalid:80/", "tcp://faultline.invalid:80", "grpc://faultline.invalid:80"} {
		r := probeOnce(t, Config{Endpoint: endpoint, Timeout: 2 * time.Second})
		assert.Equal(t, contract.OutcomeDNS, r.Outcome, "%s: %+v", endpoint, r)
	}
}

func TestTCPProbe(t *testing.T) {
	addr := serveTCP(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "220 mail.exa")
		_, _ = io.WriteString(c, "mple ready\r\n")
		_ = c.Close()
	})
	for _, tt := range []struct {
		name   string
		expect ExpectConfig
		want   string
	}{
		{"connecting_is_enough", ExpectConfig{}, contract.OutcomeOK},
		{"greeting_in_parts_is_found", ExpectConfig{BodyContains: "example ready"}, contract.OutcomeOK},
		{"greeting_matches_regex", ExpectConfig{BodyRegex: `^220 .* ready`}, contract.OutcomeOK},
		{"other_greeting_is_wrong_answer", ExpectConfig{BodyContains: "SSH-2.0"}, contract.OutcomeWrongAnswer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := probeOnce(t, Config{Endpoint: "tcp://" + addr, Expect: tt.expect})
			assert.Equal(t, tt.want, r.Outcome, "%+v", r)
			assert.Positive(t, r.RTT)
		})
	}
}

func TestGreetingWithoutEndIsBounded(t *testing.T) {
	addr := serveTCP(t, func(c *net.TCPConn) {
		go func() {
			defer c.Close()
			chunk := make([]byte, 4096)
			for {
				if _, err := c.Write(chunk); err != nil {
					return
				}
			}
		}()
	})
	r := probeOnce(t, Config{Endpoint: "tcp://" + addr, Expect: ExpectConfig{BodyContains: "never"}})
	assert.Equal(t, contract.OutcomeWrongAnswer, r.Outcome, "%+v", r)
}

func TestHTTPAnswers(t *testing.T) {
	body := "known answer: 42\n"
	sum := sha256.Sum256([]byte(body))
	digest := hex.EncodeToString(sum[:])
	mux := http.NewServeMux()
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		_, _ = fmt.Sscan(r.PathValue("code"), &code)
		w.Header().Set("Location", "/answer")
		w.WriteHeader(code)
	})
	mux.HandleFunc("/answer", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxBody+1)) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/stall", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s %s", r.Method, r.Host, r.Header.Get("Authorization"))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	for _, tt := range []struct {
		name   string
		path   string
		cfg    Config
		want   string
		digest string
	}{
		{name: "success_is_ok", path: "/answer", want: contract.OutcomeOK},
		{name: "no_content_is_ok", path: "/status/204", want: contract.OutcomeOK},
		{name: "own_failure_is_error", path: "/status/500", want: contract.OutcomeError},
		{name: "unavailable_is_error", path: "/status/503", want: contract.OutcomeError},
		{name: "listed_failure_is_ok", path: "/status/503", cfg: Config{Expect: ExpectConfig{Status: []int{503}}}, want: contract.OutcomeOK},
		{name: "own_failure_is_error_whatever_is_listed", path: "/status/500", cfg: Config{Expect: ExpectConfig{Status: []int{200}}}, want: contract.OutcomeError},
		{name: "overload_is_error", path: "/status/429", cfg: Config{Expect: ExpectConfig{Status: []int{200}}}, want: contract.OutcomeError},
		{name: "not_found_without_a_list_is_error", path: "/status/404", want: contract.OutcomeError},
		{name: "other_than_listed_is_wrong_answer", path: "/status/204", cfg: Config{Expect: ExpectConfig{Status: []int{200, 201}}}, want: contract.OutcomeWrongAnswer},
		{name: "redirect_is_not_followed", path: "/status/302", want: contract.OutcomeError},
		{name: "redirect_is_followed_when_asked", path: "/status/302", cfg: Config{FollowRedirects: true, Expect: ExpectConfig{BodyContains: "42"}}, want: contract.OutcomeOK},
		{name: "endless_redirect_is_error", path: "/loop", cfg: Config{FollowRedirects: true}, want: contract.OutcomeError},
		{name: "text_is_there", path: "/answer", cfg: Config{Expect: ExpectConfig{BodyContains: "answer: 42"}}, want: contract.OutcomeOK},
		{name: "text_is_missing", path: "/answer", cfg: Config{Expect: ExpectConfig{BodyContains: "43"}}, want: contract.OutcomeWrongAnswer},
		{name: "regex_matches", path: "/answer", cfg: Config{Expect: ExpectConfig{BodyRegex: `\d+\n$`}}, want: contract.OutcomeOK},
		{name: "regex_does_not_match", path: "/answer", cfg: Config{Expect: ExpectConfig{BodyRegex: `^\d`}}, want: contract.OutcomeWrongAnswer},
		{name: "known_answer", path: "/answer", cfg: Config{Expect: ExpectConfig{Digest: strings.ToUpper(digest)}}, want: contract.OutcomeOK, digest: digest},
		{name: "answer_differs", path: "/answer", cfg: Config{Expect: ExpectConfig{Digest: strings.Repeat("ab", 32)}}, want: contract.OutcomeWrongAnswer, digest: digest},
		{name: "known_answer_cannot_be_that_long", path: "/large", cfg: Config{Expect: ExpectConfig{Digest: digest}}, want: contract.OutcomeWrongAnswer},
		{name: "long_body_is_ok_if_nothing_is_expected_of_it", path: "/large", want: contract.OutcomeOK},
		{name: "answer_that_stalls_is_no_answer", path: "/stall", cfg: Config{Timeout: quick}, want: contract.OutcomeNoAnswer},
		{name: "answer_cut_short_is_reset", path: "/cut", want: contract.OutcomeReset},
		{name: "method_host_and_headers_are_sent", path: "/echo", want: contract.OutcomeOK, cfg: Config{
			Method:  "PUT",
			Headers: configopaque.MapList{{Name: "authorization", Value: "Bearer x"}, {Name: "Host", Value: "app.example"}},
			Expect:  ExpectConfig{BodyRegex: `^PUT app\.example Bearer x$`},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Endpoint = server.URL + tt.path
			r := probeOnce(t, tt.cfg)
			assert.Equal(t, tt.want, r.Outcome, "%+v", r)
			assert.Equal(t, tt.digest, r.Digest)
			assert.Equal(t, tt.want == contract.OutcomeOK, r.Message == "", "a message where something is wrong: %+v", r)
			answered := tt.want == contract.OutcomeOK || tt.want == contract.OutcomeWrongAnswer || tt.want == contract.OutcomeError
			assert.Equal(t, answered, r.RTT > 0, "%+v", r)
		})
	}
}

func TestAnswerThatIsNotHTTPIsWrongAnswer(t *testing.T) {
	addr := serveTCP(t, func(c *net.TCPConn) {
		_, _ = bufio.NewReader(c).ReadString('\n')
		_, _ = io.WriteString(c, "-ERR unknown command\r\n")
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	})
	r := probeOnce(t, Config{Endpoint: "http://" + addr})
	assert.Equal(t, contract.OutcomeWrongAnswer, r.Outcome, "%+v", r)
}

func TestEachProbeConnectsAnew(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Start()
	p := newProber(t, Config{Endpoint: server.URL})
	require.Equal(t, contract.OutcomeOK, p.Probe(t.Context()).Outcome)
	// Only the listener dies; a kept connection would still be served.
	require.NoError(t, server.Listener.Close())
	assert.Equal(t, contract.OutcomeRefused, p.Probe(t.Context()).Outcome)
	server.Close()
}

func TestProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://"+closedPort(t))
	t.Setenv("http_proxy", "http://"+closedPort(t))
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	assert.Equal(t, contract.OutcomeOK, probeOnce(t, Config{Endpoint: server.URL}).Outcome)
}

func TestCancelledProbeBlamesNobody(t *testing.T) {
	addr := silent(t)
	for _, endpoint := range []string{"http://" + addr, "grpc://" + addr, "tcp://" + addr} {
		cfg := Config{Endpoint: endpoint}
		if strings.HasPrefix(endpoint, "tcp") {
			cfg.Expect.BodyContains = "220"
		}
		p := newProber(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		assert.Equal(t, Result{}, p.Probe(ctx), endpoint)
	}
}

func TestClassifiesByType(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("package syscall has no numbers of Windows' own for these")
	}
	dial := func(no syscall.Errno) error {
		return &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", no)}
	}
	for _, tt := range []struct {
		name string
		err  error
		at   phase
		want string
	}{
		{"no_route_to_host", dial(syscall.EHOSTUNREACH), phaseConnect, contract.OutcomeUnreachable},
		{"no_route_to_network", dial(syscall.ENETUNREACH), phaseConnect, contract.OutcomeUnreachable},
		{"kernel_gave_up_connecting", dial(syscall.ETIMEDOUT), phaseConnect, contract.OutcomeTimeout},
		{"kernel_gave_up_waiting", &net.OpError{Op: "read", Err: syscall.ETIMEDOUT}, phaseWait, contract.OutcomeNoAnswer},
		{"silent_name_server", context.DeadlineExceeded, phaseResolve, contract.OutcomeDNS},
		{"broken_pipe", &net.OpError{Op: "write", Err: syscall.EPIPE}, phaseWait, contract.OutcomeReset},
		{"out_of_descriptors_is_our_fault", dial(syscall.EMFILE), phaseConnect, contract.OutcomeError},
		{"alert_from_the_other_end", &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, phaseWait, contract.OutcomeTLS},
		{"anything_in_a_handshake", errors.New("weird"), phaseHandshake, contract.OutcomeTLS},
		{"anything_else", errors.New("weird"), phaseWait, contract.OutcomeError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, failure(tt.err, tt.at).Outcome)
		})
	}
	assert.Contains(t, failure(dial(syscall.EMFILE), phaseConnect).Message, "observer itself")
}
