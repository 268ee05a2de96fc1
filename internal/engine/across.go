// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "slices"

// Each hypothesis is about one place, and most sights neither begin nor end there. In a
// large outage there are thousands of sights and hundreds of hypotheses: they are
// sorted by place once, so that each hypothesis looks at its own.

// ends lists, by place, the sights that begin or end there, in their order: those of
// places of which some are silent.
type ends struct {
	at      map[any][]int32 // by host or entity
	zones   map[string][]int32
	all     map[*service][]int32
	nowhere map[placeless][]int
	few     []sight // those of the hypothesis looked at last
	which   []int32
}

func endsOf(sights []sight, nowhere map[placeless][]int, here *hostState) *ends {
	x := &ends{at: map[any][]int32{here: nil}, zones: map[string][]int32{}, all: map[*service][]int32{}, nowhere: nowhere}
	for i := range sights {
		if s := &sights[i]; s.share >= silentFrom {
			x.at[s.from], x.at[s.to], x.at[s.caller], x.at[s.target] = nil, nil, nil, nil
			x.zones[s.from.inZone()], x.zones[s.to.inZone()] = nil, nil
			if s.broken && s.caller != nil {
				x.all[s.caller.service] = nil
			}
		}
	}
	for i := range sights {
		s := &sights[i]
		for _, place := range [...]any{s.from, s.to, s.caller, s.target} {
			if list, asked := x.at[place]; asked {
				x.at[place] = appendOnce(list, i)
			}
		}
		for _, zone := range [...]string{s.from.inZone(), s.to.inZone()} {
			if list, asked := x.zones[zone]; asked {
				x.zones[zone] = appendOnce(list, i)
			}
		}
		if s.caller != nil {
			if list, asked := x.all[s.caller.service]; asked {
				x.all[s.caller.service] = append(list, int32(i))
			}
		}
	}
	return x
}

// appendOnce appends i to a list in ascending order, if it is not in it yet.
func appendOnce(list []int32, i int) []int32 {
	if len(list) > 0 && list[len(list)-1] == int32(i) {
		return list
	}
	return append(list, int32(i))
}

// inZone is the zone of a host, "" if nobody told.
func (h *hostState) inZone() string {
	if h == nil {
		return ""
	}
	return h.zone
}

// across returns the sights that the cut silences and nothing has explained yet, in
// their order, until it is asked again.
func (x *ends) across(sights []sight, c *cut) []sight {
	which := x.of(&c.near)
	if here := c.near.here; here != nil || len(c.placed) > 0 {
		x.which = append(x.which[:0], which...)
		if here != nil {
			x.which = append(x.which, x.at[here]...)
		}
		for p := range c.placed {
			for _, i := range x.nowhere[p] {
				x.which = append(x.which, int32(i))
			}
		}
		slices.Sort(x.which)
		which = slices.Compact(x.which)
	}
	x.few = x.few[:0]
	for _, i := range which {
		if s := &sights[i]; !s.taken && c.predicts(s) {
			x.few = append(x.few, *s)
		}
	}
	return x.few
}

// of lists the sights that begin or end on a side.
func (x *ends) of(s *side) []int32 {
	switch {
	case s.entity != nil:
		return x.at[s.entity]
	case s.all != nil:
		return x.all[s.all] // those who call: it is the near side of a link, to whom they call
	case s.host != nil:
		return x.at[s.host]
	}
	return x.zones[s.zone]
}
