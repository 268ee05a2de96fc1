// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/faultline-otel/faultline/internal/contract"
)

// answerDNS is what the test's name server says to a question; nil is silence.
func answerDNS(query []byte, tcp bool) []byte {
	var q dnsmessage.Message
	if q.Unpack(query) != nil || len(q.Questions) != 1 {
		return nil
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true}, Questions: q.Questions}
	name := q.Questions[0].Name
	header := func(t dnsmessage.Type) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: name, Type: t, Class: dnsmessage.ClassINET, TTL: 1}
	}
	a := dnsmessage.Resource{Header: header(dnsmessage.TypeA), Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 7}}}
	label, _, _ := strings.Cut(name.String(), ".")
	switch label {
	case "app":
		switch q.Questions[0].Type {
		case dnsmessage.TypeA:
			m.Answers = append(m.Answers,
				dnsmessage.Resource{Header: header(dnsmessage.TypeCNAME), Body: &dnsmessage.CNAMEResource{CNAME: name}}, a)
		case dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: header(dnsmessage.TypeAAAA), Body: &dnsmessage.AAAAResource{AAAA: [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 1}},
			})
		}
	case "long":
		m.Truncated = !tcp
		if tcp {
			m.Answers = append(m.Answers, a)
		}
	case "servfail":
		m.RCode = dnsmessage.RCodeServerFailure
	case "other":
		m.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName("evil.example."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}
		m.Answers = append(m.Answers, a)
	case "forged":
		m.ID++
		m.Answers = append(m.Answers, a)
	case "garbage":
		return append(binary.BigEndian.AppendUint16(nil, q.ID), 0xff, 0xff, 0xff)
	case "silent":
		return nil
	default:
		m.RCode = dnsmessage.RCodeNameError
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// serveDNS answers over UDP and TCP on one port. It ignores the first ignore
// queries over UDP, as a lossy network would.
func serveDNS(t *testing.T, ignore int) (hostport string) {
	t.Helper()
	addr := serveTCP(t, func(c *net.TCPConn) {
		defer c.Close()
		var length [2]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		answer := answerDNS(query, true)
		_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	})
	udp, err := net.ListenPacket("udp", addr)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			if ignore--; ignore >= 0 {
				continue
			}
			if answer := answerDNS(buf[:n], false); answer != nil {
				_, _ = udp.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = udp.Close()
		<-done
	})
	return addr
}

func TestDNSProbe(t *testing.T) {
	addr := serveDNS(t, 0)
	for _, tt := range []struct {
		name    string
		lookup  string
		expect  []string
		timeout time.Duration
		want    string
		says    string
	}{
		{name: "address_is_ok", lookup: "app.example", want: contract.OutcomeOK},
		{name: "expected_address_is_ok", lookup: "app.example?type=A", expect: []string{"192.0.2.8", "192.0.2.7"}, want: contract.OutcomeOK},
		{name: "ipv6_address_is_ok", lookup: "app.example.?type=aaaa", expect: []string{"2001:db8::1"}, want: contract.OutcomeOK},
		{name: "another_address_is_wrong_answer", lookup: "app.example", expect: []string{"192.0.2.8"}, want: contract.OutcomeWrongAnswer, says: "192.0.2.7"},
		{name: "nxdomain_is_dns", lookup: "nobody.example", want: contract.OutcomeDNS, says: "NXDOMAIN"},
		{name: "servfail_is_dns", lookup: "servfail.example", want: contract.OutcomeDNS, says: "SERVFAIL"},
		{name: "no_such_record_is_dns", lookup: "app.example?type=MX", want: contract.OutcomeDNS, says: "no such record"},
		{name: "truncated_answer_is_asked_for_again_over_tcp", lookup: "long.example", expect: []string{"192.0.2.7"}, want: contract.OutcomeOK},
		{name: "answer_to_another_question_is_wrong_answer", lookup: "other.example", want: contract.OutcomeWrongAnswer},
		{name: "garbage_is_wrong_answer", lookup: "garbage.example", want: contract.OutcomeWrongAnswer},
		{name: "answer_with_another_id_is_ignored", lookup: "forged.example", timeout: quick, want: contract.OutcomeTimeout},
		{name: "silence_is_timeout", lookup: "silent.example", timeout: quick, want: contract.OutcomeTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := probeOnce(t, Config{
				Endpoint: "dns://" + addr + "/" + tt.lookup, Timeout: tt.timeout, Expect: ExpectConfig{Addresses: tt.expect},
			})
			assert.Equal(t, tt.want, r.Outcome, "%+v", r)
			assert.Contains(t, r.Message, tt.says)
		})
	}
}

func TestLostQueryIsSentAgain(t *testing.T) {
	r := probeOnce(t, Config{Endpoint: "dns://" + serveDNS(t, 1) + "/app.example", Timeout: time.Second})
	assert.Equal(t, contract.OutcomeOK, r.Outcome, "%+v", r)
}

func TestNoNameServerListensIsRefused(t *testing.T) {
	r := probeOnce(t, Config{Endpoint: "dns://" + closedPort(t) + "/app.example", Timeout: time.Second})
	assert.Equal(t, contract.OutcomeRefused, r.Outcome, "%+v", r)
}

func TestSystemsNameServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	require.NoError(t, os.WriteFile(file, []byte("# comment\nsearch example\nnameserver 2001:db8::53\nnameserver 192.0.2.1\n"), 0o600))
	server, err := systemServer(file)
	require.NoError(t, err)
	assert.Equal(t, "[2001:db8::53]:53", server)

	require.NoError(t, os.WriteFile(file, []byte("search example\n"), 0o600))
	_, err = systemServer(file)
	assert.ErrorContains(t, err, "dns://server/name")
}
