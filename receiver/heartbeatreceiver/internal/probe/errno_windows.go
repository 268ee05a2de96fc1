// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

func isAny(err error, list ...syscall.Errno) bool {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return false
	}
	for _, l := range list {
		if no == l {
			return true
		}
	}
	return false
}

func isRefused(err error) bool { return isAny(err, windows.WSAECONNREFUSED) }

func isUnreachable(err error) bool {
	return isAny(err, windows.WSAEHOSTUNREACH, windows.WSAENETUNREACH, windows.WSAEHOSTDOWN, windows.WSAENETDOWN)
}

func isReset(err error) bool {
	return isAny(err, windows.WSAECONNRESET, windows.WSAECONNABORTED)
}

// isOurFault says whether the observer lacked what it needs to ask at all.
func isOurFault(err error) bool {
	return isAny(err, windows.WSAEMFILE, windows.WSAENOBUFS, windows.WSAEADDRNOTAVAIL, windows.WSAEACCES, windows.WSAEAFNOSUPPORT)
}
