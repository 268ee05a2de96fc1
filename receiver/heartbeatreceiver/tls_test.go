// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"

	"github.com/faultline-otel/faultline/internal/contract"
)

// selfSigned writes a certificate that is its own authority, good for both
// ends, and its key; it returns both for a client.
func selfSigned(t *testing.T) (certFile, keyFile string, cert tls.Certificate, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "charger-7"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, certPEM, 0o600))
	require.NoError(t, os.WriteFile(keyFile, keyPEM, 0o600))
	cert, err = tls.X509KeyPair(certPEM, keyPEM)
	require.NoError(t, err)
	pool = x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(certPEM))
	return certFile, keyFile, cert, pool
}

func TestVerifiedCertificateAuthenticates(t *testing.T) {
	certFile, keyFile, cert, pool := selfSigned(t)
	for name, tt := range map[string]struct {
		clientCA bool // the server verifies
		sure     any
	}{
		"verified":      {true, true},
		"not_asked_for": {false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, func(c *Config) {
				withChecks(c)
				server := configtls.ServerConfig{Config: configtls.Config{CertFile: certFile, KeyFile: keyFile}}
				if tt.clientCA {
					server.ClientCAFile = certFile
				}
				c.HTTP.TLS = configoptional.Some(server)
			})
			g.url = strings.Replace(g.url, "http:", "https:", 1)
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}}}
			defer transport.CloseIdleConnections()
			g.client.Transport = transport
			status, text := g.postJSON(`{"service":"charger"}`)
			require.Equal(t, http.StatusAccepted, status, text)
			status, _, _ = g.do(http.MethodGet, "/ping/"+nightly, "")
			require.Equal(t, http.StatusOK, status)
			status, _ = g.postOTLP(otlpBeat(nil), typeProto)
			require.Equal(t, http.StatusOK, status)
			for _, b := range g.beats(3) {
				assert.Equal(t, tt.sure, b.attrs[contract.HeartbeatAuthenticated])
			}
		})
	}
}
