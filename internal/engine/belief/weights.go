// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package belief

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Cause is what may be the matter with an entity: a column of the table. The
// three forms of crash are told apart inside and are one class outside.
type Cause uint8

// Values of Cause.
const (
	CauseHealthy      Cause = iota
	CausePlanned            // it was stopped on purpose
	CauseDead               // crash: the process is gone
	CauseHang               // crash: it lives and answers nobody
	CauseNotListening       // crash: it lives and its port is closed
	CausePartition
	CauseExhaustion
	CauseByzantine
	CauseVictim   // it suffers from another's failure
	CauseObserver // those who say so are at fault
	CauseSetup    // partition: packets get through, and no connection comes about, for want of a name or of trust
	NumCauses
)

// CauseNames are the causes in words for people.
var CauseNames = [NumCauses]string{
	"no failure", "planned stop", "crash", "hang", "closed port", "network partition",
	"resource exhaustion", "byzantine behaviour", "another's failure", "the observer's own fault",
	"failure to set up connections",
}

// Class is the public class of a cause.
func (c Cause) Class() verdict.Class {
	switch c {
	case CauseDead, CauseHang, CauseNotListening:
		return verdict.ClassCrash
	case CausePartition, CauseSetup:
		return verdict.ClassPartition
	case CauseExhaustion:
		return verdict.ClassExhaustion
	case CauseByzantine:
		return verdict.ClassByzantine
	}
	return verdict.ClassNone
}

// dB holds log-likelihood ratios against "healthy" in decibels,
// 10·log₁₀(P(evidence | cause) / P(evidence | healthy)), by cause.
type dB [NumCauses]float64

// prior is the belief about an entity that some detector has noticed: the
// rarity of that has paid for the base rate already.
var prior = dB{
	CauseHealthy: 3, CausePlanned: -6, CauseDead: -8, CauseHang: -8, CauseNotListening: -8, CausePartition: -11,
	CauseExhaustion: -8, CauseByzantine: -14, CauseVictim: -5, CauseObserver: -8, CauseSetup: -11,
}

// stay is added to the class that is held now.
const stay = 6.0

// Group holds evidence that has a common source of error: it counts as the
// strongest member and a share of the rest, and never more than its cap.
type Group uint8

// Values of Group.
const (
	GroupHeartbeat Group = iota
	GroupProbe
	GroupCallers
	GroupOwn
	GroupSaturation
	GroupLogs
	GroupChange
	GroupReach
	GroupGood
	GroupRuntime
	GroupReturn
	GroupIntegrity
	GroupQueue
	GroupEnding // why it ended, as opposed to that it did
	GroupPeers  // how its answers compare with those of its siblings
	GroupFlow   // what it does for them
	NumGroups
)

var groupCap = [NumGroups]float64{
	GroupHeartbeat: 13, GroupProbe: 18, GroupCallers: 24, GroupOwn: 10, GroupSaturation: 16, GroupLogs: 20,
	GroupChange: 20, GroupReach: 26, GroupGood: 20, GroupRuntime: 26, GroupReturn: 22, GroupIntegrity: 65, GroupQueue: 24, GroupEnding: 36,
	GroupPeers: 13, GroupFlow: 13,
}

// restOfGroup is how much the weaker members of a group add.
const restOfGroup = 0.3

// row is what one kind of evidence says. Evidence with a half-life is
// remembered and fades; evidence without holds while its detector says so.
type row struct {
	group    Group
	halfLife time.Duration
	proof    bool // needs no second look before a verdict
	weights  dB
}

// Evidence is a kind of evidence: a row of the table.
type Evidence uint8

// Group is the group of evidence with which it shares its errors.
func (k Evidence) Group() Group { return weights[k].group }

// HalfLife is how fast it fades when its detector says it no more; 0: it ends at once.
func (k Evidence) HalfLife() time.Duration { return weights[k].halfLife }

// Proof says whether it needs no second look before a verdict.
func (k Evidence) Proof() bool { return weights[k].proof }

// Weight is what it says of a cause, in decibels.
func (k Evidence) Weight(c Cause) float64 { return weights[k].weights[c] }

// Values of Evidence.
const (
	EvSilent Evidence = iota
	EvTelemetrySilent
	EvBeating
	EvCallersSucceed
	EvProgress
	EvProbeOK
	EvPortOpen
	EvAcknowledged
	EvProbeRefused
	EvProbeTimeout
	EvUnacknowledged
	EvProbeUnreachable
	EvProbeNoAnswer
	EvProbeReset
	EvProbeDown
	EvProbeName
	EvProbeTLS
	EvCallersRefused
	EvCallersReset
	EvCallersConnectTimeout
	EvCallersTimeout
	EvCallersUnreachable
	EvCallersUnavailable
	EvCallersName
	EvCallersTLS
	EvStillRefused
	EvProbeStill
	EvNoProgress
	EvCalleeFailing
	EvProcessGone
	EvProcessStopped
	EvProcessRuns
	EvHostAlive
	EvOOMKill
	EvOutOfMemory
	EvPanic
	EvExitCrash
	EvExitKilled
	EvExitClean
	EvCrashLoop
	EvNodeDown
	EvAnnounced
	EvNotAnnounced
	EvReplaced
	EvStarting
	EvNobodyHurt
	EvReturnCounted
	EvReturnFrozen
	EvReturnNew
	EvStampedInside
	EvObserverSick
	EvServesErrors
	EvDiskFull
	EvNoDescriptor
	EvNoThread
	EvPoolEmpty
	EvThrottled
	EvCPUWait
	EvMemoryPressure
	EvMemoryFull
	EvDescriptorsFull
	EvThreadsFull
	EvPoolFull
	EvVolumeFull
	EvIOPressure
	EvBusy
	EvSlow
	EvCalleeSlow
	EvCalleesWell
	EvDemand
	EvCallersOverloaded
	EvCutLink
	EvCutOff
	EvBehindAlive
	EvManyHosts
	EvExplainedByCut
	EvProbeWrong
	EvCallersWrong
	EvOwnErrors
	EvErrorLines
	EvIntegrityLog
	EvBackwards
	EvEquivocated
	EvDissent
	EvReadsNothing
	EvBacklog
	EvForged
	EvLastLimit
	EvNoPort
	EvFlowsFull
	EvEvictedMemory
	EvEvictedDisk
	EvEvictedThreads
	EvOverLimit
	EvDeploy
	EvFailsShort
	EvMemoryAtEnd
	EvStillUnavailable
	EvParted
	EvToldDiskFull
	EvToldMemoryFull
	EvCPURose
	EvMissed
	EvKnee
	EvAmongPeers
	EvDoesNothing
	EvStillUnreached
	EvStarved
	EvHoldsUp
	EvSharesLoad
	EvNodeRebooted
	EvFlowsLost
	EvTakesNone
	EvWants
	NumEvidence
)

const (
	pl, de, ha, nl = CausePlanned, CauseDead, CauseHang, CauseNotListening
	pa, ex, by, vi = CausePartition, CauseExhaustion, CauseByzantine, CauseVictim
	ob, su         = CauseObserver, CauseSetup
)

// weights is the one table. Start values are judgements about how systems fail;
// docs/engine.md gives the reasons for each row.
var weights = [NumEvidence]row{
	EvSilent:          {GroupHeartbeat, 15 * time.Second, false, dB{pl: 13, de: 13, ha: 9, pa: 12, ex: 5, ob: 8, su: -4}},
	EvTelemetrySilent: {GroupHeartbeat, 15 * time.Second, false, dB{pl: 10, de: 10, ha: 8, pa: 9, ex: 4, ob: 8, su: -2}},

	EvBeating:        {GroupGood, 0, false, dB{pl: -15, de: -15, nl: 6, pa: -8, ob: -5}},
	EvCallersSucceed: {GroupGood, 0, false, dB{pl: -12, de: -12, ha: -14, nl: -14, pa: -6, su: -6}},
	EvProgress:       {GroupGood, 0, false, dB{pl: -8, de: -14, ha: -16, nl: -6, pa: -4, su: -2}},
	// Many a health check answers by itself while no request does, and the kernel
	// accepts for anybody.
	EvProbeOK:      {GroupGood, 0, false, dB{pl: -12, de: -12, ha: -4, nl: -12, pa: -6, su: -2}},
	EvPortOpen:     {GroupGood, 0, false, dB{pl: -12, de: -12, nl: -12, pa: -6, su: -2}},
	EvAcknowledged: {GroupGood, 0, false, dB{pa: -8}},

	EvProbeRefused: {GroupProbe, 0, false, dB{pl: 6, de: 12, ha: -6, nl: 10, pa: -10, ex: 1, ob: -5, su: -10}},
	EvProbeTimeout: {GroupProbe, 0, false, dB{pl: 2, de: 6, ha: 2, nl: -4, pa: 9, ex: 5, ob: 2, su: -6}},
	// Who hangs, or has no breath, lives on a machine whose kernel acknowledges for it.
	EvUnacknowledged:   {GroupProbe, 0, false, dB{pl: 2, de: 9, ha: -12, nl: -10, pa: 12, ex: -8, by: -6, ob: 2, su: -8}},
	EvProbeUnreachable: {GroupProbe, 0, false, dB{pl: 2, de: 4, nl: -6, pa: 12, ob: 3, su: -6}},
	EvProbeNoAnswer:    {GroupProbe, 0, false, dB{pl: -6, de: -8, ha: 15, nl: -8, pa: -4, ex: 6, vi: 3, su: -6}},
	EvProbeReset:       {GroupProbe, 0, false, dB{pl: 1, de: 3, ha: 1, nl: 3, pa: 2, ex: 3}},
	EvProbeDown:        {GroupProbe, 0, false, dB{pl: 5, de: 6, ha: 5, nl: 5, pa: 5, ex: 4, ob: 2}},
	EvProbeName:        {GroupProbe, 0, false, dB{pl: 4, de: -2, ha: -6, nl: -6, su: 16, ob: 3}},
	EvProbeTLS:         {GroupProbe, 0, false, dB{de: -12, ha: -14, nl: -12, pa: -10, su: 22, by: 2}},

	EvCallersRefused:        {GroupCallers, 15 * time.Second, false, dB{pl: 2, de: 12, ha: -6, nl: 12, pa: -6, ex: 1, vi: -3, su: -10}},
	EvCallersReset:          {GroupCallers, 15 * time.Second, false, dB{pl: 3, de: 8, ha: -2, nl: 2, pa: 3, ex: 3, vi: 1, su: -3}},
	EvCallersConnectTimeout: {GroupCallers, 15 * time.Second, false, dB{de: 4, nl: -4, pa: 9, ex: 5, su: -8}},
	EvCallersTimeout:        {GroupCallers, 15 * time.Second, false, dB{pl: -2, de: -2, ha: 11, nl: -6, pa: 4, ex: 7, vi: 8, su: -4}},
	EvCallersUnreachable:    {GroupCallers, 15 * time.Second, false, dB{pl: 1, de: 4, nl: -6, pa: 11, su: -8}},
	EvCallersUnavailable:    {GroupCallers, 15 * time.Second, false, dB{pl: 2, de: 5, ha: 3, nl: 5, pa: 3, ex: 5, vi: 4}},
	EvCallersName:           {GroupCallers, 15 * time.Second, false, dB{pl: 4, de: -4, ha: -8, nl: -8, su: 24, vi: -4}},
	EvCallersTLS:            {GroupCallers, 15 * time.Second, false, dB{de: -12, ha: -14, nl: -12, pa: -10, su: 24, by: 2, vi: -4}},

	EvStillRefused:     {GroupOwn, 0, false, dB{pl: -3, de: 4, nl: 4, pa: -3}},
	EvStillUnavailable: {GroupOwn, 0, false, dB{pl: 1, de: 7, ha: 4, nl: 6, pa: 5, ex: 2}},
	EvStillUnreached:   {GroupOwn, 0, false, dB{pl: -4, de: 7, ha: -4, nl: -4, pa: 9, ex: -2, su: -4}},
	EvMissed:           {GroupOwn, 0, false, dB{pl: 1, de: 10, ha: 3, nl: 8, pa: 9, ex: 3}},
	EvProbeStill:       {GroupOwn, 0, false, dB{pl: 2, de: 5, ha: 6, nl: 5, pa: 4, ex: 2, su: 5}},
	EvNoProgress:       {GroupOwn, 0, false, dB{de: 5, ha: 10, nl: 3, pa: 2, ex: -3, vi: -8, su: 3}},
	EvCalleeFailing:    {GroupChange, 0, false, dB{de: -4, ha: -12, nl: -4, pa: -2, ex: -8, by: -4, vi: 14, su: -2}},

	EvProcessGone:    {GroupRuntime, 0, false, dB{pl: 14, de: 18, ha: -15, nl: -15, pa: -12, ex: 2, vi: -6, ob: -8, su: -12}},
	EvProcessStopped: {GroupRuntime, 0, false, dB{pl: -6, de: -10, ha: 24, nl: -10, pa: -12, ex: -6, vi: -8, ob: -8, su: -12}},
	EvProcessRuns:    {GroupRuntime, 0, false, dB{pl: -15, de: -18, ha: 2, nl: 2, pa: -2, ob: -4}},
	EvHostAlive:      {GroupReach, 0, false, dB{pl: 3, de: 4, ha: 3, pa: -8, ob: -8}},
	EvOOMKill:        {GroupEnding, 15 * time.Minute, true, dB{pl: -30, de: -26, ha: -20, nl: -20, pa: -20, ex: 34, by: -3, vi: -6, su: -20}},
	EvLastLimit:      {GroupEnding, 15 * time.Minute, false, dB{pl: -30, de: -30, ha: -20, nl: -20, pa: -20, ex: 34, vi: -6, su: -20}},
	EvEvictedMemory:  {GroupEnding, 15 * time.Minute, true, dB{pl: -30, de: -26, ha: -20, nl: -20, pa: -20, ex: 34, by: -3, vi: -6, su: -20}},
	EvEvictedDisk:    {GroupEnding, 15 * time.Minute, true, dB{pl: -30, de: -26, ha: -20, nl: -20, pa: -20, ex: 34, by: -3, vi: -6, su: -20}},
	EvEvictedThreads: {GroupEnding, 15 * time.Minute, true, dB{pl: -30, de: -26, ha: -20, nl: -20, pa: -20, ex: 34, by: -3, vi: -6, su: -20}},
	EvOverLimit:      {GroupEnding, 15 * time.Minute, true, dB{pl: -30, de: -26, ha: -20, nl: -20, pa: -20, ex: 34, by: -3, vi: -6, su: -20}},
	EvMemoryAtEnd:    {GroupEnding, 15 * time.Minute, true, dB{pl: -20, de: -20, ha: -14, nl: -14, pa: -20, ex: 24, vi: -6}},
	EvOutOfMemory:    {GroupLogs, 5 * time.Minute, false, dB{pl: -4, de: -4, ha: -2, pa: -6, ex: 14, vi: -4, su: -6}},
	EvPanic:          {GroupLogs, 5 * time.Minute, false, dB{pl: -15, de: 16, ha: -8, nl: -8, pa: -10, ex: -2, vi: -6, su: -10}},
	EvExitCrash:      {GroupRuntime, 15 * time.Minute, true, dB{pl: -15, de: 24, ha: -15, nl: -15, pa: -15, ex: -2, vi: -6, su: -15}},
	EvExitKilled:     {GroupRuntime, 15 * time.Minute, true, dB{pl: 2, de: 20, ha: -12, nl: -12, pa: -12, ex: 4, vi: -6, su: -12}},
	EvExitClean:      {GroupRuntime, 10 * time.Minute, false, dB{pl: 22, de: -10, ha: -8, nl: -8, pa: -8, ex: -4, vi: -4, su: -8}},
	EvCrashLoop:      {GroupChange, 10 * time.Minute, true, dB{pl: -12, de: 18, ha: -6, nl: -4, pa: -10, ex: 2, vi: -4, su: -10}},
	EvNodeDown:       {GroupReach, 5 * time.Minute, false, dB{pl: 4, de: 14, pa: 8, su: -6}},
	EvNodeRebooted:   {GroupReach, 5 * time.Minute, false, dB{pl: 4, de: 22, ha: -8, nl: -8, pa: -12, su: -10}},

	EvAnnounced:    {GroupChange, 0, false, dB{pl: 20, de: -10, ha: -8, nl: -8, pa: -8, ex: -4, vi: -4, su: -8}},
	EvNotAnnounced: {GroupChange, 0, false, dB{pl: -10}},
	EvDeploy:       {GroupChange, 0, false, dB{pl: 9, de: -2}},
	EvReplaced:     {GroupChange, 0, false, dB{pl: 6, ha: -4, nl: -4, pa: -6, su: -6}},

	EvStarting:   {GroupGood, 0, false, dB{pl: 2, ha: -12, nl: -16, ex: -2, by: -2, su: -4}},
	EvNobodyHurt: {GroupChange, 0, false, dB{pl: 3, de: -13, nl: -12}},

	EvReturnCounted: {GroupReturn, 15 * time.Minute, false, dB{pl: -10, de: -22, ha: -14, nl: -4, pa: 18, vi: -4, ob: 8}},
	EvReturnFrozen:  {GroupReturn, 15 * time.Minute, false, dB{pl: -10, de: -22, ha: 20, nl: -10, pa: -15, ob: -6, su: -10}},
	EvReturnNew:     {GroupReturn, 15 * time.Minute, false, dB{pl: 8, de: 8, ha: -8, nl: -8, pa: -15, ex: 2, vi: -6}},

	EvStampedInside: {GroupReturn, 15 * time.Minute, false, dB{pl: -10, de: -24, ha: -14, nl: -4, pa: 18, vi: -4}},

	EvServesErrors: {GroupOwn, 0, false, dB{pl: -6, de: -8, ha: -8, nl: -8, pa: -2, ex: 5, by: 5, vi: 6}},
	EvFailsShort:   {GroupOwn, 0, false, dB{ha: -4, ex: 10, vi: -4}},
	EvDiskFull:     {GroupLogs, time.Minute, false, dB{de: -6, ha: -4, nl: -4, pa: -8, ex: 20, by: -4, vi: -6, su: -6}},
	EvNoDescriptor: {GroupLogs, time.Minute, false, dB{de: -6, ha: -4, nl: -2, pa: -8, ex: 20, by: -4, vi: -4, su: -6}},
	EvNoThread:     {GroupLogs, time.Minute, false, dB{de: -6, ha: -4, nl: -2, pa: -8, ex: 20, by: -4, vi: -4, su: -6}},
	EvNoPort:       {GroupLogs, time.Minute, false, dB{de: -6, ha: -4, nl: -2, pa: -8, ex: 20, by: -4, vi: -4, su: -6}},
	EvPoolEmpty:    {GroupLogs, time.Minute, false, dB{de: -6, ha: -2, nl: -4, pa: -4, ex: 20, by: -4, su: -4}},

	EvThrottled:       {GroupSaturation, 0, false, dB{ha: -10, pa: -4, ex: 16, vi: -3}}, // who waits for nothing but a lock uses no processor
	EvCPUWait:         {GroupSaturation, 0, false, dB{ha: -5, pa: -4, ex: 12, vi: -2}},
	EvMemoryPressure:  {GroupSaturation, 0, false, dB{ha: -6, pa: -4, ex: 14, vi: -3}},
	EvMemoryFull:      {GroupSaturation, 0, false, dB{ha: -4, pa: -4, ex: 11, vi: -3}},
	EvDescriptorsFull: {GroupSaturation, 0, false, dB{ha: -12, pa: -4, ex: 16, vi: -3}}, // who has none left accepts no connection
	EvThreadsFull:     {GroupSaturation, 0, false, dB{ha: -4, pa: -4, ex: 13, vi: -3}},
	EvPoolFull:        {GroupSaturation, 0, false, dB{ha: -2, pa: -4, ex: 13, vi: -2}},
	EvVolumeFull:      {GroupSaturation, 0, false, dB{ha: -4, pa: -4, ex: 13, vi: -3}},
	EvFlowsFull:       {GroupSaturation, 0, false, dB{ha: -4, pa: -4, ex: 13, vi: -3}},
	EvFlowsLost:       {GroupLogs, 0, false, dB{de: -8, ha: -8, nl: -6, pa: -16, ex: 20, by: -6, vi: -8, su: -6}}, // which the kernel writes, too
	EvIOPressure:      {GroupSaturation, 0, false, dB{ha: -4, pa: -4, ex: 13, vi: -3}},
	EvBusy:            {GroupSaturation, 0, false, dB{ha: -2, pa: -2, ex: 8, vi: -1}},
	EvCPURose:         {GroupSaturation, 0, false, dB{ha: -4, pa: -3, ex: 12, vi: -3}},
	EvSlow:            {GroupOwn, 0, false, dB{pl: -4, de: -8, ha: -6, nl: -8, pa: 1, ex: 8, by: -1, vi: 7}},
	// It lives, its backlog is not full, and who connects to it has no answer at all.
	EvTakesNone:         {GroupReach, 0, false, dB{pl: -6, de: -6, ha: -18, nl: -8, pa: 18, ex: -8, vi: -6}},
	EvHoldsUp:           {GroupCallers, 15 * time.Second, false, dB{pl: -4, ha: 6, nl: -4, pa: 2, ex: 7, vi: -4}},                  // of one whose own callees nobody tells
	EvWants:             {GroupCallers, 15 * time.Second, false, dB{pl: -6, de: -4, ha: 2, nl: -4, pa: 11, ex: 11, by: 14, su: 4}}, // of one who is not named
	EvCalleeSlow:        {GroupChange, 0, false, dB{ha: -6, pa: -2, ex: -6, by: -4, vi: 14}},
	EvCalleesWell:       {GroupChange, 0, false, dB{vi: -9}},
	EvDemand:            {GroupSaturation, 0, false, dB{ha: -4, pa: -3, ex: 11}},
	EvSharesLoad:        {GroupChange, 0, false, dB{ex: 5, vi: -6}},
	EvKnee:              {GroupSaturation, 0, false, dB{ha: -4, pa: -3, ex: 10}},
	EvStarved:           {GroupSaturation, 15 * time.Second, false, dB{ha: -4, pa: -4, ex: 13, by: -4, vi: -4}},
	EvCallersOverloaded: {GroupCallers, 15 * time.Second, false, dB{pl: -4, de: -8, ha: -8, nl: -8, pa: -6, ex: 22, vi: 2, su: -6}},
	EvToldDiskFull:      {GroupCallers, 15 * time.Second, false, dB{pl: -6, de: -10, ha: -10, nl: -10, pa: -10, ex: 22, by: -6, vi: -4}},
	EvToldMemoryFull:    {GroupCallers, 15 * time.Second, false, dB{pl: -6, de: -10, ha: -10, nl: -10, pa: -10, ex: 22, by: -6, vi: -4}},

	EvCutLink:        {GroupReach, time.Minute, false, dB{pl: -6, de: -8, ha: -8, nl: -8, pa: 26, ex: -3, vi: -6, ob: -6}},
	EvCutOff:         {GroupReach, time.Minute, false, dB{de: 18, pa: 21, ha: 4, ob: 2}},
	EvBehindAlive:    {GroupReturn, 0, false, dB{pl: -15, de: -20, ha: -12, nl: -12, pa: 6, ob: -2}},
	EvManyHosts:      {GroupOwn, 0, false, dB{de: -2, pa: 8}},
	EvParted:         {GroupIntegrity, 15 * time.Minute, false, dB{de: -15, ha: -10, nl: -10, pa: 15, by: -10, vi: -4}},
	EvExplainedByCut: {GroupChange, 0, false, dB{pl: -8, de: -14, ha: -14, nl: -10, pa: -16, ex: -10, vi: 20, su: -16}},

	EvProbeWrong:   {GroupIntegrity, 0, true, dB{pl: -15, de: -20, ha: -20, nl: -20, pa: -15, ex: -6, by: 60, vi: -6, su: -15}},
	EvCallersWrong: {GroupIntegrity, 15 * time.Second, false, dB{pl: -10, de: -12, ha: -12, nl: -12, pa: -8, ex: -4, by: 26, vi: -4, su: -8}},
	EvOwnErrors:    {GroupIntegrity, 15 * time.Second, false, dB{pl: -10, de: -12, ha: -12, nl: -12, pa: -6, ex: -2, by: 26, vi: -10, su: -6}},
	EvErrorLines:   {GroupIntegrity, 15 * time.Second, false, dB{pl: -10, de: -12, ha: -12, nl: -12, pa: -6, ex: -2, by: 28, vi: -6, su: -6}},
	EvIntegrityLog: {GroupLogs, 5 * time.Minute, false, dB{by: 7}},
	EvBackwards:    {GroupIntegrity, 30 * time.Minute, false, dB{by: 40}},
	EvEquivocated:  {GroupIntegrity, 24 * time.Hour, true, dB{by: 60}},
	EvDissent:      {GroupIntegrity, time.Minute, false, dB{by: 30, vi: -4}},
	// Each has good reasons, too: one alone never convicts, two together do.
	EvAmongPeers:  {GroupPeers, 0, false, dB{ex: -2, by: 13, vi: -3}},
	EvDoesNothing: {GroupFlow, 0, false, dB{ha: -3, ex: -3, by: 13, vi: -4}},

	EvReadsNothing: {GroupQueue, 0, false, dB{pl: -4, de: 8, ha: 22, nl: -10, pa: -2, ex: -2}},
	EvBacklog:      {GroupQueue, 0, false, dB{de: -8, ha: -12, nl: -12, pa: -6, ex: 20, vi: -4}},
	EvForged:       {GroupIntegrity, 30 * time.Minute, true, dB{by: 60}},

	EvObserverSick: {GroupReach, 0, false, dB{pl: -10, de: -14, ha: -8, pa: -12, ex: -3, ob: 18, su: -12}},
}
