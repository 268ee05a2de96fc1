// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Which version is to blame.

const (
	// releaseWithin is how long after its first sight a version may be to blame
	// for what its instances do.
	releaseWithin = 30 * time.Minute
	// releaseTold is how long a version may serve before its name comes.
	releaseTold = 15 * time.Second
)

// release returns the version to blame: n runs it, it is new, and it came
// before the failure began, or as soon as it could tell of itself. A version that
// serves well elsewhere is not to blame.
func (n *entity) release(e *Engine, onset clock.Time) string {
	if n.service == nil || n.version == "" {
		return ""
	}
	for _, m := range n.service.instances {
		if m != n && m.version == n.version && e.servesWell(m, onset) {
			return ""
		}
	}
	vs := n.service.versions
	for i, v := range vs {
		if v.name == n.version && i > 0 && v.first <= onset.Add(releaseTold) && onset.Sub(v.first) < releaseWithin {
			return v.name
		}
	}
	return ""
}

// servesWell says whether n has gone on answering since, and made no failures.
func (e *Engine) servesWell(n *entity, since clock.Time) bool {
	return !n.left && n.verdict == nil && n.errsSince() == 0 &&
		n.served.last > since && n.served.ok.Value(e.now, e.params.CallWindow) >= 1
}

const (
	// loopsMany of one version must start again and again, and as many of others not, for
	// the version to be to blame.
	loopsMany = 3
	// loopsChance is how likely it may be that all of them ran it by chance.
	loopsChance = 0.01
)

// loopingRelease returns the version to blame where n starts again and again: most of
// those that run it do, at more than one place, and none of the others does.
func (n *entity) loopingRelease() string {
	if n.service == nil || n.version == "" {
		return ""
	}
	loop, calm, others := 0, 0, 0
	group, zone, host := true, true, true // whether all that loop share it
	for _, m := range n.service.instances {
		loops := m == n || m.verdict != nil && m.verdict.Subclass == verdict.SubclassCrashLoop
		switch {
		case m.left || m.version == "":
		case m.version != n.version && loops:
			return ""
		case m.version != n.version:
			others++
		case loops:
			loop++
			group = group && m.src.Group != "" && m.src.Group == n.src.Group
			zone = zone && m.src.Zone != "" && m.src.Zone == n.src.Zone
			host = host && m.host == n.host
		default:
			calm++
		}
	}
	share := float64(loop+calm) / float64(loop+calm+others)
	if loop < loopsMany || loop <= calm || others < loopsMany || group || zone || host || math.Pow(share, float64(loop)) > loopsChance {
		return ""
	}
	return n.version
}

// versionSeen is a version of a service and when it was first seen.
type versionSeen struct {
	name  string
	first clock.Time
}

// maxVersions is how many of one service are remembered.
const maxVersions = 8

// runs notes that the service runs a version.
func (s *service) runs(version string, now clock.Time) {
	for i := range s.versions {
		if s.versions[i].name == version {
			return
		}
	}
	if len(s.versions) == maxVersions {
		s.versions = append(s.versions[:0], s.versions[1:]...)
	}
	s.versions = append(s.versions, versionSeen{version, now})
}
