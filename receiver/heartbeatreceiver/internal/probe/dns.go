// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/faultline-otel/faultline/internal/contract"
)

// dnsTarget asks one name server one question. It writes the query itself,
// because the standard resolver asks several servers and types, and hides which
// of them said what.
type dnsTarget struct {
	server    string // host:port; empty: the system's first one
	question  dnsmessage.Question
	addresses []netip.Addr
	dialer    net.Dialer
	resolv    string // path of resolv.conf
}

func newDNS(ep endpoint, addresses []string) *dnsTarget {
	t := &dnsTarget{
		server:   ep.address,
		question: dnsmessage.Question{Name: ep.name, Type: ep.qtype, Class: dnsmessage.ClassINET},
		resolv:   "/etc/resolv.conf",
	}
	for _, a := range addresses {
		if addr, err := netip.ParseAddr(a); err == nil {
			t.addresses = append(t.addresses, addr.Unmap())
		}
	}
	return t
}

func (t *dnsTarget) probe(ctx context.Context) Result {
	server := t.server
	if server == "" {
		var err error
		if server, err = systemServer(t.resolv); err != nil {
			return Result{Outcome: contract.OutcomeError, Message: err.Error()}
		}
	}
	id := uint16(rand.Uint32())
	query, err := (&dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{t.question},
	}).Pack()
	if err != nil {
		return Result{Outcome: contract.OutcomeError, Message: err.Error()}
	}
	start := time.Now()
	answer, err := t.askUDP(ctx, server, id, query)
	if err == nil && answer.Truncated {
		answer, err = t.askTCP(ctx, server, id, query)
	}
	if err != nil {
		var f *dnsFailure
		if errors.As(err, &f) {
			return f.result
		}
		return Result{Outcome: contract.OutcomeError, Message: err.Error()}
	}
	r := t.judge(answer)
	r.RTT = time.Since(start)
	return r
}

func (t *dnsTarget) close() {}

// dnsFailure carries what a transport already knows of the outcome.
type dnsFailure struct{ result Result }

func (f *dnsFailure) Error() string { return f.result.Message }

func failDNS(err error, at phase) error { return &dnsFailure{failure(err, at)} }

// askUDP sends the query up to three times within the time there is, since the
// network may lose one.
func (t *dnsTarget) askUDP(ctx context.Context, server string, id uint16, query []byte) (*dnsmessage.Message, error) {
	// Only the server's own name is looked up here; a UDP socket sends nothing yet.
	conn, err := t.dialer.DialContext(ctx, "udp", server)
	if err != nil {
		return nil, failDNS(err, phaseResolve)
	}
	defer conn.Close()
	end, _ := ctx.Deadline()
	step := max(time.Until(end)/3, time.Millisecond)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 64<<10)
	for {
		if _, err := conn.Write(query); err != nil {
			return nil, failDNS(err, phaseConnect)
		}
		_ = conn.SetReadDeadline(time.Now().Add(step))
		for {
			if ctx.Err() != nil {
				return nil, failDNS(ctx.Err(), phaseConnect)
			}
			n, err := conn.Read(buf)
			if isTimeout(err) {
				break
			}
			if err != nil {
				return nil, failDNS(err, phaseConnect)
			}
			// What carries another id is a stray or a forgery: go on waiting.
			if n < 2 || binary.BigEndian.Uint16(buf) != id {
				continue
			}
			return t.parse(buf[:n])
		}
	}
}

// askTCP asks again for an answer that was too long for UDP.
func (t *dnsTarget) askTCP(ctx context.Context, server string, id uint16, query []byte) (*dnsmessage.Message, error) {
	var at tracker
	conn, err := t.dialer.DialContext(at.watch(ctx), "tcp", server)
	if err != nil {
		return nil, failDNS(err, at.phase())
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return nil, failDNS(err, phaseWait)
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, failDNS(err, phaseWait)
	}
	buf := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return nil, failDNS(err, phaseWait)
	}
	if len(buf) < 2 || binary.BigEndian.Uint16(buf) != id {
		return nil, wrongDNS("the answer over TCP carries another id than the question")
	}
	return t.parse(buf)
}

func wrongDNS(message string) error {
	return &dnsFailure{Result{Outcome: contract.OutcomeWrongAnswer, Message: message}}
}

// parse reads an answer and checks that it answers our question.
func (t *dnsTarget) parse(b []byte) (*dnsmessage.Message, error) {
	var m dnsmessage.Message
	if err := m.Unpack(b); err != nil {
		return nil, wrongDNS("the answer cannot be read: " + err.Error())
	}
	// A server that failed early may leave the question out.
	if !m.Response || len(m.Questions) > 1 || len(m.Questions) == 0 && m.RCode == dnsmessage.RCodeSuccess {
		return nil, wrongDNS("the answer is to another question")
	}
	for _, q := range m.Questions {
		if q.Type != t.question.Type || !strings.EqualFold(q.Name.String(), t.question.Name.String()) {
			return nil, wrongDNS("the answer is to another question")
		}
	}
	return &m, nil
}

// judge says what an answer is worth: an error code or no record is a failed
// look-up, another address than expected a wrong answer.
func (t *dnsTarget) judge(m *dnsmessage.Message) Result {
	if m.RCode != dnsmessage.RCodeSuccess {
		return Result{Outcome: contract.OutcomeDNS, Message: fmt.Sprintf("the name server says %s", rcodeName(m.RCode))}
	}
	found := 0
	for i := range m.Answers {
		if m.Answers[i].Header.Type != t.question.Type {
			continue // a CNAME on the way
		}
		found++
		addr, ok := addressOf(m.Answers[i].Body)
		if ok && len(t.addresses) > 0 && !slices.Contains(t.addresses, addr) {
			return Result{Outcome: contract.OutcomeWrongAnswer, Message: fmt.Sprintf("resolves to %s, which is not expected", addr)}
		}
	}
	if found == 0 {
		return Result{Outcome: contract.OutcomeDNS, Message: "the name has no such record"}
	}
	return Result{Outcome: contract.OutcomeOK}
}

func addressOf(body dnsmessage.ResourceBody) (netip.Addr, bool) {
	switch b := body.(type) {
	case *dnsmessage.AResource:
		return netip.AddrFrom4(b.A), true
	case *dnsmessage.AAAAResource:
		return netip.AddrFrom16(b.AAAA).Unmap(), true
	}
	return netip.Addr{}, false
}

func rcodeName(c dnsmessage.RCode) string {
	switch c {
	case dnsmessage.RCodeNameError:
		return "NXDOMAIN: the name does not exist"
	case dnsmessage.RCodeServerFailure:
		return "SERVFAIL: it failed"
	case dnsmessage.RCodeRefused:
		return "REFUSED: it will not answer"
	}
	return c.String()
}

// systemServer is the first name server of a resolv.conf, port 53.
func systemServer(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("the system's name server is not known (write it: dns://server/name): %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxBody))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && fields[0] == "nameserver" {
			return net.JoinHostPort(fields[1], "53"), nil
		}
	}
	return "", fmt.Errorf("%s names no server: write it: dns://server/name", file)
}
