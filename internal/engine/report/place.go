// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package report

// Place is on which host an instance runs, as the host's agent tells it. The
// instance itself may know only the name of its container.
type Place struct {
	Source *Source
	Host   string
}

// Door is an address at which an instance takes calls, by its own account: whoever
// calls it may have made it say so.
type Door struct {
	Source  *Source
	Address string // ip:port, the name of its host and the port, or the bare IP of its host
}
