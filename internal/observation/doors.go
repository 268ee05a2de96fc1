// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"iter"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// At which address an instance takes calls, and what the logs of proxies say of
// such an address. The spans of a server tell where it was called: by the socket,
// or by what its client named. Where that is the name of a proxy, the agent that
// tells the IP of the host (host.ip) says as much.

const (
	doorSlots = 256
	// doorAgain is after how many batches a door is told again: an instance may have
	// been forgotten meanwhile.
	doorAgain = 1000
)

// doorTold remembers a door that was told.
type doorTold struct {
	key   uint64
	batch uint32
}

// door tells the address at which the server's span in v was called.
func (sc *scratch) door() {
	v := &sc.v
	sc.tellDoor(v.local, v.localPort)
	sc.tellDoor(v.server, v.serverPort)
	sc.tellDoor(v.oldHost, 0)
	port := v.localPort
	if port <= 0 && (literal(v.server) || sc.src != nil && strings.EqualFold(v.server, sc.src.Host)) {
		port = v.serverPort // else it is that of whom the client named, such as a proxy
	}
	sc.tellPort(port)
}

// tellPort tells the port at which the server of the current resource was called on
// its host. A pod's ports are not its node's.
func (sc *scratch) tellPort(port int32) {
	if port <= 0 || port > 65535 || sc.src == nil || sc.src.Key == 0 || sc.src.Host == "" || sc.src.PodUID != "" {
		return
	}
	if !sc.doorIsTold(mix(sc.src.Key, uint64(port))) {
		sc.out.Doors = append(sc.out.Doors, report.Door{Source: sc.src, Address: strings.ToLower(sc.src.Host) + ":" + strconv.Itoa(int(port))})
	}
}

func (sc *scratch) tellDoor(host string, port int32) {
	if !literal(host) || sc.src == nil || sc.src.Key == 0 {
		return
	}
	key := mix(mixString(sc.src.Key, host), uint64(uint32(port)))
	if sc.doorIsTold(key) {
		return
	}
	address, ip := canonical(host, max(port, 0), 0, "")
	if !ip || loopback(host) || strings.HasSuffix(address, "]") || strings.Count(address, ":") == 0 {
		return // no IP, or no port
	}
	sc.out.Doors = append(sc.out.Doors, report.Door{Source: sc.src, Address: address})
}

// doorIsTold says whether a door was told of late, and takes it for told.
func (sc *scratch) doorIsTold(key uint64) bool {
	slot := &sc.doors[key%doorSlots]
	if slot.key == key && sc.batch-slot.batch < doorAgain {
		return true
	}
	*slot = doorTold{key, sc.batch}
	return false
}

// literal says whether a host may be an IP address: cheap, and true of few names.
func literal(host string) bool {
	return host != "" && (host[0]-'0' <= 9 || host[0] == '[' || len(host) > 4 && strings.IndexByte(host[:5], ':') >= 0)
}

// maxHostIPs is how many addresses of a host are told.
const maxHostIPs = 4

// hostDoors tells the addresses of the host on which the current resource serves.
func (sc *scratch) hostDoors(attrs pcommon.Map) {
	for host := range hostIPs(attrs) {
		if !sc.doorIsTold(mixString(sc.src.Key, host)) {
			if ip := canonicalIP(host); ip != "" {
				sc.out.Doors = append(sc.out.Doors, report.Door{Source: sc.src, Address: strings.Trim(ip, "[]")})
			}
		}
	}
}

// hostIPs are the addresses that a resource tells of its host, at most maxHostIPs.
func hostIPs(attrs pcommon.Map) iter.Seq[string] {
	return func(yield func(string) bool) {
		ips, ok := attrs.Get("host.ip")
		if !ok || ips.Type() != pcommon.ValueTypeSlice {
			return
		}
		told := 0
		for _, v := range ips.Slice().All() {
			host := v.Str()
			if told == maxHostIPs || !literal(host) || loopback(host) || strings.HasPrefix(host, "fe80:") {
				continue
			}
			if told++; !yield(host) {
				return
			}
		}
	}
}

// hostIPs tells the addresses of a host of which an agent there tells, for nobody who
// serves.
func (r *metricResource) hostIPs() {
	if r.src == nil || r.src.Key != 0 || r.src.Host == "" {
		return
	}
	for host := range hostIPs(r.attrs) {
		if ip := canonicalIP(host); ip != "" {
			r.out.Doors = append(r.out.Doors, report.Door{Source: r.src, Address: strings.Trim(ip, "[]")})
		}
	}
}

// proxied takes in a line of nobody that is known as a service, if it says how a
// call to an IP address failed: such lines are written by proxies.
func (r *logResource) proxied(lr plog.LogRecord, says meaning, s string) {
	o := says.outcome()
	if !phase(o) && o != report.OutcomeReset && !lost(o) || o == report.OutcomeDNS || o == report.OutcomeTLS {
		return
	}
	id, ok := upstream(s)
	if !ok || id.peerPort >= firstEphemeral || loopback(id.peer) || ofTelemetry(s, id.peerPort) {
		return
	}
	host := r.sc.x.source(&r.id)
	if host == nil {
		return // nobody's word
	}
	at := r.sc.past(when(lr))
	r.sc.out.Calls = append(r.sc.out.Calls, report.Calls{
		Caller: host, Callee: r.sc.callee(&id).Callee, Outcome: o, Count: 1, First: at, Last: at, Hearsay: true,
	})
}

// upstream is the address that a proxy's line is about. nginx and its kin say
// which it is; a line in which that stands twice was written by their client.
func upstream(s string) (id calleeID, ok bool) {
	const says = `upstream: "`
	if i := strings.Index(s, says); i >= 0 {
		url := s[i+len(says):]
		if strings.Contains(url, says) {
			return id, false
		}
		url, _, _ = strings.Cut(url, `"`)
		host, port, usual := hostOfURL(url)
		if port == 0 {
			port = usual
		}
		id = calleeID{peer: host, peerPort: port}
	} else {
		m := mentioned(s)
		id = calleeID{peer: clip(m.host), peerPort: m.port}
	}
	return id, id.peerPort > 0 && literal(id.peer)
}
