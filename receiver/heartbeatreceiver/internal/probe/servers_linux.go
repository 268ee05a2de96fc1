// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/faultline-otel/faultline/internal/contract"
)

// Servers looks at every process that takes TCP connections in our network
// namespace, and at those that keep one and send telemetry (clients_linux.go),
// without being told of any. It is not safe for concurrent use.
//
//	table of listeners ─► holder of each socket ─► process and its ports ─► follower ─► Result
type Servers struct {
	at       roots
	proc     procfs
	limit    int
	log      *zap.Logger
	holders  holders
	listed   map[uint64]bool // its keys: sockets that the look before saw listen
	clients  clients
	followed []*server
	told     struct{ full, unseen, unread bool } // once each
}

// server is one process that is followed, and those that take its place.
type server struct {
	*processTarget
	name      string
	bound     []netip.AddrPort // by port; as last seen
	addresses []string
	client    bool   // it takes no connections, and keeps one that it opened
	service   string // what it was told to call itself in its telemetry, if that is its own
	listens   bool   // of a client, that it is followed
	gone      bool
	since     time.Time // when it was last seen to listen, or first seen to be gone
}

// forgetAfter is how long it is told that a process is gone, and how long one is
// followed that takes no connections any more.
const forgetAfter = 2 * time.Minute

// NewServers makes one that follows at most limit processes. It fails where
// there is no proc file system to read.
func NewServers(limit int, log *zap.Logger) (*Servers, error) {
	return newServersAt(limit, log, realRoots())
}

func newServersAt(limit int, log *zap.Logger, at roots) (*Servers, error) {
	proc, err := newProcfs(at.proc)
	if err != nil {
		return nil, err
	}
	return &Servers{
		at: at, proc: proc, limit: limit, log: log,
		holders: newHolders(proc), clients: clients{holders: newHolders(proc)},
	}, nil
}

// Close frees what is kept of processes; it may be called twice.
func (s *Servers) Close() {
	for _, f := range s.followed {
		f.close()
	}
	s.followed = nil
}

// Look tells of each process that is followed now. A process is followed from
// the second look on that sees it listen, so that what comes and goes within one
// is none. A cancelled look tells nothing.
func (s *Servers) Look(ctx context.Context, now time.Time) []Server {
	if table, err := s.proc.listeners(); err != nil {
		once(&s.told.unread, func() { s.log.Warn("Cannot read which sockets of this host listen", zap.Error(err)) })
	} else {
		s.update(table, now)
		s.findClients(table, now)
	}
	seen := make([]Server, 0, len(s.followed))
	kept := s.followed[:0]
	for i, f := range s.followed {
		if ctx.Err() != nil {
			s.followed = append(kept, s.followed[i:]...)
			return nil
		}
		r := f.probe(ctx)
		if f.forgotten(r, now) {
			f.close()
			continue
		}
		if !f.listens && !f.gone {
			f.service = "" // it was told to stop, or is no server any more: nobody misses it
		}
		r.Message, r.Client, r.Service = oneLine(r.Message), f.client, oneLine(f.service)
		kept = append(kept, f)
		seen = append(seen, Server{Target: f.name, Addresses: f.addresses, Result: r})
	}
	clear(s.followed[len(kept):])
	s.followed = kept
	s.findShared()
	return seen
}

// findShared notes whose cgroup is that of others as well, as those of a login or
// of a container with several servers are. One that is gone still counts: its
// cgroup may tell of its end only now.
func (s *Servers) findShared() {
	in := map[string]int{}
	for _, f := range s.followed {
		in[f.cgroup()]++
	}
	for _, f := range s.followed {
		f.shared = in[f.cgroup()] > 1
	}
}

// cgroup is the folder that counts the out-of-memory kills of f.
func (f *server) cgroup() string {
	if v2, ok := f.cur.dirs[""]; ok {
		return v2.dir
	}
	return f.cur.dirs["memory"].dir
}

// forgotten notes how f fares, and says whether that has been told for long enough.
func (f *server) forgotten(r Result, now time.Time) bool {
	if f.cur == nil {
		return true // it went before it was looked at once
	}
	gone := r.Process != nil && (r.Process.State == contract.ProcessGone || r.Process.State == contract.ProcessZombie)
	if f.listens && !gone || gone && !f.gone {
		f.since = now
	}
	f.gone = gone
	return now.Sub(f.since) > forgetAfter
}

// listening is one process and where it takes connections.
type listening struct {
	procID
	bound []netip.AddrPort
	again bool // the look before saw one of its sockets listen, too
}

// update finds out who is to be followed.
func (s *Servers) update(table []listener, now time.Time) {
	procs := s.group(table, now)
	view := newView(table)
	for _, f := range s.followed {
		i := slices.IndexFunc(procs, func(p listening) bool { return p.procID == f.only })
		if i < 0 {
			f.listens = f.client
			continue
		}
		s.isAt(f, procs[i], view)
		procs = slices.Delete(procs, i, i+1)
	}
	// Who listens where another no longer does has taken its place, whether that
	// one ended or handed over.
	for _, f := range s.followed {
		if f.listens {
			continue
		}
		if i := slices.IndexFunc(procs, func(p listening) bool { return f.sharesPort(p) }); i >= 0 {
			s.isAt(f, procs[i], view)
			procs = slices.Delete(procs, i, i+1)
		}
	}
	for _, p := range procs {
		if p.again && !s.hasSibling(p) {
			s.follow(p, view)
		}
	}
}

// group brings together what each process listens at, oldest process first,
// without those that are not to be followed.
func (s *Servers) group(table []listener, now time.Time) []listening {
	ports := map[uint16]bool{}
	for _, f := range s.followed {
		for _, at := range f.bound {
			ports[at.Port()] = true
		}
	}
	listed := make(map[uint64]bool, len(table))
	for _, l := range table {
		// Whose place may have been taken is looked for at once.
		listed[l.inode] = s.wasListed(l) || ports[l.at.Port()]
	}
	s.holders.refresh(listed, now)
	s.tellUnseen()

	byID := map[procID]*listening{}
	for _, l := range table {
		who, ok := s.holders.of[l.inode]
		if !ok || who.pid == 0 || who.leave {
			continue
		}
		p := byID[who.procID]
		if p == nil {
			p = &listening{procID: who.procID}
			byID[who.procID] = p
		}
		p.bound = append(p.bound, l.at)
		p.again = p.again || s.wasListed(l)
	}
	s.listed = listed
	procs := make([]listening, 0, len(byID))
	for _, p := range byID {
		slices.SortFunc(p.bound, byPort)
		p.bound = slices.Compact(p.bound)
		procs = append(procs, *p)
	}
	slices.SortFunc(procs, func(a, b listening) int {
		if a.olderThan(b.procID) {
			return -1
		}
		return 1
	})
	return procs
}

func (s *Servers) wasListed(l listener) bool {
	_, before := s.listed[l.inode]
	return before
}

func byPort(a, b netip.AddrPort) int {
	if a.Port() != b.Port() {
		return int(a.Port()) - int(b.Port())
	}
	return a.Addr().Compare(b.Addr())
}

func (f *server) sharesPort(p listening) bool {
	return slices.ContainsFunc(f.bound, func(at netip.AddrPort) bool {
		return slices.ContainsFunc(p.bound, func(b netip.AddrPort) bool { return at.Port() == b.Port() })
	})
}

// hasSibling says whether p shares an address with one that is followed and
// listens, as sockets with SO_REUSEPORT may: they are one
// server, and its oldest process counts.
func (s *Servers) hasSibling(p listening) bool {
	return slices.ContainsFunc(s.followed, func(f *server) bool {
		return f.listens && slices.ContainsFunc(p.bound, func(at netip.AddrPort) bool { return slices.Contains(f.bound, at) })
	})
}

// isAt notes that p is the process that f means, and where it takes connections.
func (s *Servers) isAt(f *server, p listening, v *view) {
	if f.only != p.procID || !f.listens {
		f.service = s.ownName(p.procID)
	}
	f.only, f.bound, f.listens, f.client = p.procID, p.bound, true, false
	f.addresses = v.reach(p.bound)
}

// ownName is what a server was told to call itself in its telemetry, "" if it has the
// name from one that is followed and started it: tools and helpers inherit it.
func (s *Servers) ownName(id procID) string {
	stat, err := s.proc.stat(id.pid)
	if err != nil || stat.id() != id {
		return ""
	}
	name, _ := s.proc.telemetry(id.pid)
	if name == "" || s.startedByOne(stat, func(up procStat) bool {
		its, _ := s.proc.telemetry(up.pid)
		return its == name
	}) {
		return ""
	}
	return name
}

// follow begins to follow p, if there is room.
func (s *Servers) follow(p listening, v *view) {
	stat, err := s.proc.stat(p.pid)
	if err != nil || stat.id() != p.procID || !alive(stat) {
		return
	}
	if len(s.followed) >= s.limit {
		s.leaveClient() // somebody calls a server
	}
	if s.isFull(stat) {
		return
	}
	at := p.bound[0]
	prefix := "process:" + oneLine(stat.comm) + ":"
	name := prefix + strconv.Itoa(int(at.Port()))
	if s.isTaken(name) { // the same program at the same port of another address
		if name = prefix + at.String(); s.isTaken(name) {
			return
		}
	}
	f := &server{processTarget: newFollower(s.proc, s.at), name: name}
	s.isAt(f, p, v)
	s.followed = append(s.followed, f)
}

func (s *Servers) isTaken(name string) bool {
	return slices.ContainsFunc(s.followed, func(f *server) bool { return f.name == name })
}

// tellUnseen says once that, and why, there are sockets whose process cannot be seen.
func (s *Servers) tellUnseen() {
	n := s.holders.unseen()
	if n == 0 {
		return
	}
	why := "those of another pid namespace cannot be seen; the kernel's own have none"
	if s.holders.denied {
		why = "other users' processes can be seen with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
	}
	once(&s.told.unseen, func() {
		s.log.Info("Local servers whose process cannot be seen are not looked at", zap.Int("sockets", n), zap.String("why", why))
	})
}

func once(done *bool, do func()) {
	if !*done {
		*done = true
		do()
	}
}

// view is what wildcard addresses stand for at this moment.
type view struct {
	host   func() []netip.Addr
	ofIPv4 map[uint16]bool
}

func newView(table []listener) *view {
	v := &view{host: hostAddresses, ofIPv4: map[uint16]bool{}}
	for _, l := range table {
		if l.at.Addr() == netip.IPv4Unspecified() {
			v.ofIPv4[l.at.Port()] = true
		}
	}
	return v
}

// reach reads the host's addresses only if there is a wildcard, and once a look.
func (v *view) reach(bound []netip.AddrPort) []string {
	var host []netip.Addr
	if slices.ContainsFunc(bound, func(at netip.AddrPort) bool { return at.Addr().IsUnspecified() }) {
		host = v.host()
		v.host = func() []netip.Addr { return host }
	}
	return reach(bound, host, v.ofIPv4)
}
