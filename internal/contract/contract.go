// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package contract holds the public names that dashboards, alerts and users
// depend on: attributes, metrics, events and their fixed values. A name is
// never changed or removed here without a migration in the CHANGELOG.
package contract

// ScopePrefix is the common start of the instrumentation scope names of all
// telemetry that Faultline itself emits. What carries it is never evidence.
const ScopePrefix = "github.com/faultline-otel/faultline"

// Attributes on failed spans, on log records and on events.
const (
	FailureClass             = "failure.class"
	FailureSubclass          = "failure.subclass"
	FailureConfidence        = "failure.confidence"
	FailureRole              = "failure.role"
	FailureCulpritType       = "failure.culprit.type"
	FailureCulpritName       = "failure.culprit.name"
	FailureCulpritService    = "failure.culprit.service.name"
	FailureCulpritNamespace  = "failure.culprit.service.namespace"
	FailureCulpritInstanceID = "failure.culprit.service.instance.id"
	FailureReason            = "failure.reason"
	FailureEvidence          = "failure.evidence"
	FailureRuledOut          = "failure.ruled_out"
	IncidentID               = "incident.id"
	AnomalyScore             = "anomaly.score"
	JaegerWarnings           = "@jaeger@warnings"

	FailureStartTime     = "failure.start_time"
	FailureRevision      = "failure.revision"
	FailurePreviousClass = "failure.previous.class"
	IncidentMembers      = "incident.members" // string[], names of all that the incident is about

	EventName = "event.name"
)

// TagKeys are the attributes that belong to Faultline on a span or log record:
// when one is tagged the whole set is replaced, those included that only events carry.
var TagKeys = []string{
	FailureClass, FailureSubclass, FailureConfidence, FailureRole,
	FailureCulpritType, FailureCulpritName, FailureCulpritService,
	FailureCulpritNamespace, FailureCulpritInstanceID, FailureReason,
	FailureEvidence, FailureRuledOut, IncidentID, AnomalyScore,
	FailureStartTime, FailureRevision, FailurePreviousClass, IncidentMembers,
}

// Values of failure.role.
const (
	RoleCulprit = "culprit"
	RoleVictim  = "victim"
)

// Metrics of the failure_model receiver.
const (
	MetricFailureState          = "failure.state"
	MetricFailureConfidence     = "failure.confidence"
	MetricFailureDetections     = "failure.detections"
	MetricFailureSuspicion      = "failure.suspicion"
	MetricTimeToExhaustion      = "failure.time_to_exhaustion"
	MetricTimeToExhaustionLower = "failure.time_to_exhaustion_lower"
	MetricTimeToExhaustionUpper = "failure.time_to_exhaustion_upper"
	MetricAnomalyScore          = "anomaly.score"
	MetricIncidentActive        = "incident.active"
)

// Metrics of the heartbeat receiver.
const (
	MetricHeartbeatUp        = "heartbeat.up"
	MetricHeartbeatChecks    = "heartbeat.checks"
	MetricHeartbeatInterval  = "heartbeat.interval"
	MetricHeartbeatRTT       = "heartbeat.rtt"
	MetricHeartbeatClockSkew = "heartbeat.clock_skew"
	MetricHeartbeatMissed    = "heartbeat.missed"
	MetricHeartbeatRefused   = "heartbeat.refused"
	MetricObserverHealth     = "observer.health"
)

// Event names: the EventName of a log record and its attribute event.name.
const (
	EventHeartbeat              = "heartbeat"
	EventFailureDetected        = "failure.detected"
	EventFailureRevised         = "failure.revised"
	EventFailureCleared         = "failure.cleared"
	EventFailurePredicted       = "failure.predicted"
	EventIncidentOpened         = "incident.opened"
	EventIncidentUpdated        = "incident.updated"
	EventIncidentResolved       = "incident.resolved"
	EventIncidentActionStarted  = "incident.action.started"
	EventIncidentActionFinished = "incident.action.finished"
	EventObserverDegraded       = "observer.degraded"
	EventObserverRecovered      = "observer.recovered"
	EventClockStepped           = "clock.stepped"
	EventIdentityConflict       = "identity.conflict"
	EventPartitionReconciled    = "partition.reconciled"
	EventPlannedStop            = "planned.stop"
)

// Attributes of a heartbeat record. Who beats stands in the resource
// (service.*, host.*); everything else is here.
const (
	HeartbeatIncarnation     = "heartbeat.incarnation"      // int, start time in Unix ns, or any number that grows with each start
	HeartbeatSeq             = "heartbeat.seq"              // int, ticks of the sender's own timer, sent or not
	HeartbeatInterval        = "heartbeat.interval"         // double, s
	HeartbeatStatus          = "heartbeat.status"           // string, see Status*
	HeartbeatExitCode        = "heartbeat.exit_code"        // int, exit status of the finished process, 128+n for signal n
	HeartbeatDigest          = "heartbeat.digest"           // string, of the state or answer vouched for
	HeartbeatBootID          = "heartbeat.boot_id"          // string, changes with each boot of the host
	HeartbeatSentAt          = "heartbeat.sent_at"          // int, sender's clock, Unix ns
	HeartbeatGroup           = "heartbeat.group"            // string, site, feeder or cell that may fail as one
	HeartbeatZone            = "heartbeat.zone"             // string, availability zone
	HeartbeatAuthenticated   = "heartbeat.authenticated"    // bool, the sender proved who it is (MAC or TLS identity)
	HeartbeatRemoteAddress   = "heartbeat.remote_address"   // string, host part of the address that it came from, or of those whose connections to the target these are
	HeartbeatObserver        = "heartbeat.observer"         // string, id of the receiver that saw it
	HeartbeatObserverUptime  = "heartbeat.observer.uptime"  // int, ns on the observer's monotonic clock since its start
	HeartbeatObserverSeq     = "heartbeat.observer.seq"     // int, counts this observer's records
	HeartbeatObserverLate    = "heartbeat.observer.late"    // double, s by which the observer's own last tick was late
	HeartbeatObserverRefused = "heartbeat.observer.refused" // int, heartbeats that the observer refused since its last record of itself
	HeartbeatTarget          = "heartbeat.target"           // string, the endpoint or process that was probed
	HeartbeatOutcome         = "heartbeat.outcome"          // string, see Outcome*
	HeartbeatRTT             = "heartbeat.rtt"              // double, s
	HeartbeatLoss            = "heartbeat.loss"             // double, 0-1, share of the packets sent there that get lost, if many do
	HeartbeatMessage         = "heartbeat.message"          // string, one line: error text of a probe, or the ping's body
	HeartbeatGrace           = "heartbeat.grace"            // double, s of lateness that the user allows a scheduled check
	HeartbeatDue             = "heartbeat.due"              // int, Unix ns when the next beat of a scheduled check is due
	HeartbeatRunTime         = "heartbeat.run_time"         // double, s from the /start of a job's run to its end
	HeartbeatAddresses       = "heartbeat.addresses"        // string[], ip:port at which a process of the observer's host takes connections
	HeartbeatClient          = "heartbeat.client"           // bool, that process takes no connections, and keeps one that it opened
	HeartbeatService         = "heartbeat.service"          // string, what that process was told to call itself in its telemetry
)

// Attributes of a process probe: a heartbeat record whose target starts with
// "process:". Values are absent where the kernel does not tell.
const (
	ProcessState       = "heartbeat.process.state"           // string, see Process*
	ProcessPID         = "process.pid"                       // int
	ProcessStartTime   = "heartbeat.process.start_time"      // int, Unix ns
	ProcessExitCode    = "heartbeat.exit_code"               // int, only where it can be known
	ProcessOOMKills    = "heartbeat.process.oom_kills"       // int, cumulative, of its cgroup
	ProcessThrottled   = "heartbeat.process.throttled_ratio" // double 0-1, throttled CPU periods since the last probe
	ProcessCPUWait     = "heartbeat.process.cpu.wait_ratio"  // double 0-1, of the time since the last probe
	ProcessMemoryUsed  = "heartbeat.process.memory.usage"    // int, bytes
	ProcessMemoryLimit = "heartbeat.process.memory.limit"    // int, bytes
	ProcessFDs         = "heartbeat.process.fd.usage"        // int
	ProcessFDLimit     = "heartbeat.process.fd.limit"        // int
	ProcessThreads     = "heartbeat.process.threads.usage"   // int
	ProcessThreadLimit = "heartbeat.process.threads.limit"   // int
	ProcessPressureCPU = "heartbeat.process.pressure.cpu"    // double 0-1, PSI some avg10
	ProcessPressureMem = "heartbeat.process.pressure.memory" // double 0-1, PSI full avg10
	ProcessPressureIO  = "heartbeat.process.pressure.io"     // double 0-1, PSI full avg10
)

// Values of heartbeat.status.
const (
	StatusStarting = "starting"
	StatusReady    = "ready"
	StatusDegraded = "degraded"
	StatusDraining = "draining"
	StatusStopping = "stopping"
	StatusLastGasp = "last_gasp"
	StatusFailed   = "failed" // a ping's /fail or non-zero exit status: the job says that it failed
)

// Values of heartbeat.outcome.
const (
	OutcomeOK             = "ok"
	OutcomeRefused        = "refused"
	OutcomeTimeout        = "timeout"
	OutcomeUnacknowledged = "unacknowledged" // the kernel sends again and again, and no acknowledgement comes
	OutcomeNoAnswer       = "no_answer"
	OutcomeUnreachable    = "unreachable"
	OutcomeReset          = "reset"
	OutcomeTLS            = "tls"
	OutcomeDNS            = "dns"
	OutcomeWrongAnswer    = "wrong_answer"
	OutcomeError          = "error"
)

// Values of heartbeat.process.state.
const (
	ProcessRunning  = "running"
	ProcessStopped  = "stopped"   // by a signal or a debugger
	ProcessZombie   = "zombie"    // exited, not yet reaped
	ProcessDiskWait = "disk_wait" // uninterruptible
	ProcessGone     = "gone"
)
