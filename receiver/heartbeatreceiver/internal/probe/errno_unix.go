// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package probe

import (
	"errors"
	"syscall"
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

func isRefused(err error) bool { return isAny(err, syscall.ECONNREFUSED) }

func isUnreachable(err error) bool {
	return isAny(err, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN)
}

func isReset(err error) bool {
	return isAny(err, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE)
}

// isOurFault says whether the observer lacked what it needs to ask at all.
func isOurFault(err error) bool {
	return isAny(err, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.EADDRNOTAVAIL, syscall.EACCES, syscall.EPERM, syscall.EAFNOSUPPORT)
}
