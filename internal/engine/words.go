// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// words builds the verdict's value: class, culprit, confidence and the sentences
// for people. Every word comes from a finding that is there.
func (e *Engine) words(n *entity, p *episode, b *belief, class Class, c cause) *Verdict {
	v := &Verdict{Class: class, Culprit: n.culprit(), Decided: e.now, Since: p.onset}
	if v.Since == 0 {
		v.Since = p.began
	}
	if class == ClassUnknown {
		v.Confidence = rounded(min(b.failure()/(b.failure()+b.p[causeHealthy]+1e-9), ceilingOneSided))
		e.unknownWords(n, p, b, v)
		return v
	}
	v.Subclass = subclass(p, c)
	v.Belief = b.class(class)
	v.Terms = b.terms(c, v.Culprit.Type, p.proof())
	v.Confidence = confidence(v.Terms)
	if n.cut != nil {
		switch class {
		case ClassPartition:
			v.Subclass = n.cut.subclass(e.now)
		case ClassCrash:
			v.Subclass = "node_down"
		}
		if e.oneSided(n.cut, p) || n.cut.found.beside || e.oneOfSeveral(n.cut) {
			v.Confidence = min(v.Confidence, ceilingOneSided)
		}
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

const (
	maxInReason     = 3
	maxEvidence     = 8
	ceilingOneSided = 0.75
)

// unknownWords says what is seen, the two likeliest causes, and what would tell
// them apart.
func (e *Engine) unknownWords(n *entity, p *episode, b *belief, v *Verdict) {
	first, second := b.candidates()
	v.Evidence = p.forCause(b, first)
	what := strings.Join(v.Evidence[:min(len(v.Evidence), maxInReason)], "; ")
	either := fmt.Sprintf("%s (%.2f) or %s (%.2f)", rivalWords(first), b.classOf(first), rivalWords(second), b.classOf(second))
	missing := e.missing(n, first, second)
	switch {
	case p.found[evCutOff].strength > 0:
		v.Reason = fmt.Sprintf("%s; %s: seen from one side only", what, either)
	case !p.corroborated():
		v.Reason = fmt.Sprintf("%s; nothing else speaks, so a stop, a crash and a cut look alike: %s", what, missing)
	default:
		v.Reason = fmt.Sprintf("%s; %s: %s", what, either, missing)
	}
}

// classWords names a verdict for people.
func classWords(v *Verdict) string {
	if v.Subclass != "" {
		return fmt.Sprintf("%s (%s)", v.Class, v.Subclass)
	}
	return string(v.Class)
}

// subclass is the public value of failure.subclass.
func subclass(p *episode, c cause) string {
	has := func(kind evidence) bool { return p.found[kind].strength > 0 }
	switch c {
	case causeDead:
		switch {
		case has(evCrashLoop):
			return "crash_loop"
		case has(evNodeDown):
			return "node_down"
		}
		return "process_exit"
	case causeHang:
		return "hang"
	case causeNotListening:
		return "not_listening"
	case causeSetup:
		switch {
		case has(evProbeTLS) || has(evCallersTLS):
			return "tls"
		case has(evProbeName) || has(evCallersName):
			return "dns"
		}
		return ""
	case causeByzantine:
		switch {
		case has(evEquivocated):
			return "equivocation"
		case has(evForged):
			return "forged_identity"
		case has(evBackwards):
			return "impossible_state"
		case has(evCallersWrong):
			return "invalid_response"
		case has(evOwnErrors) || has(evErrorLines):
			return "error_response"
		}
		return "wrong_answer"
	case causeExhaustion:
		switch {
		case has(evOOMKill) || has(evMemoryAtEnd):
			return "oom_kill"
		case has(evEvictedMemory):
			return "memory"
		case has(evEvictedDisk) || has(evOverLimit):
			return "disk"
		case has(evEvictedThreads):
			return "threads"
		case has(evDiskFull) || has(evToldDiskFull):
			return "disk"
		case has(evNoDescriptor):
			return "file_descriptors"
		case has(evNoThread):
			return "threads"
		case has(evNoPort) || has(evFlowsFull) && !has(evPoolEmpty):
			return "ports"
		case has(evVolumeFull):
			return "disk"
		case has(evDescriptorsFull):
			return "file_descriptors"
		case has(evThreadsFull):
			return "threads"
		case has(evBacklog):
			return "queue"
		case has(evPoolEmpty) || has(evPoolFull):
			return "connection_pool"
		case has(evOutOfMemory):
			return "memory" // who collects garbage in vain uses up the processors, too
		case has(evThrottled):
			return "cpu"
		case has(evStarved):
			return "connection_pool"
		case has(evCPUWait) || has(evCPURose) && !has(evDemand):
			return "cpu"
		case has(evMemoryPressure) || has(evMemoryFull) || has(evToldMemoryFull):
			return "memory"
		case has(evIOPressure):
			return "disk_io"
		case has(evCallersOverloaded) && !has(evDemand) && !has(evKnee) && !has(evSlow) && !has(evBusy):
			return "quota"
		case has(evDemand) || has(evCallersOverloaded) || (has(evKnee) || has(evSlow)) && !has(evBusy):
			return "overload"
		case has(evBusy):
			return "cpu"
		}
	}
	return ""
}

type contribution struct {
	kind evidence
	x    float64
}

// forCause lists what speaks for a cause, strongest first.
func (p *episode) forCause(b *belief, c cause) []string {
	var cs []contribution
	for kind := range p.found {
		// Against the healthy and the planned: what speaks for both, such as
		// silence, is evidence all the same, but later in the list.
		if x := b.added[kind][c]; x > 0 && p.found[kind].text != "" {
			cs = append(cs, contribution{evidence(kind), x})
		}
	}
	return p.sentences(cs)
}

// against lists what rules out the other classes, strongest first.
func (p *episode) against(b *belief, class Class) []string {
	var out []string
	for _, rival := range [...]cause{causePartition, causeDead, causeExhaustion, causePlanned} {
		if rival.class() == class && class != ClassNone {
			continue
		}
		best, worst := -1, -rulesOutFrom
		for kind := range p.found {
			if x := b.added[kind][rival]; x <= worst && p.found[kind].text != "" {
				best, worst = kind, x
			}
		}
		if best >= 0 {
			out = append(out, fmt.Sprintf("not %s: %s", rivalWords(rival), p.found[best].text))
		}
	}
	return out
}

func rivalWords(c cause) string {
	if class := c.class(); class != ClassNone {
		return string(class)
	}
	return causeNames[c]
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
