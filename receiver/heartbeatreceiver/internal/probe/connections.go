// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import "time"

// Peer is what a look at the connections that this host opened to one address
// came to.
type Peer struct {
	// Target is what it is called: "connections:ip:port".
	Target string
	// Interval is the time until it is told of again, if it fares as it does.
	Interval time.Duration
	Result   Result
}
