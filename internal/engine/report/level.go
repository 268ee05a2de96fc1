// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// Level is how much of something is used, or how often it fell short.
type Level struct {
	Source  *Source // whose; a source without service is a host
	Address string  // where Source is nil: whose, as callers write it
	Kind    LevelKind
	Share   float64 // 0-1 and beyond, of the limit or of the time; -1 if not told
	Waiting float64 // requests that wait for it
	At      clock.Time
	Stands  time.Duration // how long it holds if it is not told again; 0: it is told at a rhythm
}

// LevelKind is what a Level is of.
type LevelKind uint8

// Values of LevelKind.
const (
	LevelMemory      LevelKind = iota // of its limit
	LevelHeap                         // of the runtime's own limit
	LevelGC                           // of the time, spent on collecting garbage
	LevelCPU                          // of its limit
	LevelThrottled                    // of the periods in which its quota stopped it
	LevelCPUWait                      // of the time, in which a task waited for a processor
	LevelDisk                         // of the fullest file system, in bytes or inodes
	LevelDiskIO                       // of the time, while each operation takes long
	LevelDescriptors                  // of its limit
	LevelThreads                      // of its limit
	LevelPool                         // connections in use, of those that it may open
	LevelConnections                  // connections that it holds, of those that it accepts
	LevelFlows                        // connections that the kernel follows, of those that it can
	LevelMemoryStall                  // of the time, in which all tasks waited for memory
	LevelIOStall                      // of the time, in which all tasks waited for a disk
	LevelNodeMemory                   // 1 while its node says that it is short
	LevelNodeDisk                     // 1 while its node says that it is short
	LevelNodeThreads                  // 1 while its node says that it is short
	LevelRunQueue                     // of the tasks that want a processor, those that wait for one
	NumLevels
)

var levelNames = [NumLevels]string{
	"memory", "heap", "time spent on collecting garbage", "cpu", "throttled periods", "time waiting for a processor", "disk", "disk time",
	"file descriptors", "threads", "connection pool", "connections", "connection tracking table", "time stalled for memory",
	"time stalled for a disk", "memory of the node", "disk of the node", "threads of the node", "tasks that wait for a processor",
}

func (k LevelKind) String() string {
	if k < NumLevels {
		return levelNames[k]
	}
	return "invalid"
}
