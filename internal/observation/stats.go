// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import "sync/atomic"

// Reasons for which evidence was not taken in.
const (
	skipNobody     = "heartbeat_names_nobody" // neither service nor target nor observer
	skipType       = "heartbeat_wrong_type"   // the attribute was taken as absent
	skipRange      = "heartbeat_out_of_range" // the attribute was taken as absent
	skipWord       = "heartbeat_unknown_word" // the status, outcome or state was taken as absent
	skipUnknownPod = "unknown_pod"            // an event or metric of a pod from which nothing has been heard
)

var skipReasons = [...]string{skipNobody, skipType, skipRange, skipWord, skipUnknownPod}

type skips [len(skipReasons)]atomic.Uint64

func (s *skips) add(reason string) {
	for i, r := range skipReasons {
		if r == reason {
			s[i].Add(1)
			return
		}
	}
}

// Skipped returns how often evidence was not taken in so far, by reason. Of a
// heartbeat with a bad attribute only that attribute is skipped.
func (x *Extractor) Skipped() map[string]uint64 {
	m := make(map[string]uint64, len(skipReasons))
	for i, r := range skipReasons {
		m[r] = x.skips[i].Load()
	}
	return m
}

// Names is how many names of a kind are known now, and how many made room for
// others so far. One that is in use may count twice for a while.
type Names struct {
	Kept      int
	Forgotten uint64
}

// Names returns what is interned, by kind.
func (x *Extractor) Names() map[string]Names {
	return map[string]Names{
		"source": {x.sources.len(), x.sources.evicted.Load()},
		"callee": {x.callees.len(), x.callees.evicted.Load()},
		"pod":    {x.pods.len(), x.pods.evicted.Load()},
		"state":  {x.states.len(), x.states.evicted.Load()},
	}
}
