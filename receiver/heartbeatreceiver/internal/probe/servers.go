// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

// Server is what a look at one process of this host that takes TCP connections
// came to.
type Server struct {
	// Target is what it is called: "process:", the program's name and its lowest
	// port. It stays the same when another process takes its place.
	Target string
	// Addresses are the ip:port at which it takes connections, or did when it
	// was last seen to: at most 16, sorted.
	Addresses []string
	Result    Result
}
