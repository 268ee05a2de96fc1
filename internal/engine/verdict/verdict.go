// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Class is a failure model: the public value of failure.class.
type Class string

// Values of Class. ClassNone is "no failure".
const (
	ClassNone       Class = ""
	ClassCrash      Class = "crash"
	ClassPartition  Class = "network_partition"
	ClassByzantine  Class = "byzantine"
	ClassExhaustion Class = "resource_exhaustion"
	ClassUnknown    Class = "unknown"
)

// CulpritType is the level that a verdict names.
type CulpritType string

// Values of CulpritType.
const (
	CulpritInstance CulpritType = "instance"
	CulpritService  CulpritType = "service"
	CulpritVersion  CulpritType = "version"
	CulpritNode     CulpritType = "node"
	CulpritZone     CulpritType = "zone"
	CulpritLink     CulpritType = "link"
	CulpritExternal CulpritType = "external"
	CulpritClient   CulpritType = "client"
)

// Culprit is who is to blame, at the most specific level that the evidence
// names.
type Culprit struct {
	Type     CulpritType
	Name     string           // of the instance, service, node …; a link is "a→b"
	Service  report.ServiceID // set where the culprit is a service or one of its instances
	Instance string           // service.instance.id, set where the culprit is an instance
}

// Verdict is what the engine concluded about one culprit. It is immutable: a
// change of mind is a new Verdict with the next Revision.
type Verdict struct {
	Class      Class
	Subclass   Subclass  // in what way it shows, or ""
	Confidence float64   // 0-1, calibrated
	Belief     float64   // 0-1, posterior of the class, before calibration
	Terms      []float64 // what the confidence is made from
	Culprit    Culprit
	Reason     string     // one line for a person
	Evidence   []string   // what speaks for it, strongest first
	RuledOut   []string   // what speaks against the other classes
	Incident   string     // incident id
	Since      clock.Time // when the failure began, as far as is known
	Decided    clock.Time // when this verdict was reached
	Until      clock.Time // when it was cleared; 0 while it holds
	Revision   int        // 0 for the first verdict on this failure
	Previous   Class      // class of the revision before, ClassNone for the first
}

// Holds says whether v is in force.
func (v *Verdict) Holds() bool { return v.Until == 0 }

// Covers says whether something that ended at t, or was running then, can have
// been hurt by the failure.
func (v *Verdict) Covers(end clock.Time, before, after time.Duration) bool {
	return end >= v.Since.Add(-before) && (v.Until == 0 || end <= v.Until.Add(after))
}

// Firmness orders what may explain one failure, 0-3: nothing, `unknown`, a way that
// most calls get over, and all that is more certain to have been met with. v may be
// nil.
func (v *Verdict) Firmness() int {
	switch {
	case v == nil:
		return 0
	case v.Class == ClassUnknown:
		return 1
	case v.Subclass == SubclassLossyLink || v.Subclass == SubclassSlowLink:
		return 2
	}
	return 3
}

// Firm says whether v explains a failure as well as any verdict can. v may be nil.
func (v *Verdict) Firm() bool { return v.Firmness() == 3 }

// Or returns w if that explains a failure better than v, else v. Both may be nil.
func (v *Verdict) Or(w *Verdict) *Verdict {
	if w.Firmness() > v.Firmness() {
		return w
	}
	return v
}

// Explains says whether a call to the culprit that ended with o can be its
// failure, rather than an answer to a bad request.
func (v *Verdict) Explains(o report.Outcome) bool {
	switch o {
	case report.OutcomeUnset, report.OutcomeOK, report.OutcomeClientError, report.OutcomeCircuitOpen, report.OutcomeSent:
		return false
	case report.OutcomeServerError, report.OutcomeWrongAnswer:
		// It answered. Who crashed or was cut off answers nobody.
		return v.Class == ClassByzantine || v.Class == ClassExhaustion
	case report.OutcomeOverloaded, report.OutcomeDiskFull, report.OutcomeMemoryFull:
		return v.Class == ClassExhaustion
	}
	return v.Class != ClassByzantine || o == report.OutcomeUnavailable || o == report.OutcomeOther // no answer is never byzantine
}

// OfClient says whether a client of the one who fails is to blame. v may be nil.
func (v *Verdict) OfClient() bool { return v != nil && v.Culprit.Type == CulpritClient }

// Delays says whether a call that went well may have taken long because of the
// failure: who is gone, or takes no connections, keeps nobody waiting for an answer,
// whatever ended it, and who answers wrongly does so in time. One who waited for it and was
// then served by another has a failed call below. v may be nil.
func (v *Verdict) Delays() bool {
	return v != nil && v.Class != ClassByzantine && v.Subclass != SubclassOOMKill && (v.Class != ClassCrash || v.Subclass == "" || v.Subclass == SubclassHang)
}

// Refuses says whether what is short is refused at once, and not waited for: a disk that
// is full, the last port, a thread, a quota. Who has no descriptor left does not take up
// connections, which wait.
func (v *Verdict) Refuses() bool {
	switch v.Subclass {
	case SubclassDisk, SubclassPorts, SubclassThreads, SubclassQuota:
		return true
	}
	return false
}

// Resends is the least that a kernel waits before it sends again what was not
// acknowledged (RFC 6298, and the lower bound that Linux puts in its place).
const Resends = 200 * time.Millisecond

// Blocks says whether nothing gets over what v is on, while it lasts: a call that went
// well either took another way or waited for its packets to be sent again. v may be nil.
func (v *Verdict) Blocks() bool { return v != nil && v.Class == ClassPartition && v.Firm() }

// Taints says whether answers of the culprit that look well may be wrong all the
// same: those of a byzantine may, and so may what is answered in a name that is forged.
func (v *Verdict) Taints() bool { return v.Class == ClassByzantine }

// Concerns says whether a verdict on an instance is one on src: of a version only
// while it runs that.
func (v *Verdict) Concerns(src *report.Source) bool {
	return v.Culprit.Type != CulpritVersion || src.Version == "" || src.Version == v.Culprit.Name
}

// NarrowsTo says whether a failure such as v may be that of a client or a version.
func (v *Verdict) NarrowsTo(t CulpritType) bool {
	switch v.Subclass {
	case SubclassOverload, SubclassQuota:
		return t == CulpritClient
	case SubclassErrorResponse, SubclassInvalidResponse, SubclassWrongAnswer, SubclassCrashLoop:
		return t == CulpritVersion
	}
	return false
}

// Event is something that happened in the engine, for people and for the
// metrics and events receiver. Fields that do not apply are zero.
type Event struct {
	Kind     string // a contract event name, such as "failure.detected"
	At       clock.Time
	Source   *report.Source // the entity it speaks of, may be nil
	Entity   string         // the entity's name for people
	Verdict  *Verdict       // of failure.* and incident.* events
	Incident *Incident
	Body     string // one line for a person
}

// Incident gathers the verdicts that belong to one cause.
type Incident struct {
	ID       string
	Opened   clock.Time
	Resolved clock.Time // 0 while open
	Class    Class
	Culprit  Culprit
	Reason   string
	Members  []string // names of the culprits and victims in it, sorted, at most 32
}
