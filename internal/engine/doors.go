// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net/netip"
	"slices"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// doors are the addresses at which instances say that they take calls. What
// traces have taught counts for more: whoever calls an instance may give it any
// name. So doors tell only whom the log of a proxy means, of which nobody is convicted
// alone, and whom a call to an IP that nobody has been reached at.
type doors struct {
	at      map[string][]*entity
	cap     int
	dropped uint64
}

// maxDoorsEach is how many doors an instance has at most, and maxBehindDoor how many
// instances share one before nobody is meant by it.
const (
	maxDoorsEach  = 8
	maxBehindDoor = 4
)

func (e *Engine) door(d *report.Door) {
	e.hostIP(d)
	n := e.instance(d.Source)
	if n == nil || d.Address == "" || slices.Contains(n.doors, d.Address) {
		return
	}
	behind, known := e.doors.at[d.Address]
	if !known && !roomFor(n, len(e.doors.at), e.doors.cap) {
		e.doors.dropped++
		return
	}
	if len(behind) >= maxBehindDoor {
		e.doors.dropped++
		e.closeDoor(behind[0], d.Address)
		behind = e.doors.at[d.Address]
	}
	e.doors.at[d.Address] = append(behind, n)
	if n.doors = append(n.doors, d.Address); len(n.doors) > maxDoorsEach {
		e.doors.dropped++
		e.closeDoor(n, n.doors[0])
	}
}

// closeDoor forgets that n takes calls at address.
func (e *Engine) closeDoor(n *entity, address string) {
	n.doors = slices.DeleteFunc(n.doors, func(a string) bool { return a == address })
	behind := slices.DeleteFunc(e.doors.at[address], func(m *entity) bool { return m == n })
	if len(behind) == 0 {
		delete(e.doors.at, address)
		return
	}
	e.doors.at[address] = behind
}

// closeDoors forgets all of n's doors.
func (e *Engine) closeDoors(n *entity) {
	for len(n.doors) > 0 {
		e.closeDoor(n, n.doors[0])
	}
}

// behindDoor is the one instance that takes calls at an address, ip:port, or that is
// the only one on the host of that IP; nil if traces tell who is there, or nobody
// can.
func (e *Engine) behindDoor(address string) *entity {
	if e.book.entries[address] != nil {
		return nil
	}
	if behind := e.doors.at[address]; behind != nil {
		return e.onlyOne(behind)
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil
	}
	n := e.onlyOne(e.doors.at[at.Addr().String()])
	if n == nil || slices.ContainsFunc(n.doors, func(a string) bool { d, err := netip.ParseAddrPort(a); return err == nil && d.Addr() == at.Addr() }) {
		return nil // it takes calls at another port there
	}
	return n
}

// onlyOne is the one instance among those behind a door that has not gone or been
// replaced by another of them; nil if there are several.
func (e *Engine) onlyOne(behind []*entity) *entity {
	var one *entity
	for _, n := range behind {
		for next := e.successor(n); next != nil; next = e.successor(n) {
			n = next // it took the place, whether it has told of this door yet or not
		}
		if one != nil && one != n {
			return nil
		}
		one = n
	}
	return one
}
