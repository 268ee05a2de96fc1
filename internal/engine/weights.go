// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// cause is what may be the matter with an entity: a column of the table. The
// three forms of crash are told apart inside and are one class outside.
type cause uint8

const (
	causeHealthy      cause = iota
	causePlanned            // it was stopped on purpose
	causeDead               // crash: the process is gone
	causeHang               // crash: it lives and answers nobody
	causeNotListening       // crash: it lives and its port is closed
	causePartition
	causeExhaustion
	causeByzantine
	causeVictim   // it suffers from another's failure
	causeObserver // those who say so are at fault
	causeSetup    // partition: packets get through, and no connection comes about, for want of a name or of trust
	numCauses
)

var causeNames = [numCauses]string{
	"no failure", "planned stop", "crash", "hang", "closed port", "network partition",
	"resource exhaustion", "byzantine behaviour", "another's failure", "the observer's own fault",
	"failure to set up connections",
}

// class is the public class of a cause.
func (c cause) class() Class {
	switch c {
	case causeDead, causeHang, causeNotListening:
		return ClassCrash
	case causePartition, causeSetup:
		return ClassPartition
	case causeExhaustion:
		return ClassExhaustion
	case causeByzantine:
		return ClassByzantine
	}
	return ClassNone
}

// dB holds log-likelihood ratios against "healthy" in decibels,
// 10·log₁₀(P(evidence | cause) / P(evidence | healthy)), by cause.
type dB [numCauses]float64

// prior is the belief about an entity that some detector has noticed: the
// rarity of that has paid for the base rate already.
var prior = dB{
	causeHealthy: 3, causePlanned: -6, causeDead: -8, causeHang: -8, causeNotListening: -8, causePartition: -11,
	causeExhaustion: -8, causeByzantine: -14, causeVictim: -5, causeObserver: -8, causeSetup: -11,
}

// stay is added to the class that is held now.
const stay = 6.0

// group holds evidence that has a common source of error: it counts as the
// strongest member and a share of the rest, and never more than its cap.
type group uint8

const (
	groupHeartbeat group = iota
	groupProbe
	groupCallers
	groupOwn
	groupSaturation
	groupLogs
	groupChange
	groupReach
	groupGood
	groupRuntime
	groupReturn
	groupIntegrity
	groupQueue
	groupEnding // why it ended, as opposed to that it did
	groupPeers  // how its answers compare with those of its siblings
	groupFlow   // what it does for them
	numGroups
)

var groupCap = [numGroups]float64{
	groupHeartbeat: 13, groupProbe: 18, groupCallers: 24, groupOwn: 10, groupSaturation: 16, groupLogs: 20,
	groupChange: 20, groupReach: 26, groupGood: 20, groupRuntime: 26, groupReturn: 22, groupIntegrity: 65, groupQueue: 24, groupEnding: 36,
	groupPeers: 13, groupFlow: 13,
}

// restOfGroup is how much the weaker members of a group add.
const restOfGroup = 0.3

// row is what one kind of evidence says. Evidence with a half-life is
// remembered and fades; evidence without holds while its detector says so.
type row struct {
	group    group
	halfLife time.Duration
	proof    bool // needs no second look before a verdict
	weights  dB
}

// evidence is a kind of evidence: a row of the table.
type evidence uint8

func (k evidence) group() group { return weights[k].group }

// halfLife is how fast it fades when its detector says it no more; 0: it ends at once.
func (k evidence) halfLife() time.Duration { return weights[k].halfLife }

// proof says whether it needs no second look before a verdict.
func (k evidence) proof() bool { return weights[k].proof }

// weight is what it says of a cause, in decibels.
func (k evidence) weight(c cause) float64 { return weights[k].weights[c] }

const (
	evSilent evidence = iota
	evTelemetrySilent
	evBeating
	evCallersSucceed
	evProgress
	evProbeOK
	evPortOpen
	evAcknowledged
	evProbeRefused
	evProbeTimeout
	evUnacknowledged
	evProbeUnreachable
	evProbeNoAnswer
	evProbeReset
	evProbeDown
	evProbeName
	evProbeTLS
	evCallersRefused
	evCallersReset
	evCallersConnectTimeout
	evCallersTimeout
	evCallersUnreachable
	evCallersUnavailable
	evCallersName
	evCallersTLS
	evStillRefused
	evProbeStill
	evNoProgress
	evCalleeFailing
	evProcessGone
	evProcessStopped
	evProcessRuns
	evHostAlive
	evOOMKill
	evOutOfMemory
	evPanic
	evExitCrash
	evExitKilled
	evExitClean
	evCrashLoop
	evNodeDown
	evAnnounced
	evNotAnnounced
	evReplaced
	evStarting
	evNobodyHurt
	evReturnCounted
	evReturnFrozen
	evReturnNew
	evStampedInside
	evObserverSick
	evServesErrors
	evDiskFull
	evNoDescriptor
	evNoThread
	evPoolEmpty
	evThrottled
	evCPUWait
	evMemoryPressure
	evMemoryFull
	evDescriptorsFull
	evThreadsFull
	evPoolFull
	evVolumeFull
	evIOPressure
	evBusy
	evSlow
	evCalleeSlow
	evCalleesWell
	evDemand
	evCallersOverloaded
	evCutLink
	evCutOff
	evBehindAlive
	evManyHosts
	evExplainedByCut
	evProbeWrong
	evCallersWrong
	evOwnErrors
	evErrorLines
	evIntegrityLog
	evBackwards
	evEquivocated
	evDissent
	evReadsNothing
	evBacklog
	evForged
	evLastLimit
	evNoPort
	evFlowsFull
	evEvictedMemory
	evEvictedDisk
	evEvictedThreads
	evOverLimit
	evDeploy
	evFailsShort
	evMemoryAtEnd
	evStillUnavailable
	evParted
	evToldDiskFull
	evToldMemoryFull
	evCPURose
	evMissed
	evKnee
	evAmongPeers
	evDoesNothing
	evStillUnreached
	evStarved
	numEvidence
)

const (
	pl, de, ha, nl = causePlanned, causeDead, causeHang, causeNotListening
	pa, ex, by, vi = causePartition, causeExhaustion, causeByzantine, causeVictim
	ob, su         = causeObserver, causeSetup
)

// weights is the one table. Start values are judgements about how systems fail;
// docs/engine.md gives the reasons for each row.
var weights = [numEvidence]row{
	evSilent:          {groupHeartbeat, 15 * time.Second, false, dB{pl: 13, de: 13, ha: 9, pa: 12, ex: 5, ob: 8, su: -4}},
	evTelemetrySilent: {groupHeartbeat, 15 * time.Second, false, dB{pl: 10, de: 10, ha: 8, pa: 9, ex: 4, ob: 8, su: -2}},

	evBeating:        {groupGood, 0, false, dB{pl: -15, de: -15, nl: 6, pa: -8, ob: -5}},
	evCallersSucceed: {groupGood, 0, false, dB{pl: -12, de: -12, ha: -14, nl: -14, pa: -6, su: -6}},
	evProgress:       {groupGood, 0, false, dB{pl: -8, de: -14, ha: -16, nl: -6, pa: -4, su: -2}},
	// Many a health check answers by itself while no request does, and the kernel
	// accepts for anybody.
	evProbeOK:      {groupGood, 0, false, dB{pl: -12, de: -12, ha: -4, nl: -12, pa: -6, su: -2}},
	evPortOpen:     {groupGood, 0, false, dB{pl: -12, de: -12, nl: -12, pa: -6, su: -2}},
	evAcknowledged: {groupGood, 0, false, dB{pa: -8}},

	evProbeRefused: {groupProbe, 0, false, dB{pl: 6, de: 12, ha: -6, nl: 10, pa: -10, ex: 1, ob: -5, su: -10}},
	evProbeTimeout: {groupProbe, 0, false, dB{pl: 2, de: 6, ha: 2, nl: -4, pa: 9, ex: 5, ob: 2, su: -6}},
	// Who hangs, or has no breath, lives on a machine whose kernel acknowledges for it.
	evUnacknowledged:   {groupProbe, 0, false, dB{pl: 2, de: 9, ha: -12, nl: -10, pa: 12, ex: -8, by: -6, ob: 2, su: -8}},
	evProbeUnreachable: {groupProbe, 0, false, dB{pl: 2, de: 4, nl: -6, pa: 12, ob: 3, su: -6}},
	evProbeNoAnswer:    {groupProbe, 0, false, dB{pl: -6, de: -8, ha: 15, nl: -8, pa: -4, ex: 6, vi: 3, su: -6}},
	evProbeReset:       {groupProbe, 0, false, dB{pl: 1, de: 3, ha: 1, nl: 3, pa: 2, ex: 3}},
	evProbeDown:        {groupProbe, 0, false, dB{pl: 5, de: 6, ha: 5, nl: 5, pa: 5, ex: 4, ob: 2}},
	evProbeName:        {groupProbe, 0, false, dB{pl: 4, de: -2, ha: -6, nl: -6, su: 16, ob: 3}},
	evProbeTLS:         {groupProbe, 0, false, dB{de: -12, ha: -14, nl: -12, pa: -10, su: 22, by: 2}},

	evCallersRefused:        {groupCallers, 15 * time.Second, false, dB{pl: 2, de: 12, ha: -6, nl: 12, pa: -6, ex: 1, vi: -3, su: -10}},
	evCallersReset:          {groupCallers, 15 * time.Second, false, dB{pl: 3, de: 8, ha: -2, nl: 2, pa: 3, ex: 3, vi: 1, su: -3}},
	evCallersConnectTimeout: {groupCallers, 15 * time.Second, false, dB{de: 4, nl: -4, pa: 9, ex: 5, su: -8}},
	evCallersTimeout:        {groupCallers, 15 * time.Second, false, dB{pl: -2, de: -2, ha: 11, nl: -6, pa: 4, ex: 7, vi: 8, su: -4}},
	evCallersUnreachable:    {groupCallers, 15 * time.Second, false, dB{pl: 1, de: 4, nl: -6, pa: 11, su: -8}},
	evCallersUnavailable:    {groupCallers, 15 * time.Second, false, dB{pl: 2, de: 5, ha: 3, nl: 5, pa: 3, ex: 5, vi: 4}},
	evCallersName:           {groupCallers, 15 * time.Second, false, dB{pl: 4, de: -4, ha: -8, nl: -8, su: 24, vi: -4}},
	evCallersTLS:            {groupCallers, 15 * time.Second, false, dB{de: -12, ha: -14, nl: -12, pa: -10, su: 24, by: 2, vi: -4}},

	evStillRefused:     {groupOwn, 0, false, dB{pl: -3, de: 4, nl: 4, pa: -3}},
	evStillUnavailable: {groupOwn, 0, false, dB{pl: 1, de: 7, ha: 4, nl: 6, pa: 5, ex: 2}},
	evStillUnreached:   {groupOwn, 0, false, dB{pl: -4, de: 7, ha: -4, nl: -4, pa: 9, ex: -2, su: -4}},
	evMissed:           {groupOwn, 0, false, dB{pl: 1, de: 10, ha: 3, nl: 8, pa: 9, ex: 3}},
	evProbeStill:       {groupOwn, 0, false, dB{pl: 2, de: 5, ha: 6, nl: 5, pa: 4, ex: 2}},
	evNoProgress:       {groupOwn, 0, false, dB{de: 5, ha: 10, nl: 3, pa: 2, ex: -3, vi: -8, su: 3}},
	evCalleeFailing:    {groupChange, 0, false, dB{de: -4, ha: -12, nl: -4, pa: -2, ex: -8, by: -4, vi: 14, su: -2}},

	evProcessGone:    {groupRuntime, 0, false, dB{pl: 14, de: 18, ha: -15, nl: -15, pa: -12, ex: 2, vi: -6, ob: -8, su: -12}},
	evProcessStopped: {groupRuntime, 0, false, dB{pl: -6, de: -10, ha: 24, nl: -10, pa: -12, ex: -6, vi: -8, ob: -8, su: -12}},
	evProcessRuns:    {groupRuntime, 0, false, dB{pl: -15, de: -18, ha: 2, nl: 2, pa: -2, ob: -4}},
	evHostAlive:      {groupReach, 0, false, dB{pl: 3, de: 4, ha: 3, pa: -8, ob: -8}},
	evOOMKill:        {groupEnding, 15 * time.Minute, true, dB{pl: -30, de: -26, ha: -20, nl: -20, pa: -20, ex: 34, by: -3, vi: -6, su: -20}},
	evLastLimit:      {groupEnding, 15 * time.Minute, false, dB{pl: -30, de: -30, ha: -20, nl: -20, pa: -20, ex: 34, vi: -6, su: -20}},
	evEvictedMemory:  {groupEnding, 15 * time.Minute, true, dB{pl: -30, de: -26, ha: -20, nl: -20, pa: -20, ex: 34, by: -3, vi: -6, su: -20}},
	evEvictedDisk:    {groupEnding, 15 * time.Minute, true, dB{pl: -30, de: -26, ha: -20, nl: -20, pa: -20, ex: 34, by: -3, vi: -6, su: -20}},
	evEvictedThreads: {groupEnding, 15 * time.Minute, true, dB{pl: -30, de: -26, ha: -20, nl: -20, pa: -20, ex: 34, by: -3, vi: -6, su: -20}},
	evOverLimit:      {groupEnding, 15 * time.Minute, true, dB{pl: -30, de: -26, ha: -20, nl: -20, pa: -20, ex: 34, by: -3, vi: -6, su: -20}},
	evMemoryAtEnd:    {groupEnding, 15 * time.Minute, false, dB{pl: -20, de: -20, ha: -14, nl: -14, pa: -20, ex: 24, vi: -6}},
	evOutOfMemory:    {groupLogs, 5 * time.Minute, false, dB{pl: -4, de: -4, ha: -2, pa: -6, ex: 14, vi: -4, su: -6}},
	evPanic:          {groupLogs, 5 * time.Minute, false, dB{pl: -15, de: 16, ha: -8, nl: -8, pa: -10, ex: -2, vi: -6, su: -10}},
	evExitCrash:      {groupRuntime, 15 * time.Minute, true, dB{pl: -15, de: 24, ha: -15, nl: -15, pa: -15, ex: -2, vi: -6, su: -15}},
	evExitKilled:     {groupRuntime, 15 * time.Minute, true, dB{pl: 2, de: 20, ha: -12, nl: -12, pa: -12, ex: 4, vi: -6, su: -12}},
	evExitClean:      {groupRuntime, 10 * time.Minute, false, dB{pl: 22, de: -10, ha: -8, nl: -8, pa: -8, ex: -4, vi: -4, su: -8}},
	evCrashLoop:      {groupChange, 10 * time.Minute, true, dB{pl: -12, de: 18, ha: -6, nl: -4, pa: -10, ex: 2, vi: -4, su: -10}},
	evNodeDown:       {groupReach, 5 * time.Minute, false, dB{pl: 4, de: 14, pa: 8, su: -6}},

	evAnnounced:    {groupChange, 0, false, dB{pl: 20, de: -10, ha: -8, nl: -8, pa: -8, ex: -4, vi: -4, su: -8}},
	evNotAnnounced: {groupChange, 0, false, dB{pl: -10}},
	evDeploy:       {groupChange, 0, false, dB{pl: 9, de: -2}},
	evReplaced:     {groupChange, 0, false, dB{pl: 6, ha: -4, nl: -4, pa: -6, su: -6}},

	evStarting:   {groupGood, 0, false, dB{pl: 2, ha: -12, nl: -16, ex: -2, by: -2, su: -4}},
	evNobodyHurt: {groupChange, 0, false, dB{pl: 3, de: -13, nl: -12}},

	evReturnCounted: {groupReturn, 15 * time.Minute, false, dB{pl: -10, de: -22, ha: -14, nl: -4, pa: 18, vi: -4, ob: 8}},
	evReturnFrozen:  {groupReturn, 15 * time.Minute, false, dB{pl: -10, de: -22, ha: 20, nl: -10, pa: -15, ob: -6, su: -10}},
	evReturnNew:     {groupReturn, 15 * time.Minute, false, dB{pl: 8, de: 8, ha: -8, nl: -8, pa: -15, ex: 2, vi: -6}},

	evStampedInside: {groupReturn, 15 * time.Minute, false, dB{pl: -10, de: -24, ha: -14, nl: -4, pa: 18, vi: -4}},

	evServesErrors: {groupOwn, 0, false, dB{pl: -6, de: -8, ha: -8, nl: -8, pa: -2, ex: 5, by: 5, vi: 6}},
	evFailsShort:   {groupOwn, 0, false, dB{ha: -4, ex: 10, vi: -4}},
	evDiskFull:     {groupLogs, time.Minute, false, dB{de: -6, ha: -4, nl: -4, pa: -8, ex: 20, by: -4, vi: -6, su: -6}},
	evNoDescriptor: {groupLogs, time.Minute, false, dB{de: -6, ha: -4, nl: -2, pa: -8, ex: 20, by: -4, vi: -4, su: -6}},
	evNoThread:     {groupLogs, time.Minute, false, dB{de: -6, ha: -4, nl: -2, pa: -8, ex: 20, by: -4, vi: -4, su: -6}},
	evNoPort:       {groupLogs, time.Minute, false, dB{de: -6, ha: -4, nl: -2, pa: -8, ex: 20, by: -4, vi: -4, su: -6}},
	evPoolEmpty:    {groupLogs, time.Minute, false, dB{de: -6, ha: -2, nl: -4, pa: -4, ex: 20, by: -4, su: -4}},

	evThrottled:         {groupSaturation, 0, false, dB{ha: -10, pa: -4, ex: 16, vi: -3}}, // who waits for nothing but a lock uses no processor
	evCPUWait:           {groupSaturation, 0, false, dB{ha: -5, pa: -4, ex: 12, vi: -2}},
	evMemoryPressure:    {groupSaturation, 0, false, dB{ha: -6, pa: -4, ex: 14, vi: -3}},
	evMemoryFull:        {groupSaturation, 0, false, dB{ha: -4, pa: -4, ex: 11, vi: -3}},
	evDescriptorsFull:   {groupSaturation, 0, false, dB{ha: -12, pa: -4, ex: 16, vi: -3}}, // who has none left accepts no connection
	evThreadsFull:       {groupSaturation, 0, false, dB{ha: -4, pa: -4, ex: 13, vi: -3}},
	evPoolFull:          {groupSaturation, 0, false, dB{ha: -2, pa: -4, ex: 13, vi: -2}},
	evVolumeFull:        {groupSaturation, 0, false, dB{ha: -4, pa: -4, ex: 13, vi: -3}},
	evFlowsFull:         {groupSaturation, 0, false, dB{ha: -4, pa: -4, ex: 13, vi: -3}},
	evIOPressure:        {groupSaturation, 0, false, dB{ha: -4, pa: -4, ex: 13, vi: -3}},
	evBusy:              {groupSaturation, 0, false, dB{ha: -2, pa: -2, ex: 8, vi: -1}},
	evCPURose:           {groupSaturation, 0, false, dB{ha: -4, pa: -3, ex: 12, vi: -3}},
	evSlow:              {groupOwn, 0, false, dB{pl: -4, de: -8, ha: -6, nl: -8, pa: 1, ex: 8, by: -1, vi: 7}},
	evCalleeSlow:        {groupChange, 0, false, dB{ha: -6, pa: -2, ex: -6, by: -4, vi: 14}},
	evCalleesWell:       {groupChange, 0, false, dB{vi: -9}},
	evDemand:            {groupSaturation, 0, false, dB{ha: -4, pa: -3, ex: 11}},
	evKnee:              {groupSaturation, 0, false, dB{ha: -4, pa: -3, ex: 10}},
	evStarved:           {groupSaturation, 15 * time.Second, false, dB{ha: -4, pa: -4, ex: 13, by: -4, vi: -4}},
	evCallersOverloaded: {groupCallers, 15 * time.Second, false, dB{pl: -4, de: -8, ha: -8, nl: -8, pa: -6, ex: 22, vi: 2, su: -6}},
	evToldDiskFull:      {groupCallers, 15 * time.Second, false, dB{pl: -6, de: -10, ha: -10, nl: -10, pa: -10, ex: 22, by: -6, vi: -4}},
	evToldMemoryFull:    {groupCallers, 15 * time.Second, false, dB{pl: -6, de: -10, ha: -10, nl: -10, pa: -10, ex: 22, by: -6, vi: -4}},

	evCutLink:        {groupReach, time.Minute, false, dB{pl: -6, de: -8, ha: -8, nl: -8, pa: 26, ex: -3, vi: -6, ob: -6}},
	evCutOff:         {groupReach, time.Minute, false, dB{de: 18, pa: 21, ha: 4, ob: 2}},
	evBehindAlive:    {groupReturn, 0, false, dB{pl: -15, de: -20, ha: -12, nl: -12, pa: 6, ob: -2}},
	evManyHosts:      {groupOwn, 0, false, dB{de: -2, pa: 8}},
	evParted:         {groupIntegrity, 15 * time.Minute, false, dB{de: -15, ha: -10, nl: -10, pa: 15, by: -10, vi: -4}},
	evExplainedByCut: {groupChange, 0, false, dB{pl: -8, de: -14, ha: -14, nl: -10, pa: -16, ex: -10, vi: 20, su: -16}},

	evProbeWrong:   {groupIntegrity, 0, true, dB{pl: -15, de: -20, ha: -20, nl: -20, pa: -15, ex: -6, by: 60, vi: -6, su: -15}},
	evCallersWrong: {groupIntegrity, 15 * time.Second, false, dB{pl: -10, de: -12, ha: -12, nl: -12, pa: -8, ex: -4, by: 26, vi: -4, su: -8}},
	evOwnErrors:    {groupIntegrity, 15 * time.Second, false, dB{pl: -10, de: -12, ha: -12, nl: -12, pa: -6, ex: -2, by: 26, vi: -10, su: -6}},
	evErrorLines:   {groupIntegrity, 15 * time.Second, false, dB{pl: -10, de: -12, ha: -12, nl: -12, pa: -6, ex: -2, by: 28, vi: -6, su: -6}},
	evIntegrityLog: {groupLogs, 5 * time.Minute, false, dB{by: 7}},
	evBackwards:    {groupIntegrity, 30 * time.Minute, false, dB{by: 40}},
	evEquivocated:  {groupIntegrity, 24 * time.Hour, true, dB{by: 60}},
	evDissent:      {groupIntegrity, time.Minute, false, dB{by: 30, vi: -4}},
	// Each has good reasons, too: one alone never convicts, two together do.
	evAmongPeers:  {groupPeers, 0, false, dB{ex: -2, by: 13, vi: -3}},
	evDoesNothing: {groupFlow, 0, false, dB{ha: -3, ex: -3, by: 13, vi: -4}},

	evReadsNothing: {groupQueue, 0, false, dB{pl: -4, de: 8, ha: 22, nl: -10, pa: -2, ex: -2}},
	evBacklog:      {groupQueue, 0, false, dB{de: -8, ha: -12, nl: -12, pa: -6, ex: 20, vi: -4}},
	evForged:       {groupIntegrity, 30 * time.Minute, true, dB{by: 60}},

	evObserverSick: {groupReach, 0, false, dB{pl: -10, de: -14, ha: -8, pa: -12, ex: -3, ob: 18, su: -12}},
}
