// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"regexp"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// exitInfo asks the kernel for the wait status of a process that is gone. Since
// Linux 6.15 it keeps that for those who hold a pidfd, and not for the parent alone.
func exitInfo(pidfd int) (wait int64, ok bool) {
	// struct pidfd_info, in its first published size (linux/pidfd.h).
	type pidfdInfo struct {
		mask     uint64
		cgroupID uint64
		ids      [11]uint32 // pid, tgid, ppid and eight user and group ids
		exitCode int32
	}
	const (
		infoExit = 1 << 3
		getInfo  = 3<<30 | unsafe.Sizeof(pidfdInfo{})<<16 | 0xff<<8 | 11 // _IOWR(0xFF, 11, …)
	)
	info := pidfdInfo{mask: infoExit}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(pidfd), getInfo, uintptr(unsafe.Pointer(&info)))
	return int64(info.exitCode), errno == 0 && info.mask&infoExit != 0
}

// openPidfd returns -1 where there is none to have.
func openPidfd(pid int) int {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1
	}
	return fd
}

// kernelLog reads the kernel's messages (/dev/kmsg).
type kernelLog struct{ path string }

func (k kernelLog) open() (int, error) {
	return unix.Open(k.path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

func (k kernelLog) readable() bool {
	fd, err := k.open()
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

// oomLine is the kernel's line about a kill, of one cgroup or of the whole system.
var oomLine = regexp.MustCompile(`(?i)out of memory[^:]*: Killed process (\d+) \((.*?)\)`)

// maxKernelRecords is how much of the kernel's ring is looked through.
const maxKernelRecords = 1 << 16

// killed says whether the kernel killed that process for lack of memory. Of
// another process that had the same pid before it, nothing is said: age is how
// long ago this one started, now the kernel log's own clock, both in seconds.
func (k kernelLog) killed(s procStat, age, now float64) bool {
	fd, err := k.open()
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	buf := make([]byte, 8<<10) // a record is shorter
	for range maxKernelRecords {
		n, err := unix.Read(fd, buf)
		if err == unix.EPIPE {
			continue // overwritten while we read: go on with the oldest there is
		}
		if err != nil || n == 0 {
			return false
		}
		for line := range strings.Lines(string(buf[:n])) {
			if oomOf(line, s, age, now) {
				return true
			}
		}
	}
	return false
}

// oomOf judges one record: "priority,sequence,µs since boot,flags;text". The
// log's clock stands still while the system sleeps, that of start times does
// not, so that ages are compared.
func oomOf(line string, s procStat, age, now float64) bool {
	head, text, _ := strings.Cut(line, ";")
	m := oomLine.FindStringSubmatch(text)
	if m == nil || m[1] != strconv.Itoa(s.pid) || m[2] != s.comm {
		return false
	}
	fields := strings.Split(head, ",")
	if len(fields) < 3 {
		return false
	}
	micros, err := strconv.ParseInt(fields[2], 10, 64)
	const slack = 1 // s, the two clocks are read apart
	return err == nil && now-float64(micros)/1e6 <= age+slack
}
