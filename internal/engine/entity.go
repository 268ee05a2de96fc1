// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// entityKind is the level at which something is judged.
type entityKind uint8

const (
	kindInstance entityKind = iota
	kindService             // a service as a whole, where callers name no instance
	kindExternal            // known only from its callers: a database, an outside API
	kindNode
	kindZone
	kindLink // between two sides
)

// entity is somebody who can fail. Its fields are grouped by the file that
// keeps them.
type entity struct {
	kind    entityKind
	key     uint64
	src     *report.Source // latest description
	version string         // latest that it told; not every sender knows
	address string         // of an external; of a link its name
	service *service       // nil for externals and nodes
	host    *hostState     // evidence_context.go: nil where it names none
	node    string         // place.go: name of its host as that host's agent tells it

	born    clock.Time
	touched clock.Time // last time that anything came from or about it
	heard   clock.Time // last time that it gave a sign of life itself, or told of a call
	alive   bool       // was ever seen to work: who never did is not accused

	answered bool // has it ever answered a call or a probe? One that starts slowly has not

	streams   []*stream     // liveness.go: one per observer and kind of sign
	probes    []*probeState // probes.go: one per observer and target
	calls     *callStats    // callers.go: what its callers say
	served    servedStats   // callers.go: what it says of calls that it answered
	worked    workedStats   // worked.go: what it says of messages that it worked on
	callees   []*edge       // callers.go: whom it calls
	proxies   *proxyWord    // evidence_proxies.go: what logs of proxies say of it; nil while they say nothing
	starved   clock.Time    // evidence_starved.go: when the span began at which calls were first seen to wait in vain, 0 if they do not
	stoodFrom clock.Time    // evidence_saturation.go: from when to when somebody that
	stood     clock.Time    // it calls answered none of its calls for long, last
	spanned   clock.Time    // callers.go: when a span of a call that it made was seen last
	calledBy  []*edge       // callers.go: who calls it, at most maxCallers
	views     []*view       // view.go: how it is seen from each host
	viewers   []*entity     // view.go: callers of views, in the same order
	integrity integrity     // evidence_integrity.go
	wants     wants         // evidence_wants.go
	vouching  vouching      // evidence_digest.go
	errors    *errorLines   // errorlines.go: nil while it wrote none
	conduct   *conduct      // conduct.go: nil while it has no siblings
	levels    *levels       // levels.go: nil while nobody told
	rate      stat.Rate     // demand.go: how often it is called
	knee      stat.Knee     // knee.go
	reads     []*reading    // queue.go: queues that it reads
	sending   *sending      // flow.go: nil while it sends no messages
	starts    clock.Time    // when its process last started, as far as was seen
	seenRun   clock.Time    // facts.go: when its host's agent saw its process run
	signedAt  clock.Time    // liveness.go: the date of the newest telemetry of its own
	ready     readyState    // livingon.go
	given     stat.Fading   // given.go: how often it wrote of late that it fails for want of what others were to give
	facts     []report.Fact // facts.go: what was said outright, latest last

	incarnations              [8]incarnation // liveness.go: latest last
	twinsAt                   clock.Time     // liveness.go: when it was last clear that several use its identity
	announced                 clock.Time     // stop.go: when it last said that it would stop; 0 once it is back
	announcedLast             clock.Time     // stop.go: the same, whether it is back or not; 0 if never
	saysHowItIs, saysStarting bool           // stop.go: by its heartbeats
	startingSince             clock.Time
	farewell                  farewell     // stop.go: the heartbeat that said so
	left                      bool         // stop.go: it went in order; not missed until it comes back
	leftAt                    clock.Time   // stop.go: when it was found to have left
	returned                  clock.Time   // stop.go: when it came back from that; what failed before is nobody's failure
	process                   processFacts // probes.go
	kept                      keptEnd      // kept.go
	bootID                    string
	resumed                   clock.Time // liveness.go: when its heartbeats went on after a break
	conflictAt                clock.Time // liveness.go: when an identity conflict was last told
	restartCount              int64      // facts.go: restarts that its supervisor counted
	restartSeen               clock.Time
	started                   clock.Time // facts.go: when somebody last told that it was started

	cutOff    *cutState        // evidence_reach.go: the cut that explains why nobody hears it, or nil
	cut       *cutState        // evidence_reach.go: of a link, node or zone
	episode   *episode         // episode.go: nil while nothing speaks against it
	verdict   *verdict.Verdict // the one in force, or nil
	since     clock.Time       // when the candidate class below was first ahead
	leading   verdict.Class
	heldCause belief.Cause // of the verdict in force
	cleared   clock.Time   // when the latest verdict was: what was said before is dealt with
	well      clock.Time   // judge.go: when it was last seen to be well again after a verdict: what ended or failed before is dealt with

	supposed  bool     // servers.go: its host was concluded from a port, nobody told
	byAddress bool     // hostnames.go: its host was concluded from its address
	unspoken  bool     // ties.go: only agents tell of it, no call does
	addresses []string // at which it is called, newest last, at most maxAddressesEach
	doors     []string // doors.go: at which it says that it is, newest last, at most maxDoorsEach

	prev, next *entity // registry.go
	settled    bool    // registry.go: established, not a passer-by
}

// name is what people call it.
func (n *entity) name() string {
	switch n.kind {
	case kindExternal:
		return n.address
	case kindService:
		return n.src.Service.Name
	case kindNode:
		return n.src.Host
	case kindZone:
		return n.src.Zone
	case kindLink:
		return n.address
	}
	if name := n.src.Name(); name != "" {
		return name
	}
	return n.src.Service.Name
}

func (n *entity) culprit() verdict.Culprit {
	switch n.kind {
	case kindExternal:
		return verdict.Culprit{Type: verdict.CulpritExternal, Name: n.address}
	case kindService:
		return verdict.Culprit{Type: verdict.CulpritService, Name: n.src.Service.Name, Service: n.src.Service}
	case kindNode:
		return verdict.Culprit{Type: verdict.CulpritNode, Name: n.src.Host}
	case kindZone:
		return verdict.Culprit{Type: verdict.CulpritZone, Name: n.src.Zone}
	case kindLink:
		return verdict.Culprit{Type: verdict.CulpritLink, Name: n.address}
	}
	return verdict.Culprit{Type: verdict.CulpritInstance, Name: n.name(), Service: n.src.Service, Instance: n.src.Instance}
}

// service is a group of instances that stand for each other.
type service struct {
	id        report.ServiceID
	key       uint64
	instances []*entity // in the order of their births
	whole     *entity   // judged where callers name only the service; nil until then

	rate           stat.Rate     // demand.go: calls that its instances answered
	knee           stat.Knee     // knee.go
	versions       []versionSeen // latest last
	announcedStops int           // stops that were announced
	deployed       clock.Time    // when a roll-out of it was told last
	restart        time.Duration // longest usual absence over a restart, 0 while unknown
	restarts       int
	lastBorn       clock.Time          // when its youngest instance was first seen
	youngest       *entity             // the one first seen last; compared by pointer only
	compared       bool                // conduct.go: it is in Engine.compared
	untold, drawn  int                 // registry.go: of its instances, those that tell no id, or draw a new one at each start
	draws          map[string]*drawnOn // drawn.go: by host
	slow           bool                // demand.go: of many, whether most were slow
	slowAt         clock.Time          // demand.go: when that was found out
	counted        *siblings           // siblings.go: nil while they are few
	ballot         *ballot             // ballot.go: nil while none of them tells a digest
	worksWell      bool                // worked.go: an instance of it has hardly failed at any of many messages
	well           clock.Time          // judge.go: when an instance of it was last seen to be well again
}

// incarnation is one start of a process.
type incarnation struct {
	token uint64
	first clock.Time
	last  clock.Time
	alone bool // the one before had fallen silent when it began
}

// begin notes that the process shows an incarnation token at a time. It says
// whether that is a new one, and whether it is an older one that came back,
// which means that two processes use one identity.
func (n *entity) begin(token uint64, now clock.Time) (fresh, back bool) {
	inc := &n.incarnations
	top := len(inc) - 1
	if token == 0 {
		return false, false
	}
	if inc[top].token == token {
		inc[top].last = now
		return false, false
	}
	fresh = inc[top].token != 0
	for i := range inc[:top] {
		if inc[i].token == token {
			back = true
			// Keep the rest in order, so that two alternate for ever without
			// looking new.
			old := inc[i]
			copy(inc[i:], inc[i+1:])
			old.last = now
			inc[top] = old
			n.twinsAt = now
			return false, back
		}
	}
	copy(inc[:], inc[1:])
	inc[top] = incarnation{token: token, first: now, last: now}
	return fresh, false
}

// startedAs says whether a token is that of n's latest start, or of a new one: an
// older one that comes again is another process of the same identity.
func (n *entity) startedAs(token uint64, now clock.Time) bool {
	inc := &n.incarnations
	top := len(inc) - 1
	if inc[top].token == token {
		return !n.shared(now) // another observer has told already
	}
	for i := range inc[:top] {
		if inc[i].token == token {
			return false
		}
	}
	return true
}

// restartsWithin counts starts in the time before now, the first known one not
// included. Where several use one identity nothing is known of anybody's starts,
// and it takes a while to see that the older ones come again.
func (n *entity) restartsWithin(now clock.Time, d time.Duration) int {
	if n.shared(now) {
		return 0
	}
	count := 0
	for i := 1; i < len(n.incarnations); i++ {
		first := n.incarnations[i].first
		if n.incarnations[i-1].token != 0 && first >= now.Add(-d) && (n.incarnations[i].alone || now.Sub(first) >= twinsShow) {
			count++
		}
	}
	return count
}

// shared says whether several were lately seen to use n's identity.
func (n *entity) shared(now clock.Time) bool { return n.twinsAt != 0 && now.Sub(n.twinsAt) < sharedFor }

// sharedFor is how long an identity that two were seen to use says nothing of one process.
const sharedFor = 10 * time.Minute

// twinsShow is how long after a start an older process of the same identity is
// heard again, if there is one.
const twinsShow = 2500 * time.Millisecond

// crowded says whether more starts are known within a moment than one process
// can make: more use the identity than are remembered.
func (n *entity) crowded(now clock.Time) bool {
	inc := &n.incarnations
	return inc[0].token != 0 && now.Sub(inc[0].first) < twinsShow
}
