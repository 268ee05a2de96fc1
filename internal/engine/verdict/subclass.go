// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

// Subclass is a public value of failure.subclass: in what way a failure of its class
// shows. "" where nothing tells, and of ClassUnknown.
type Subclass string

// Values of Subclass, by class.
const (
	// ClassCrash.
	SubclassProcessExit  Subclass = "process_exit"  // the process ended, or fell silent for good
	SubclassCrashLoop    Subclass = "crash_loop"    // it ends again and again soon after it was started
	SubclassHang         Subclass = "hang"          // it runs, and no call to it completes
	SubclassNotListening Subclass = "not_listening" // it runs, and its port is closed
	SubclassNodeDown     Subclass = "node_down"     // its machine is down

	// ClassPartition.
	SubclassComplete   Subclass = "complete"    // a place reaches nobody, and nobody reaches it
	SubclassPartial    Subclass = "partial"     // two places do not reach each other, and both reach others
	SubclassOneWay     Subclass = "one_way"     // nothing gets through in one direction
	SubclassLossyLink  Subclass = "lossy_link"  // a part of the packets is lost
	SubclassSlowLink   Subclass = "slow_link"   // all that crosses it is late
	SubclassFlapping   Subclass = "flapping"    // it comes and goes
	SubclassDNS        Subclass = "dns"         // a name is not found
	SubclassTLS        Subclass = "tls"         // a certificate is not accepted, or a handshake fails
	SubclassSplitBrain Subclass = "split_brain" // both sides go on, and their states part

	// ClassByzantine.
	SubclassWrongAnswer     Subclass = "wrong_answer"     // an answer that is known to be false
	SubclassInvalidResponse Subclass = "invalid_response" // answers that callers cannot use
	SubclassErrorResponse   Subclass = "error_response"   // failures of its own making
	SubclassFaultyRelease   Subclass = "faulty_release"   // the same, since a new version
	SubclassEquivocation    Subclass = "equivocation"     // different words to different hearers
	SubclassImpossibleState Subclass = "impossible_state" // what no honest process can show: a count that runs backwards
	SubclassForgedIdentity  Subclass = "forged_identity"  // what one signed is sent again in its name

	// ClassExhaustion: which resource is short.
	SubclassOOMKill         Subclass = "oom_kill"         // the kernel, or the runtime, ended it for want of memory
	SubclassMemory          Subclass = "memory"           // it lives on, and short of memory
	SubclassCPU             Subclass = "cpu"              // throttled, or waiting for a processor
	SubclassDisk            Subclass = "disk"             // a full file system
	SubclassDiskIO          Subclass = "disk_io"          // a disk that does not keep up
	SubclassFileDescriptors Subclass = "file_descriptors" // no descriptor left
	SubclassThreads         Subclass = "threads"          // no thread or process can be made
	SubclassConnectionPool  Subclass = "connection_pool"  // no connection of a pool is free, or a server accepts no more
	SubclassQueue           Subclass = "queue"            // more and more waits in a queue
	SubclassPorts           Subclass = "ports"            // no local port left to call from, or no room to follow connections
	SubclassQuota           Subclass = "quota"            // callers are turned away by a limit, which one of them may have driven it to
	SubclassOverload        Subclass = "overload"         // more is asked than it can serve
)

// Subclasses are all of a class, none of ClassNone and ClassUnknown.
func Subclasses(c Class) []Subclass {
	switch c {
	case ClassCrash:
		return []Subclass{SubclassProcessExit, SubclassCrashLoop, SubclassHang, SubclassNotListening, SubclassNodeDown}
	case ClassPartition:
		return []Subclass{
			SubclassComplete, SubclassPartial, SubclassOneWay, SubclassLossyLink, SubclassSlowLink, SubclassFlapping, SubclassDNS, SubclassTLS,
			SubclassSplitBrain,
		}
	case ClassByzantine:
		return []Subclass{
			SubclassWrongAnswer, SubclassInvalidResponse, SubclassErrorResponse, SubclassFaultyRelease, SubclassEquivocation,
			SubclassImpossibleState, SubclassForgedIdentity,
		}
	case ClassExhaustion:
		return []Subclass{
			SubclassOOMKill, SubclassMemory, SubclassCPU, SubclassDisk, SubclassDiskIO, SubclassFileDescriptors, SubclassThreads,
			SubclassConnectionPool, SubclassQueue, SubclassPorts, SubclassQuota, SubclassOverload,
		}
	}
	return nil
}
