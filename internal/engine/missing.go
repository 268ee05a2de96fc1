// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"strings"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// What would tell two causes apart that look alike so far, of what this entity
// does not tell yet.

// tells is something that an entity may tell, or that may look at it.
type tells uint8

const (
	tellsExit     tells = iota // how it ended
	tellsProcess               // its process, as its host sees it
	tellsBeats                 // heartbeats
	tellsFarewell              // that it will stop
	tellsProbe                 // somebody asks it
	tellsBeyond                // somebody looks from elsewhere
	tellsServed                // calls that it answers
	tellsCalls                 // calls that it makes
	tellsLevels                // what its resources are used for
)

var tellsWords = [...]string{
	tellsExit: "its exit status", tellsProcess: "a process target on its host", tellsBeats: "heartbeats of its own",
	tellsFarewell: "a word from it when it stops", tellsProbe: "a probe of its port", tellsBeyond: "an observer that looks from elsewhere",
	tellsServed: "its own spans", tellsCalls: "spans of the calls that it makes", tellsLevels: "metrics of its resources",
}

// apart lists, for two causes, what tells them apart, best first.
var apart = map[[2]belief.Cause][]tells{
	{belief.CausePlanned, belief.CauseDead}:           {tellsExit, tellsFarewell},
	{belief.CausePlanned, belief.CauseHang}:           {tellsProcess, tellsFarewell, tellsProbe},
	{belief.CausePlanned, belief.CauseNotListening}:   {tellsFarewell, tellsBeats},
	{belief.CausePlanned, belief.CausePartition}:      {tellsBeyond, tellsFarewell, tellsProbe},
	{belief.CausePlanned, belief.CauseExhaustion}:     {tellsExit, tellsFarewell},
	{belief.CausePlanned, belief.CauseSetup}:          {tellsBeats, tellsFarewell, tellsBeyond},
	{belief.CauseVictim, belief.CauseSetup}:           {tellsBeats, tellsCalls},
	{belief.CauseDead, belief.CausePartition}:         {tellsProbe, tellsProcess, tellsBeyond, tellsExit},
	{belief.CauseDead, belief.CauseExhaustion}:        {tellsExit, tellsLevels},
	{belief.CauseDead, belief.CauseVictim}:            {tellsProbe, tellsProcess},
	{belief.CauseHang, belief.CausePartition}:         {tellsProbe, tellsProcess, tellsBeyond},
	{belief.CauseHang, belief.CauseExhaustion}:        {tellsServed, tellsLevels, tellsBeats},
	{belief.CauseHang, belief.CauseVictim}:            {tellsCalls, tellsProcess},
	{belief.CauseNotListening, belief.CausePartition}: {tellsProbe, tellsBeyond},
	{belief.CausePartition, belief.CauseExhaustion}:   {tellsBeyond, tellsLevels, tellsServed},
	{belief.CausePartition, belief.CauseVictim}:       {tellsProbe, tellsCalls},
	{belief.CauseExhaustion, belief.CauseByzantine}:   {tellsLevels, tellsCalls},
	{belief.CauseExhaustion, belief.CauseVictim}:      {tellsCalls, tellsLevels},
	{belief.CauseByzantine, belief.CauseVictim}:       {tellsCalls},
}

// missing says what would tell the two apart: at most two things that are not
// there.
func (e *Engine) missing(n *entity, first, second belief.Cause) string {
	list := apart[[2]belief.Cause{min(first, second), max(first, second)}]
	var out []string
	for _, t := range list {
		if len(out) < 2 && !e.has(n, t) {
			out = append(out, tellsWords[t])
		}
	}
	if len(out) == 0 {
		return "how it comes back will tell"
	}
	return strings.Join(out, " or ") + " would tell"
}

// has says whether n is known by something already.
func (e *Engine) has(n *entity, t tells) bool {
	switch t {
	case tellsExit:
		return slices.ContainsFunc(n.facts, func(f report.Fact) bool { return f.Kind == report.FactExit })
	case tellsProcess:
		return n.process.known
	case tellsBeats:
		return slices.ContainsFunc(n.streams, func(s *stream) bool { return s.kind == signBeat })
	case tellsFarewell:
		return n.saysHowItIs
	case tellsProbe:
		return slices.ContainsFunc(n.probes, func(p *probeState) bool { return p.process == nil && e.current(p) })
	case tellsBeyond:
		return len(n.views) > 1
	case tellsServed:
		return n.served.total > 0
	case tellsCalls:
		return n.eachCallee(func(*edge) bool { return true })
	case tellsLevels:
		return n.levels != nil
	}
	return false
}
