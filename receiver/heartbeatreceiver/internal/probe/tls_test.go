// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configtls"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/faultline-otel/faultline/internal/contract"
)

// selfSigned is a certificate for 127.0.0.1 that is its own authority.
func selfSigned(t *testing.T, from, until time.Time) (cert tls.Certificate, ca configopaque.String) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "probe test"},
		NotBefore: from, NotAfter: until, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		configopaque.String(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestTLS(t *testing.T) {
	day := 24 * time.Hour
	good, goodCA := selfSigned(t, time.Now().Add(-day), time.Now().Add(day))
	expired, expiredCA := selfSigned(t, time.Now().Add(-2*day), time.Now().Add(-day))
	_, otherCA := selfSigned(t, time.Now().Add(-day), time.Now().Add(day))

	trusts := func(ca configopaque.String) configtls.ClientConfig {
		return configtls.ClientConfig{Config: configtls.Config{CAPem: ca}}
	}
	for _, tt := range []struct {
		name   string
		server *tls.Config
		client configtls.ClientConfig
		want   string
	}{
		{"trusted_is_ok", &tls.Config{Certificates: []tls.Certificate{good}}, trusts(goodCA), contract.OutcomeOK},
		{"unknown_authority", &tls.Config{Certificates: []tls.Certificate{good}}, trusts(otherCA), contract.OutcomeTLS},
		{"expired", &tls.Config{Certificates: []tls.Certificate{expired}}, trusts(expiredCA), contract.OutcomeTLS},
		{
			"certificate_of_another_host", &tls.Config{Certificates: []tls.Certificate{good}},
			configtls.ClientConfig{Config: configtls.Config{CAPem: goodCA}, ServerName: "other.example"}, contract.OutcomeTLS,
		},
		{
			"no_client_certificate", &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAnyClientCert},
			trusts(goodCA), contract.OutcomeTLS,
		},
		{
			"no_common_version", &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS13},
			configtls.ClientConfig{Config: configtls.Config{CAPem: goodCA, MaxVersion: "1.2"}}, contract.OutcomeTLS,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.TLS = tt.server.Clone()
			server.StartTLS()
			t.Cleanup(server.Close)
			r := probeOnce(t, Config{Endpoint: server.URL, TLS: tt.client})
			assert.Equal(t, tt.want, r.Outcome, "https: %+v", r)

			addr := serveHealth(t, &healthServer{}, grpc.Creds(credentials.NewTLS(tt.server.Clone())))
			r = probeOnce(t, Config{Endpoint: "grpcs://" + addr, TLS: tt.client})
			assert.Equal(t, tt.want, r.Outcome, "grpcs: %+v", r)
		})
	}
}

func TestPlainServerBehindHTTPSIsTLS(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(server.Close)
	r := probeOnce(t, Config{Endpoint: "https://" + server.Listener.Addr().String()})
	assert.Equal(t, contract.OutcomeTLS, r.Outcome, "%+v", r)
}

func TestUnreadableTLSFileIsAnErrorOfNew(t *testing.T) {
	cfg := Config{
		Endpoint: "https://localhost", CollectionInterval: time.Second, Timeout: time.Second,
		TLS: configtls.ClientConfig{Config: configtls.Config{CAFile: "/does/not/exist"}},
	}
	_, err := New(t.Context(), &cfg)
	assert.ErrorContains(t, err, "tls: ")
}
