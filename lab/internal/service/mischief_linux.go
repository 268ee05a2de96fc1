// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

// mischief gives f the commands that do something at once.
func mischief(f *faults, c Config, d *door) {
	// In a goroutine of its own, since servers recover from panics, and a
	// little later, so that the reply gets out.
	soon := func(do func()) (string, error) {
		time.AfterFunc(20*time.Millisecond, do)
		return "", nil
	}
	f.on(control.Panic, func([]string) (string, error) {
		return soon(func() { panic("order 4711: assertion failed: total is negative") })
	})
	f.on(control.Segfault, func([]string) (string, error) {
		return soon(func() { var p *int; *p = 1 })
	})
	f.on(control.Abort, func([]string) (string, error) {
		return soon(func() { debug.SetTraceback("crash"); panic("abort") })
	})
	f.on(control.Exit, func(args []string) (string, error) {
		status, err := number(args)
		if err != nil {
			return "", err
		}
		return soon(func() { os.Exit(status) })
	})
	f.on(control.Deadlock, func([]string) (string, error) {
		locked := make(chan struct{})
		go func() { f.gate.Lock(); close(locked) }()
		f.later(func() {
			<-locked
			f.gate.Unlock()
		})
		return "", nil
	})
	f.on(control.Close, func([]string) (string, error) { d.close(); return "", nil })
	f.on(control.Listen, func([]string) (string, error) { return "", d.open() })
	f.on(control.Expired, func([]string) (string, error) { d.hangUp(); return "", nil })
	f.on(control.GCPause, func(args []string) (string, error) { return "", pauseAll(args) })
	f.on(control.FillDisk, func(args []string) (string, error) {
		free, err := number(args)
		if err != nil {
			return "", err
		}
		f.later(func() { _ = os.Remove(filepath.Join(c.Data, "ballast")) })
		return "", fill(c.Data, int64(free))
	})
	steadily(f, control.LeakMemory, func(n int) func() {
		block := make([]byte, n)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		return func() { runtime.KeepAlive(block) }
	})
	steadily(f, control.LeakGoroutines, func(n int) func() {
		stop := make(chan struct{})
		for range n {
			go func() { <-stop }()
		}
		return func() { close(stop) }
	})
	steadily(f, control.LeakFiles, func(n int) func() {
		var files []*os.File
		for range n {
			if file, err := os.Open("/dev/null"); err == nil {
				files = append(files, file)
			}
		}
		return func() {
			for _, file := range files {
				_ = file.Close()
			}
		}
	})
	steadily(f, control.LeakThreads, func(n int) func() {
		stop := make(chan struct{})
		for range n {
			go func() { runtime.LockOSThread(); <-stop; runtime.UnlockOSThread() }()
		}
		return func() { close(stop) }
	})
	f.on(control.Burn, func(args []string) (string, error) {
		n, err := number(args)
		if err != nil {
			return "", err
		}
		stop := make(chan struct{})
		for range n {
			go func() {
				for {
					select {
					case <-stop:
						return
					default:
						f.work()
					}
				}
			}()
		}
		f.later(func() { close(stop) })
		return "", nil
	})
	f.on(control.UsePorts, func(args []string) (string, error) {
		if len(args) < 2 {
			return "", errors.New("needs HOST:PORT and a number")
		}
		n, err := number(args[1:])
		if err != nil {
			return "", err
		}
		var conns []net.Conn
		f.later(func() {
			for _, c := range conns {
				_ = c.Close()
			}
		})
		for range n {
			conn, err := (&net.Dialer{Timeout: time.Second}).Dial("tcp", args[0])
			if err == nil {
				conns = append(conns, conn)
			}
		}
		return strconv.Itoa(len(conns)), nil
	})
	f.on(control.Reset, func([]string) (string, error) {
		f.reset()
		debug.FreeOSMemory()
		return "", d.open()
	})
}

// parts are taken of it each second.
const parts = 10

// steadily makes a command that takes NUMBER a second of something, in parts,
// until reset, which gives all of it back.
func steadily(f *faults, name string, take func(n int) (give func())) {
	f.on(name, func(args []string) (string, error) {
		rate, err := number(args)
		if err != nil {
			return "", err
		}
		if rate < parts {
			return "", fmt.Errorf("%d a second is too few: at least %d", rate, parts)
		}
		stop := make(chan struct{})
		var once sync.Once
		var ended sync.WaitGroup
		var gives []func()
		ended.Go(func() {
			tick := time.NewTicker(time.Second / time.Duration(parts))
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					gives = append(gives, take(rate/parts))
				case <-stop:
					return
				}
			}
		})
		f.later(func() {
			once.Do(func() { close(stop) })
			ended.Wait()
			for _, give := range gives {
				give()
			}
		})
		return "", nil
	})
}

// fill writes until so many bytes are free in the file system of dir.
func fill(dir string, free int64) error {
	file, err := os.OpenFile(filepath.Join(dir, "ballast"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return err
	}
	left := int64(fs.Bavail)*fs.Bsize - free
	if left <= 0 {
		return nil
	}
	_, err = io.CopyN(file, zeros{}, left)
	if errors.Is(err, unix.ENOSPC) {
		return nil
	}
	return err
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// pauseAll stops the process for a while, as a collector that stops the world
// does: a helper continues it.
func pauseAll(args []string) error {
	if err := isDuration(args); err != nil || len(args) == 0 {
		return errors.Join(err, errors.New("needs a duration"))
	}
	d, _ := time.ParseDuration(args[0])
	script := fmt.Sprintf("kill -STOP %d; sleep %f; kill -CONT %d", os.Getpid(), d.Seconds(), os.Getpid())
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", script}, &os.ProcAttr{Files: []*os.File{nil, nil, nil}})
	if err != nil {
		return err
	}
	go func() { _, _ = p.Wait() }()
	return nil
}
