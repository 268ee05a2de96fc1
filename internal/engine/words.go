// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// words builds the verdict's value: class, culprit, confidence and the sentences
// for people. Every word comes from a finding that is there.
func (e *Engine) words(n *entity, p *episode, b *belief.Posterior, class verdict.Class, c belief.Cause) *verdict.Verdict {
	v := &verdict.Verdict{Class: class, Culprit: n.culprit(), Decided: e.now, Since: p.onset}
	if v.Since == 0 {
		v.Since = p.began
	}
	if class == verdict.ClassUnknown {
		switch {
		case p.nodeDown(n) != 0:
			v.Culprit = e.nodeCulprit(n)
		case p.slowHost != nil:
			v.Culprit = verdict.Culprit{Type: verdict.CulpritNode, Name: p.slowHost.name}
		}
		v.Terms = belief.Open.Values(b, e.caseOf(n, p, v, c))
		v.Confidence = belief.Open.Confidence(v.Terms)
		e.unknownWords(n, p, b, v)
		return v
	}
	v.Subclass = subclass(p, c)
	v.Belief = b.Class(class)
	v.Terms = belief.Named.Values(b, e.caseOf(n, p, v, c))
	v.Confidence = belief.Named.Confidence(v.Terms)
	if n.cut != nil {
		switch class {
		case verdict.ClassPartition:
			v.Subclass = n.cut.subclass(e.now)
		case verdict.ClassCrash:
			v.Subclass = verdict.SubclassNodeDown
		}
		if e.oneSided(n.cut, p) || n.cut.found.beside || e.oneOfSeveral(n.cut) {
			v.Confidence = min(v.Confidence, ceilingOneSided)
		}
	}
	if n.cut == nil && class == verdict.ClassPartition && p.found[belief.EvTakesNone].strength > 0 {
		v.Confidence = min(v.Confidence, ceilingOneSided) // that it lives, and how many wait for it, is all that is known
	}
	if class == verdict.ClassByzantine && p.oneVoice {
		v.Confidence = min(v.Confidence, ceilingOneVoice)
	}
	e.narrow(n, p, v)
	v.Evidence = p.forCause(b, c)
	v.RuledOut = p.against(b, class)
	v.Reason = strings.Join(v.Evidence[:min(len(v.Evidence), maxInReason)], "; ")
	if len(v.RuledOut) > 0 {
		rival, why, _ := strings.Cut(v.RuledOut[0], ": ")
		if strings.Contains(v.Reason, why) {
			v.Reason += "; so " + rival
		} else {
			v.Reason += "; " + why + ", so " + rival
		}
	}
	return v
}

// expected says whether somebody told by when n has to be heard: such as the schedule of
// a check. Others whom nobody calls may just sleep.
func (n *entity) expected() bool {
	return slices.ContainsFunc(n.streams, func(s *stream) bool { return s.dueAt != 0 })
}

// caseOf is what the confidence of a verdict is made from besides the belief.
func (e *Engine) caseOf(n *entity, p *episode, v *verdict.Verdict, c belief.Cause) *belief.Case {
	k := &belief.Case{Cause: c, Level: v.Culprit.Type, Proof: p.proof(), Short: p.limits(), Silent: p.silent(), Asked: n.cut != nil && n.cut.found.asked,
		Uncalled: n.kind == kindInstance && n.served.total == 0 && len(n.calledBy) == 0 && !n.expected()}
	for _, c := range e.cuts {
		if c != n.cut && (c.stands(e.now) || c.heals(e.now)) {
			k.OtherCuts++
		}
	}
	return k
}

const (
	maxInReason     = 3    // lines of evidence in the reason
	maxEvidence     = 8    // and in the list
	ceilingOneSided = 0.75 // confidence at most, where nobody behind the cut can be heard
	ceilingOneVoice = 0.9  // the same, where only one tells of wrong answers
)

// unknownWords says what is seen, the two likeliest causes, and what would tell
// them apart.
func (e *Engine) unknownWords(n *entity, p *episode, b *belief.Posterior, v *verdict.Verdict) {
	first, second := b.Candidates()
	v.Evidence = p.forCause(b, first)
	what := strings.Join(v.Evidence[:min(len(v.Evidence), maxInReason)], "; ")
	either := fmt.Sprintf("%s (%.2f) or %s (%.2f)", rivalWords(first), b.ClassOf(first), rivalWords(second), b.ClassOf(second))
	missing := e.missing(n, first, second)
	switch {
	case p.found[belief.EvCutOff].strength > 0:
		v.Reason = fmt.Sprintf("%s; %s: seen from one side only", what, either)
	case e.mayBeRefusedInFront(n, p):
		v.Reason = what + "; nobody has told that its processes ended: either their ports are closed, or the name leads to none of them"
	case p.slowHost != nil:
		v.Reason = fmt.Sprintf("%s; so are others on %s, and none of them elsewhere: metrics of that machine would tell", what, p.slowHost.name)
	case p.contested:
		v.Reason = what + "; either it answers some of them wrongly, or who says so is wrong: what its callers make of its answers would tell"
	case p.found[belief.EvWants].now:
		v.Reason = what + "; nobody whom it is known to call fails: spans of the calls that it makes would tell whom it wants"
	case p.onlyStale():
		v.Reason = what + "; either it does not take in what it gets, or it gets nothing: how far its replication is would tell"
	case !p.corroborated():
		v.Reason = fmt.Sprintf("%s; nothing else speaks, so a stop, a crash and a cut look alike: %s", what, missing)
	default:
		v.Reason = fmt.Sprintf("%s; %s: %s", what, either, missing)
	}
}

// classWords names a verdict for people.
func classWords(v *verdict.Verdict) string {
	if v.Subclass != "" {
		return fmt.Sprintf("%s (%s)", v.Class, v.Subclass)
	}
	return string(v.Class)
}

// revision says what a later verdict changes.
func revision(before, now *verdict.Verdict) string {
	if before.Class == now.Class && before.Subclass == now.Subclass {
		return fmt.Sprintf("%s of %s, not of %s", classWords(now), now.Culprit.Name, before.Culprit.Name)
	}
	return fmt.Sprintf("not %s but %s", classWords(before), classWords(now))
}

// subclass is the public value of failure.subclass.
func subclass(p *episode, c belief.Cause) verdict.Subclass {
	has := func(kind belief.Evidence) bool { return p.found[kind].strength > 0 }
	switch c {
	case belief.CauseDead:
		switch {
		case has(belief.EvCrashLoop):
			return verdict.SubclassCrashLoop
		case has(belief.EvNodeDown) || has(belief.EvNodeRebooted):
			return verdict.SubclassNodeDown
		}
		return verdict.SubclassProcessExit
	case belief.CauseHang:
		return verdict.SubclassHang
	case belief.CauseNotListening:
		return verdict.SubclassNotListening
	case belief.CauseSetup:
		switch {
		case has(belief.EvProbeTLS) || has(belief.EvCallersTLS):
			return verdict.SubclassTLS
		case has(belief.EvProbeName) || has(belief.EvCallersName):
			return verdict.SubclassDNS
		}
		return ""
	case belief.CauseByzantine:
		switch {
		case has(belief.EvEquivocated):
			return verdict.SubclassEquivocation
		case has(belief.EvForged):
			return verdict.SubclassForgedIdentity
		case has(belief.EvBackwards):
			return verdict.SubclassImpossibleState
		case has(belief.EvCallersWrong):
			return verdict.SubclassInvalidResponse
		case has(belief.EvOwnErrors) || has(belief.EvErrorLines):
			return verdict.SubclassErrorResponse
		}
		return verdict.SubclassWrongAnswer
	case belief.CauseExhaustion:
		switch {
		case has(belief.EvOOMKill) || has(belief.EvMemoryAtEnd):
			return verdict.SubclassOOMKill
		case has(belief.EvEvictedMemory):
			return verdict.SubclassMemory
		case has(belief.EvEvictedDisk) || has(belief.EvOverLimit):
			return verdict.SubclassDisk
		case has(belief.EvEvictedThreads):
			return verdict.SubclassThreads
		case has(belief.EvDiskFull) || has(belief.EvToldDiskFull):
			return verdict.SubclassDisk
		case has(belief.EvNoDescriptor):
			return verdict.SubclassFileDescriptors
		case has(belief.EvNoThread) && !has(belief.EvThrottled) && !has(belief.EvCPUWait): // else they are busy for want of that
			return verdict.SubclassThreads
		case has(belief.EvNoPort) || has(belief.EvFlowsLost) || has(belief.EvFlowsFull) && !has(belief.EvPoolEmpty):
			return verdict.SubclassPorts
		case has(belief.EvVolumeFull):
			return verdict.SubclassDisk
		case has(belief.EvDescriptorsFull):
			return verdict.SubclassFileDescriptors
		case has(belief.EvThreadsFull):
			return verdict.SubclassThreads
		case has(belief.EvBacklog):
			return verdict.SubclassQueue
		case has(belief.EvPoolEmpty) || has(belief.EvPoolFull):
			return verdict.SubclassConnectionPool
		case has(belief.EvOutOfMemory):
			return verdict.SubclassMemory // who collects garbage in vain uses up the processors, too
		case has(belief.EvThrottled):
			return verdict.SubclassCPU
		case has(belief.EvStarved):
			return verdict.SubclassConnectionPool
		case has(belief.EvCPUWait) || has(belief.EvCPURose) && !has(belief.EvDemand):
			return verdict.SubclassCPU
		case has(belief.EvMemoryPressure) || has(belief.EvMemoryFull) || has(belief.EvToldMemoryFull):
			return verdict.SubclassMemory
		case has(belief.EvIOPressure):
			return verdict.SubclassDiskIO
		case has(belief.EvCallersOverloaded) && !has(belief.EvDemand) && !has(belief.EvKnee) && !has(belief.EvSlow) && !has(belief.EvBusy):
			return verdict.SubclassQuota
		case has(belief.EvDemand) || has(belief.EvCallersOverloaded) || (has(belief.EvKnee) || has(belief.EvSlow)) && !has(belief.EvBusy):
			return verdict.SubclassOverload
		case has(belief.EvBusy):
			return verdict.SubclassCPU
		}
	}
	return ""
}

type contribution struct {
	kind belief.Evidence
	x    float64
}

// forCause lists what speaks for a cause, strongest first.
func (p *episode) forCause(b *belief.Posterior, c belief.Cause) []string {
	var cs []contribution
	for kind := range p.found {
		// Against the healthy and the planned: what speaks for both, such as
		// silence, is evidence all the same, but later in the list.
		if x := b.Added[kind][c]; x > 0 && p.found[kind].text != "" {
			cs = append(cs, contribution{belief.Evidence(kind), x})
		}
	}
	return p.sentences(cs)
}

// against lists what rules out the other classes, strongest first.
func (p *episode) against(b *belief.Posterior, class verdict.Class) []string {
	var out []string
	for _, rival := range [...]belief.Cause{belief.CausePartition, belief.CauseDead, belief.CauseExhaustion, belief.CausePlanned} {
		if rival.Class() == class && class != verdict.ClassNone {
			continue
		}
		best, worst := -1, -rulesOutFrom
		for kind := range p.found {
			if x := b.Added[kind][rival]; x <= worst && p.found[kind].text != "" {
				best, worst = kind, x
			}
		}
		if best >= 0 {
			out = append(out, fmt.Sprintf("not %s: %s", rivalWords(rival), p.found[best].text))
		}
	}
	return out
}

func rivalWords(c belief.Cause) string {
	if class := c.Class(); class != verdict.ClassNone {
		return string(class)
	}
	return belief.CauseNames[c]
}

const rulesOutFrom = 5.0 // dB

func (p *episode) sentences(cs []contribution) []string {
	sort.SliceStable(cs, func(i, j int) bool { return cs[i].x > cs[j].x })
	out := make([]string, 0, min(len(cs), maxEvidence))
	for _, c := range cs[:min(len(cs), maxEvidence)] {
		out = append(out, p.found[c.kind].text)
	}
	return out
}

// inWords says a duration as a person would: 6.2 s, 3 min, 2.5 h.
func inWords(d time.Duration) string {
	switch s := d.Seconds(); {
	case s < 0.0995:
		return fmt.Sprintf("%.0f ms", s*1000)
	case s < 99.5:
		return fmt.Sprintf("%.1f s", s)
	case s < 5400:
		return fmt.Sprintf("%.0f min", s/60)
	default:
		return fmt.Sprintf("%.1f h", s/3600)
	}
}
