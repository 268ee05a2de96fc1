// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// endpoint is a target's address in parts.
type endpoint struct {
	kind    string // http, tcp, grpc, dns
	address string // host:port; of dns empty for the system's own server
	tls     bool
	url     string // of http
	service string // of grpc; empty asks for the server as a whole
	name    dnsmessage.Name
	qtype   dnsmessage.Type
}

var dnsTypes = map[string]dnsmessage.Type{
	"A": dnsmessage.TypeA, "AAAA": dnsmessage.TypeAAAA, "CNAME": dnsmessage.TypeCNAME, "MX": dnsmessage.TypeMX,
	"NS": dnsmessage.TypeNS, "PTR": dnsmessage.TypePTR, "SRV": dnsmessage.TypeSRV, "TXT": dnsmessage.TypeTXT,
}

// parseEndpoint reads an endpoint; its errors never repeat a password.
func parseEndpoint(s string) (endpoint, error) {
	if len(s) > maxEndpoint {
		return endpoint{}, fmt.Errorf("has %d bytes, more than the %d allowed", len(s), maxEndpoint)
	}
	u, err := url.Parse(s)
	if err != nil {
		return endpoint{}, fmt.Errorf("is no URL: write one such as http://localhost:8080/health")
	}
	if u.User != nil {
		return endpoint{}, fmt.Errorf("must not hold a user or password: write an Authorization header into headers")
	}
	if u.Fragment != "" {
		return endpoint{}, fmt.Errorf("must not hold a fragment (#%s): remove it", u.Fragment)
	}
	switch u.Scheme {
	case "http", "https":
		port := u.Port()
		if port == "" {
			port = u.Scheme
		}
		return endpoint{kind: "http", url: u.String(), tls: u.Scheme == "https"},
			checkHostPort(net.JoinHostPort(u.Hostname(), port))
	case "tcp":
		if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return endpoint{}, fmt.Errorf("%q has more than tcp://host:port: remove what follows the port", s)
		}
		return endpoint{kind: "tcp", address: u.Host}, checkHostPort(u.Host)
	case "grpc", "grpcs":
		if u.RawQuery != "" {
			return endpoint{}, fmt.Errorf("%q has more than grpc://host:port/service: remove the query", s)
		}
		return endpoint{kind: "grpc", address: u.Host, tls: u.Scheme == "grpcs", service: strings.TrimPrefix(u.Path, "/")},
			checkHostPort(u.Host)
	case "dns":
		return parseDNS(u)
	}
	return endpoint{}, fmt.Errorf("%q has an unknown scheme: write http://, https://, tcp://, grpc://, grpcs:// or dns://", s)
}

func parseDNS(u *url.URL) (endpoint, error) {
	ep := endpoint{kind: "dns", qtype: dnsmessage.TypeA}
	name := strings.TrimPrefix(u.Path, "/")
	if name == "" || strings.Contains(name, "/") {
		return ep, fmt.Errorf("%q names nothing to look up: write dns://server/name or dns:///name", u)
	}
	if !strings.HasSuffix(name, ".") {
		name += "."
	}
	var err error
	if ep.name, err = dnsmessage.NewName(name); err == nil {
		// Only packing it tells whether its labels are well-formed.
		b := dnsmessage.NewBuilder(nil, dnsmessage.Header{})
		if err = b.StartQuestions(); err == nil {
			err = b.Question(dnsmessage.Question{Name: ep.name, Type: ep.qtype, Class: dnsmessage.ClassINET})
		}
	}
	if err != nil {
		return ep, fmt.Errorf("%q is no domain name", name)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return ep, fmt.Errorf("%q has a query that cannot be read: write ?type=A", u)
	}
	for key, values := range query {
		t, ok := dnsTypes[strings.ToUpper(values[0])]
		if key != "type" || !ok || len(values) > 1 {
			return ep, fmt.Errorf("?%s=%s is not known: write one type of A, AAAA, CNAME, MX, NS, PTR, SRV, TXT", key, values[0])
		}
		ep.qtype = t
	}
	if u.Host == "" {
		return ep, nil
	}
	port := u.Port()
	if port == "" {
		port = "53"
	}
	ep.address = net.JoinHostPort(u.Hostname(), port)
	return ep, checkHostPort(ep.address)
}
