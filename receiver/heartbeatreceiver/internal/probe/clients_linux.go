// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"bytes"
	"cmp"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Workers, consumers and pollers take no connections: they keep one that they
// opened, to a broker or a database. Such a process is followed like a server if it
// sends telemetry, for of another nobody could say whose end it was, and if nobody
// sits at a terminal before it.

const (
	// clientsEvery is the time between looks for clients, and keptFor how long a
	// connection must have been seen to stand: who asks and goes is none.
	clientsEvery = 10 * time.Second
	keptFor      = 30 * time.Second
	// maxAncestors is how far up those who started a process are looked for.
	maxAncestors = 16
)

// clients is what is known of connections that were opened from here.
type clients struct {
	holders holders
	since   map[uint64]time.Time // by socket, when it was first seen to stand
	next    time.Time            // when to look again
}

// opened is a standing connection.
type opened struct {
	local, remote netip.AddrPort
	inode         uint64
}

// findClients finds out which clients are to be followed, too.
func (s *Servers) findClients(table []listener, now time.Time) {
	c := &s.clients
	if now.Before(c.next) {
		return
	}
	c.next = now.Add(clientsEvery)
	standing, err := s.proc.connections()
	if err != nil {
		return // the listeners were read in the same place: it will come again
	}
	listens := map[uint16]bool{}
	for _, l := range table {
		listens[l.at.Port()] = true
	}
	since, kept, to := map[uint64]time.Time{}, map[uint64]bool{}, map[uint64]uint16{}
	for _, o := range standing {
		if listens[o.local.Port()] {
			continue // it was opened from elsewhere
		}
		first, known := c.since[o.inode]
		if !known {
			first = now
		}
		since[o.inode] = first
		if now.Sub(first) >= keptFor {
			kept[o.inode], to[o.inode] = true, o.remote.Port()
		}
	}
	c.since = since
	c.holders.refresh(kept, now)
	sends := map[procID]bool{} // to where telemetry usually goes
	for inode, who := range c.holders.of {
		if who.pid != 0 && !who.leave {
			sends[who.procID] = sends[who.procID] || to[inode] == portGRPC || to[inode] == portHTTP
		}
	}
	ids := slices.SortedFunc(maps.Keys(sends), func(a, b procID) int { // parents first
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.pid, b.pid))
	})
	for _, id := range ids {
		s.followClient(id, sends[id])
	}
}

// Where OTLP goes by default.
const portGRPC, portHTTP = 4317, 4318

// followClient begins to follow a process, or lets it take the place of one that
// is gone, if it is a client of its own.
func (s *Servers) followClient(id procID, sends bool) {
	stat, err := s.proc.stat(id.pid)
	if err != nil || stat.id() != id || !alive(stat) || stat.tty != 0 {
		return
	}
	service, instrumented := s.proc.telemetry(id.pid)
	if !sends && !instrumented || s.isPartOfOne(stat, service) {
		return
	}
	name := "process:" + oneLine(stat.comm) + ":"
	if service != "" {
		name += oneLine(service)
	} else {
		name += "pid " + strconv.Itoa(id.pid)
	}
	if i := slices.IndexFunc(s.followed, func(f *server) bool { return f.name == name }); i >= 0 {
		if f := s.followed[i]; f.client && f.gone {
			f.only = id
		}
		return // of several that go by one name the first counts
	}
	if s.isFull(stat) {
		return
	}
	f := &server{processTarget: newFollower(s.proc, s.at), name: name, client: true, service: service, listens: true}
	f.only = id
	s.followed = append(s.followed, f)
}

// isPartOfOne says whether a process is followed, or belongs to one that is and that
// started it: of a pool of workers only the end of the first counts.
func (s *Servers) isPartOfOne(of procStat, service string) bool {
	return s.follows(of.id()) || s.startedByOne(of, func(up procStat) bool {
		if up.comm == of.comm {
			return true
		}
		name, _ := s.proc.telemetry(up.pid)
		return name == service && service != ""
	})
}

func (s *Servers) follows(id procID) bool {
	return slices.ContainsFunc(s.followed, func(f *server) bool { return f.only == id })
}

// startedByOne says whether one who started a process, or who started that one, and so
// on, is followed and is such a one.
func (s *Servers) startedByOne(of procStat, such func(procStat) bool) bool {
	for range maxAncestors {
		if of.ppid <= 1 {
			return false
		}
		var err error
		if of, err = s.proc.stat(of.ppid); err != nil {
			return false
		}
		if s.follows(of.id()) && such(of) {
			return true
		}
	}
	return false
}

// leaveClient makes room by the client that was found last, if any is followed.
func (s *Servers) leaveClient() {
	for i, f := range slices.Backward(s.followed) {
		if f.client {
			f.close()
			s.followed = slices.Delete(s.followed, i, i+1)
			return
		}
	}
}

// isFull says whether no more can be followed, and once whom that left out.
func (s *Servers) isFull(stat procStat) bool {
	if len(s.followed) < s.limit {
		return false
	}
	once(&s.told.full, func() {
		s.log.Warn("More processes take or keep connections here than local_servers::max_processes: the others are not looked at",
			zap.Int("max_processes", s.limit), zap.String("first_left_out", oneLine(stat.comm)))
	})
	return true
}

// telemetry reads from a process's environment, as it was at its start, what it is
// called in its telemetry, "" if that is not told there, and whether it was given
// anything for OpenTelemetry at all. Nothing else of it is kept.
func (p procfs) telemetry(pid int) (service string, instrumented bool) {
	b, err := readSmall(p.path(pid, "environ"))
	if err != nil {
		return "", false
	}
	attribute := ""
	for variable := range bytes.SplitSeq(b, []byte{0}) {
		if !bytes.HasPrefix(variable, []byte("OTEL_")) {
			continue
		}
		instrumented = true
		name, value, _ := strings.Cut(string(variable), "=")
		switch name {
		case "OTEL_SERVICE_NAME":
			service = value
		case "OTEL_RESOURCE_ATTRIBUTES":
			attribute = serviceIn(value)
		}
	}
	if service == "" {
		service = attribute
	}
	return service, instrumented
}

// serviceIn returns the service's name in "key=value,…", where values are
// percent-encoded.
func serviceIn(attributes string) string {
	for pair := range strings.SplitSeq(attributes, ",") {
		if key, value, ok := strings.Cut(pair, "="); ok && strings.TrimSpace(key) == "service.name" {
			if plain, err := url.PathUnescape(strings.TrimSpace(value)); err == nil {
				return plain
			}
		}
	}
	return ""
}
