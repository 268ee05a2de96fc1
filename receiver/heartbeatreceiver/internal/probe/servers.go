// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

// Server is what a look at one process of this host that takes TCP connections, or
// keeps one that it opened, came to.
type Server struct {
	// Target is what it is called: "process:", the program's name and its lowest
	// port, or what it calls itself in its telemetry, or its pid. But for the pid it
	// stays the same when another process takes its place.
	Target string
	// Addresses are the ip:port at which it takes connections, or did when it
	// was last seen to: at most 16, sorted. None of one that takes none.
	Addresses []string
	Result    Result
}
