// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
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
	return !n.left && n.verdict == nil && n.integrity.errorsSince == 0 &&
		n.served.last > since && n.served.ok.Value(e.now, e.params.CallWindow) >= 1
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
