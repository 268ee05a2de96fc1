// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// Batch is what one passing pdata batch showed. The engine owns it after
// Observe; Reset makes it reusable.
type Batch struct {
	// Arrived is when the batch reached the engine's process, on its clock.
	Arrived clock.Time

	Observers []ObserverBeat
	Beats     []Beat
	Probes    []Probe
	Signs     []Sign
	Calls     []Calls
	Served    []Served
	Facts     []Fact
	Errors    []ErrorLine
	Levels    []Level
	Places    []Place
	Queues    []Queue
	Consumed  []Consumed
	Sent      []Sent
	Hops      []Hop
	Doors     []Door
	Spans     []SpanSample
}

// Reset empties b and keeps its memory.
func (b *Batch) Reset() {
	b.Arrived = 0
	clear(b.Observers)
	clear(b.Beats)
	clear(b.Probes)
	clear(b.Signs)
	clear(b.Calls)
	clear(b.Served)
	clear(b.Facts)
	clear(b.Errors)
	clear(b.Levels)
	clear(b.Places)
	clear(b.Queues)
	clear(b.Consumed)
	clear(b.Sent)
	clear(b.Hops)
	clear(b.Doors)
	b.Observers, b.Beats, b.Probes, b.Signs = b.Observers[:0], b.Beats[:0], b.Probes[:0], b.Signs[:0]
	b.Calls, b.Served, b.Facts, b.Errors, b.Hops, b.Spans = b.Calls[:0], b.Served[:0], b.Facts[:0], b.Errors[:0], b.Hops[:0], b.Spans[:0]
	b.Levels, b.Places, b.Queues, b.Consumed, b.Doors = b.Levels[:0], b.Places[:0], b.Queues[:0], b.Consumed[:0], b.Doors[:0]
	b.Sent = b.Sent[:0]
}

// Empty says whether b holds no observation.
func (b *Batch) Empty() bool { return b.Len() == 0 }

// Len is the number of observations in b.
func (b *Batch) Len() int {
	return len(b.Observers) + len(b.Beats) + len(b.Probes) + len(b.Signs) +
		len(b.Calls) + len(b.Served) + len(b.Facts) + len(b.Errors) + len(b.Levels) + len(b.Places) + len(b.Queues) + len(b.Consumed) + len(b.Sent) + len(b.Hops) + len(b.Doors) + len(b.Spans)
}

// Stamp says which observer saw something and when, on that observer's clock.
type Stamp struct {
	Observer string        // observer's id; "" is the engine's own process
	At       clock.Time    // observed time, observer's wall clock
	Uptime   time.Duration // observer's monotonic clock since its start; 0 if unknown
	Seq      uint64        // observer's own count; 0 if unknown. A repeat is duplication in transport
}

// ObserverBeat is an observer's sign of its own life.
type ObserverBeat struct {
	Stamp
	Host     string        // the observer's host
	Interval time.Duration // its usual interval
	Late     time.Duration // how late its own tick was
	Refused  uint64        // heartbeats that it refused since its last beat
}

// Beat is a heartbeat that was pushed.
type Beat struct {
	Stamp
	Source        *Source
	Interval      time.Duration // declared; 0 if not
	Incarnation   uint64        // the sender's start; 0 if not told
	Seq           uint64        // sender's own count of its timer's ticks; 0 if not told
	SentAt        clock.Time    // sender's clock; 0 if not told
	Status        Status
	HasExitCode   bool
	ExitCode      int
	BootID        string
	Digest        string
	Authenticated bool       // the sender proved who it is
	Remote        string     // address that it came from
	Due           clock.Time // when the next beat of a scheduled check is due; 0 if none
	Grace         time.Duration
}

// Probe is the result of a look at a target.
type Probe struct {
	Stamp
	Source   *Source // whom the target stands for
	Target   string  // endpoint, or "process:…"
	Outcome  Outcome
	RTT      time.Duration
	Interval time.Duration // between probes; 0 if not told
	Message  string
	Digest   string
	Process  *Process // only of a process target
	Direct   bool     // the target is the instance's own address, not a virtual one
	// Passive: the kernel tells how connections fare that others on the observer's
	// host have opened to an address. Nobody asked for it.
	Passive bool
	// Host and Addresses are told by an agent that looks by itself: the host of a
	// process, and where it takes connections, or whom those of Passive go to;
	// host:port.
	Host      string
	Addresses []string
	// Client: the agent looks by itself at a process that takes no connections, and
	// keeps one that it opened.
	Client bool
	// Named goes by the name that a process on its host was told to call itself. It
	// is that process or another of the service; nil where the pid tells.
	Named *Source
}

// Process is what the kernel tells about a process. A negative number is
// unknown.
type Process struct {
	State       ProcessState
	PID         int64
	StartTime   clock.Time
	HasExitCode bool
	ExitCode    int
	OOMKills    int64   // cumulative, of its cgroup
	Throttled   float64 // 0-1, share of CPU periods since the last probe
	CPUWait     float64 // 0-1, of the time since the last probe, in which a thread waited for a processor
	MemoryUsed  int64   // bytes
	MemoryLimit int64   // bytes
	FDs         int64
	FDLimit     int64
	Threads     int64
	ThreadLimit int64
	PressureCPU float64 // 0-1, PSI some avg10
	PressureMem float64 // 0-1, PSI full avg10
	PressureIO  float64 // 0-1, PSI full avg10
}

// Sign is a sign of life that comes by itself at a rhythm: an instance's own
// metric export or a scrape of it.
type Sign struct {
	Source *Source
	At     clock.Time // when the batch was seen
}

// Callee is whom a call was made to, as far as the caller tells.
type Callee struct {
	Address string // host:port as dialled (network.peer.* before server.*); "" if not told
	Service string // peer.service or rpc/db/messaging system where no address is told
	Direct  bool   // Address is that of one instance (network.peer.*, or an IP), not a name
	Named   string // host:port as configured (server.*) where Address is another; "" if the same
}

// Calls counts calls of one caller to one callee that ended in one way.
type Calls struct {
	Caller  *Source
	Callee  Callee
	Outcome Outcome
	Count   int
	Slow    int           // of Count, those far slower than calls of their kind usually are
	First   clock.Time    // earliest start, event time
	Started clock.Time    // latest start, event time; 0 if not told
	Last    clock.Time    // latest end, event time
	Done    clock.Time    // earliest end, event time; 0 if not told
	Took    time.Duration // how long they took together; 0 if not told
	Hearsay bool          // only a line of a log tells of it: the caller may repeat another's words, and be a proxy without a service
	Counted bool          // by a metric: between First and Last, and of no use where spans tell the same
}

// Served counts calls that an instance answered: it makes progress.
type Served struct {
	Source *Source
	OK     int
	Failed int
	Faults int // of Failed, those that it made itself: 500, gRPC INTERNAL, an exception
	Waited int // of Failed, those that took far longer than their kind usually does
	Slow   int // of OK, those far slower than their kind usually is
	Coded  int // of OK, those with a status code of success
	// Rejected are those of OK that blame the request, and Sized those of the rest of
	// which is told how large the answer is: Size is the sum over them of log₂(1 +
	// bytes), SizeSquare that of its squares. Asked sorts those of OK by what was asked for.
	Rejected, Sized  int
	Size, SizeSquare float64
	Asked            [Mixes]uint16
	Last             clock.Time    // latest end, event time
	Took             time.Duration // how long all of them took together; 0 if not told
	Counted          bool          // by a metric, as Calls.Counted
}

// Fact is something that a log line, an event or a host says outright.
type Fact struct {
	Source *Source // whom it is about; a source without service is a node
	Kind   FactKind
	Value  int64      // exit code, count (of lines: FactIntegrity) or bytes, by Kind
	At     clock.Time // event time
	Text   string     // the words that said so, for people, at most 200 bytes
	Said   bool       // by one who merely speaks in its name: to be borne out

	Told clock.Time // when it came, by the clock of the engine, which fills it in where that was late; else 0
}

// ErrorLine is a line of a log that says that a request failed.
type ErrorLine struct {
	Source *Source    // who wrote it
	Kind   uint64     // hash of its words without what varies in them
	Trace  uint64     // hash of the request's trace; 0 if not told
	Quoted bool       // it only tells how a call of its writer ended
	At     clock.Time // event time
	Text   string     // for people, at most 200 bytes
}

// Level is how much of something is used, or how often it fell short.
type Level struct {
	Source  *Source // whose; a source without service is a host
	Address string  // where Source is nil: whose, as callers write it
	Kind    LevelKind
	Share   float64 // 0-1 and beyond, of the limit or of the time; -1 if not told
	Waiting float64 // requests that wait for it
	At      clock.Time
	Stands  time.Duration // how long it holds if it is not told again; 0: it is told at a rhythm
}

// LevelKind is what a Level is of.
type LevelKind uint8

// Values of LevelKind.
const (
	LevelMemory      LevelKind = iota // of its limit
	LevelHeap                         // of the runtime's own limit
	LevelGC                           // of the time, spent on collecting garbage
	LevelCPU                          // of its limit
	LevelThrottled                    // of the periods in which its quota stopped it
	LevelCPUWait                      // of the time, in which a task waited for a processor
	LevelDisk                         // of the fullest file system, in bytes or inodes
	LevelDiskIO                       // of the time, while each operation takes long
	LevelDescriptors                  // of its limit
	LevelThreads                      // of its limit
	LevelPool                         // connections in use, of those that it may open
	LevelConnections                  // connections that it holds, of those that it accepts
	LevelFlows                        // connections that the kernel follows, of those that it can
	LevelMemoryStall                  // of the time, in which all tasks waited for memory
	LevelIOStall                      // of the time, in which all tasks waited for a disk
	LevelNodeMemory                   // 1 while its node says that it is short
	LevelNodeDisk                     // 1 while its node says that it is short
	LevelNodeThreads                  // 1 while its node says that it is short
	LevelRunQueue                     // of the tasks that want a processor, those that wait for one
	NumLevels
)

var levelNames = [NumLevels]string{
	"memory", "heap", "time spent on collecting garbage", "cpu", "throttled periods", "time waiting for a processor", "disk", "disk time",
	"file descriptors", "threads", "connection pool", "connections", "connection tracking table", "time stalled for memory",
	"time stalled for a disk", "memory of the node", "disk of the node", "threads of the node", "tasks that wait for a processor",
}

func (k LevelKind) String() string {
	if k < NumLevels {
		return levelNames[k]
	}
	return "invalid"
}

// Place is on which host an instance runs, as the host's agent tells it. The
// instance itself may know only the name of its container.
type Place struct {
	Source *Source
	Host   string
}

// Queue is how many messages wait in a queue.
type Queue struct {
	Source  *Source // who tells it: the broker, or one who looks at it
	Name    string
	Group   string  // of those who read it; "" if there is one only, or it is not told
	Waiting float64 // messages; -1 if not told
	Read    float64 // cumulative; -1 if not told
}

// Consumed counts messages that an instance took from a queue and worked on.
type Consumed struct {
	Source *Source
	Queue  string
	Group  string // "" if not told
	Count  int
	Last   clock.Time // latest end, event time
}

// Sent counts messages that somebody put into a queue.
type Sent struct {
	Queue string
	Count int
}

// Hop is one end of a call in a trace. The engine joins a client's hop with the
// server's hop below it and so learns who stands behind an address.
type Hop struct {
	Span   uint64 // client: hash of trace and span id; server: of trace and parent span id
	Server bool
	Lost   bool // of a client: it gave up before an answer came
	Source *Source
	Callee Callee // of a client
	// Duration is that of the span, 0 if unknown, and At its end, event time. Began is
	// its start as the clock of its host has it, however wrong; 0 if not told.
	Duration time.Duration
	At       clock.Time
	Began    clock.Time
}

// Door is an address at which an instance takes calls, by its own account: whoever
// calls it may have made it say so.
type Door struct {
	Source  *Source
	Address string // ip:port, the name of its host and the port, or the bare IP of its host
}

// SpanSample is the duration of one span of a kind (see SpanKey).
type SpanSample struct {
	Key      uint64
	Duration time.Duration
}

// Status is what a heartbeat says of its sender.
type Status uint8

// Values of Status.
const (
	StatusUnset Status = iota
	StatusStarting
	StatusReady
	StatusDegraded
	StatusDraining
	StatusStopping
	StatusLastGasp
	StatusFailed
)

// ProcessState is what the kernel says of a process.
type ProcessState uint8

// Values of ProcessState.
const (
	ProcessUnknown ProcessState = iota
	ProcessRunning
	ProcessStopped
	ProcessZombie
	ProcessDiskWait
	ProcessGone
)

// Outcome is how a call or a probe ended. The phase in which it failed tells
// the failure models apart (ENGINE §2.2 of the design notes).
type Outcome uint8

// Values of Outcome.
const (
	OutcomeUnset          Outcome = iota
	OutcomeOK                     // answered as asked
	OutcomeRefused                // connection refused: host and path alive, port dead
	OutcomeReset                  // reset, EOF or broken pipe on an established connection
	OutcomeConnectTimeout         // could not connect in time
	OutcomeTimeout                // connected or unknown, and no answer in time
	OutcomeNoAnswer               // connected for certain, then silence
	OutcomeUnreachable            // no route to host or network
	OutcomeDNS                    // name not found, or name service failed
	OutcomeTLS                    // handshake or certificate failed
	OutcomeUnavailable            // 502, 503, 504 or gRPC UNAVAILABLE without a telling message
	OutcomeOverloaded             // 429, RESOURCE_EXHAUSTED, 503 with Retry-After
	OutcomeServerError            // the callee answered with a failure of its own (500, gRPC INTERNAL, UNKNOWN, DATA_LOSS)
	OutcomeClientError            // the callee answered that the request is bad (4xx): it is alive
	OutcomeWrongAnswer            // answered in time and wrongly: schema, checksum, digest
	OutcomeCanceled               // the caller gave up by itself
	OutcomeDown                   // failed, and nobody said how (scrape `up` = 0)
	OutcomeCircuitOpen            // the caller's breaker did not try: no evidence
	OutcomeOther                  // failed in a way that tells nothing
	OutcomeDiskFull               // the callee answered that its own disk is full
	OutcomeMemoryFull             // the callee answered that its own memory is used up
	OutcomeSent                   // sent on a connection that stood; whether an answer came is not told
	OutcomeUnacknowledged         // the kernel of the callee's machine acknowledges nothing
	numOutcomes
)

var outcomeNames = [numOutcomes]string{
	"unset", "ok", "refused", "reset", "connect timeout", "timeout", "no answer", "unreachable", "dns", "tls",
	"unavailable", "overloaded", "server error", "client error", "wrong answer", "canceled", "down", "circuit open", "other",
	"disk full", "memory full", "sent", "not acknowledged",
}

func (o Outcome) String() string {
	if o < numOutcomes {
		return outcomeNames[o]
	}
	return "invalid"
}

// Failed says whether the call did not do what was asked through no fault of
// the request.
func (o Outcome) Failed() bool {
	return o != OutcomeUnset && o != OutcomeOK && o != OutcomeClientError && o != OutcomeSent
}

// Answered says whether the callee itself was heard: it is alive and reachable.
func (o Outcome) Answered() bool {
	switch o {
	case OutcomeOK, OutcomeClientError, OutcomeServerError, OutcomeWrongAnswer, OutcomeOverloaded, OutcomeDiskFull, OutcomeMemoryFull:
		return true
	}
	return false
}

// FactKind is what a Fact says.
type FactKind uint8

// Values of FactKind.
const (
	FactNone         FactKind = iota
	FactExit                  // the process ended, Value = exit status (128+n for signal n)
	FactPanic                 // it wrote a panic, fatal error, segmentation fault or unhandled exception at its end
	FactOOMKill               // the kernel or the runtime ended it for lack of memory
	FactOutOfMemory           // it says that memory ran out, and may go on
	FactStopping              // it was told to stop or says that it stops (SIGTERM, "shutting down", Killing)
	FactStarted               // it says that it starts
	FactRestarts              // restarts counted by its supervisor, Value = cumulative
	FactCrashLoop             // its supervisor backs off from restarting it
	FactDiskFull              // no space left on device, quota exceeded
	FactNoDescriptor          // too many open files
	FactNoThread              // cannot create a thread or process
	FactPoolEmpty             // timed out waiting for a connection of a pool
	FactIntegrity             // checksum, signature or digest mismatch
	FactNodeDown              // node not ready, Source is the node
	FactDeploy                // a new version is rolled out
	FactBackwards             // a count of it that only rises fell, in one run of the process
	FactEquivocated           // it signed two different words for the same thing
	FactNoPort                // it has no local port left to call from
	FactForged                // what it signed was sent again in its name
	FactAlive                 // its agent or host sees it running
	FactEvicted               // its node ended it because the node itself was short, Value = LevelKind of what
	FactOverLimit             // it was ended because it used more disk than its limit
	FactTwins                 // what is told in its name can only come from several
	numFacts
)

// SpanKey hashes what makes spans comparable: service, name, kind and peer.
func SpanKey(service uint64, name string, kind int32, peer string) uint64 {
	h := hashString(service, name)
	h = (h ^ uint64(uint32(kind))) * fnvPrime
	return hashString(h, peer)
}

// crossed says how sure it is, 0-1, that packets went both ways, and silent that
// nothing came back. Where both are 0 the outcome says nothing of the network. A
// probe connects anew each time, so one that connected has crossed; a call may
// go by a connection made long ago.
func (o Outcome) crossed(probe bool) (crossed, silent float64) {
	switch o {
	case OutcomeConnectTimeout, OutcomeUnreachable, OutcomeUnacknowledged:
		return 0, 1
	case OutcomeNoAnswer:
		if probe {
			return 1, 0
		}
		return 0, mayBeSlow
	case OutcomeTimeout:
		return 0, mayBeSlow
	case OutcomeRefused, OutcomeReset, OutcomeTLS:
		return 1, 0
	}
	if o.Answered() {
		return 1, 0
	}
	return 0, 0
}

// mayBeSlow: no answer in time may be the callee's slowness as well.
const mayBeSlow = 0.5

// nameless says whether the caller tells nothing of its callee but what is asked of it:
// the interface, as some clients of RPC do.
func (c *Callee) nameless() bool { return c.Address == "" && c.Named == "" && c.Service != "" }

// ends says whether a beat says that its sender ends or has ended.
func (b *Beat) ends() bool {
	switch b.Status {
	case StatusDraining, StatusStopping, StatusLastGasp, StatusFailed:
		return true
	}
	return b.HasExitCode
}

// Mixes is into how many kinds requests are sorted, to tell whether two are asked alike.
const Mixes = 8

// cameAt is when f came, as far as that matters: late, or when it was.
func (f *Fact) cameAt() clock.Time { return max(f.At, f.Told) }

// lives says whether the process is there and works, or could.
func (q *Process) lives() bool { return q.State == ProcessRunning || q.State == ProcessDiskWait }
