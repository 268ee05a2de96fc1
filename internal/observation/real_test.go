// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// What this Go's own libraries say of real failures on real sockets.
func TestWordings_of_real_failures(t *testing.T) {
	patient, hasty := &http.Client{Timeout: time.Minute}, &http.Client{Timeout: 500 * time.Millisecond}
	get := func(c *http.Client, url string) func() error {
		return func() error {
			resp, err := c.Get(url)
			if err == nil {
				resp.Body.Close()
			}
			return err
		}
	}
	listen := func(serve func(net.Conn)) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		if serve != nil {
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					serve(c)
				}
			}()
		}
		return l.Addr().String()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	mute := listen(nil) // the kernel accepts, nobody answers
	resets := listen(func(c net.Conn) {
		buf := make([]byte, 1)
		_, _ = c.Read(buf)
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	})
	hangsUp := listen(func(c net.Conn) {
		buf := make([]byte, 4096)
		_, _ = c.Read(buf)
		c.Close()
	})
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	canceled, cancel := context.WithCancel(context.Background())
	cancel()

	for name, c := range map[string]struct {
		fail    func() error
		outcome report.Outcome
		address string // that the message names, "" if none
	}{
		"refused":      {get(patient, "http://"+closed), report.OutcomeRefused, closed},
		"mute":         {get(hasty, "http://"+mute), report.OutcomeTimeout, ""},
		"reset":        {get(patient, "http://"+resets), report.OutcomeReset, resets},
		"hangs_up":     {get(patient, "http://"+hangsUp), report.OutcomeReset, ""},
		"unknown_cert": {get(patient, secure.URL), report.OutcomeTLS, ""},
		"no_tls_there": {func() error {
			c, err := tls.Dial("tcp", plain.Listener.Addr().String(), &tls.Config{MinVersion: tls.VersionTLS12})
			if err == nil {
				c.Close()
			}
			return err
		}, report.OutcomeTLS, ""},
		"canceled": {func() error {
			req, _ := http.NewRequestWithContext(canceled, http.MethodGet, plain.URL, nil)
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			return err
		}, report.OutcomeCanceled, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.fail()
			if err == nil {
				t.Fatal("it did not fail")
			}
			if got := words().read(err.Error()).outcome(); got != c.outcome {
				t.Errorf("%q: outcome %q, want %q", err, got, c.outcome)
			}
			if m := mentioned(err.Error()); c.address != "" {
				if got, _ := canonical(m.host, m.port, 0, ""); got != c.address {
					t.Errorf("%q: address %q, want %q", err, got, c.address)
				}
			}
		})
	}
}
