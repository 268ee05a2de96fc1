// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

// faults is how a process misbehaves at the moment: what it was told and has
// not been taken back.
type faults struct {
	mu      sync.RWMutex
	orders  map[string][]string                            // settings, by command
	actions map[string]func(args []string) (string, error) // commands that do something at once
	undo    []func()

	quota quota
	gate  sync.RWMutex // held for good in a deadlock; every request passes it
}

// setting checks the arguments of a command that only sets something.
type setting func(args []string) error

func isFraction(args []string) error {
	if len(args) == 0 {
		return errors.New("needs a fraction from 0 to 1")
	}
	if x, err := strconv.ParseFloat(args[0], 64); err != nil || x < 0 || x > 1 {
		return fmt.Errorf("%q is not a fraction from 0 to 1", args[0])
	}
	return nil
}

func isDuration(args []string) error {
	if len(args) == 0 || args[0] == "" {
		return nil
	}
	if _, err := time.ParseDuration(args[0]); err != nil {
		return fmt.Errorf("%q is not a duration such as 250ms", args[0])
	}
	if len(args) > 1 {
		return isFraction(args[1:])
	}
	return nil
}

func isNumber(args []string) error {
	_, err := number(args)
	return err
}

// number is the first argument, a whole number of 0 or more.
func number(args []string) (int, error) {
	if len(args) == 0 {
		return 0, errors.New("needs a number")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a number of 0 or more", args[0])
	}
	return n, nil
}

func isWords([]string) error { return nil }

var settings = map[string]setting{
	control.Slow: isDuration, control.Error500: isFraction, control.Reject: isFraction, control.Pressure: isNumber,
	control.HoldPool: isDuration, control.ShrinkPool: isNumber, control.SlowDisk: isDuration, control.QueueLimit: isNumber,
	control.Wrong: isFraction, control.Invalid: isFraction, control.Digest: isWords, control.Backwards: isWords,
	control.Pretend: isFraction, control.Expired: isWords, control.Forge: isWords, control.Replay: isWords,
	control.NoBeat: isWords, control.BeatClock: isDuration, control.Credential: isWords, control.RetryStorm: isNumber,
	control.Quota: isNumber, control.Repeat: isNumber, control.Breaker: isWords, control.Timeout: isDuration, control.Consume: isWords, control.NameGone: isWords,
}

// newFaults returns an honest process's. on makes a command do something at once.
func newFaults() *faults {
	return &faults{orders: map[string][]string{}, actions: map[string]func([]string) (string, error){}}
}

// do carries out a command.
func (f *faults) do(name string, args []string) (string, error) {
	f.mu.RLock()
	action := f.actions[name]
	f.mu.RUnlock()
	check, known := settings[name]
	if action == nil && !known {
		return "", fmt.Errorf("unknown command %q", name)
	}
	if known {
		if err := check(args); err != nil {
			return "", err
		}
		f.mu.Lock()
		f.orders[name] = args
		f.mu.Unlock()
	}
	if action != nil {
		return action(args)
	}
	return "", nil
}

func (f *faults) on(name string, action func(args []string) (string, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.actions[name] = action
}

// later is done at reset.
func (f *faults) later(undo func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.undo = append(f.undo, undo)
}

// reset takes everything back that can be taken back.
func (f *faults) reset() {
	f.mu.Lock()
	f.orders = map[string][]string{}
	undo := f.undo
	f.undo = nil
	f.mu.Unlock()
	for _, u := range undo {
		u()
	}
}

// told returns the arguments of a command that was given and not taken back.
func (f *faults) told(name string) (args []string, ok bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	args, ok = f.orders[name]
	return args, ok
}

func (f *faults) words(name string) []string {
	args, _ := f.told(name)
	return args
}

func (f *faults) text(name string) string {
	if w := f.words(name); len(w) > 0 {
		return w[0]
	}
	return ""
}

func (f *faults) is(name string) bool { return f.text(name) == "true" }

func (f *faults) number(name string) int {
	n, _ := strconv.Atoi(f.text(name))
	return n
}

func (f *faults) duration(name string) time.Duration {
	d, _ := time.ParseDuration(f.text(name))
	return d
}

// hits draws whether a fault of a fraction of the requests meets this one.
func (f *faults) hits(name string) bool {
	x, _ := strconv.ParseFloat(f.text(name), 64)
	return x > 0 && rand.Float64() < x
}

// delay sleeps as Slow says.
func (f *faults) delay() {
	w := f.words(control.Slow)
	if len(w) == 0 {
		return
	}
	if len(w) > 1 {
		if x, _ := strconv.ParseFloat(w[1], 64); rand.Float64() >= x {
			return
		}
	}
	time.Sleep(f.duration(control.Slow))
}

// usualWork is the work of a request, in units.
const usualWork = 5

// hashesEach is how many hashes of a block take 40 µs on this machine.
var hashesEach = sync.OnceValue(func() int {
	const tries = 200
	var block [4096]byte
	began := time.Now()
	for range tries {
		sum := sha256.Sum256(block[:])
		copy(block[:], sum[:])
	}
	return max(1, int(40*time.Microsecond*tries/max(time.Since(began), 1)))
})

// work burns CPU: 40 µs a unit.
func (f *faults) work() {
	units := f.number(control.Pressure)
	if units == 0 {
		units = usualWork
	}
	var block [4096]byte
	for range units * hashesEach() {
		sum := sha256.Sum256(block[:])
		copy(block[:], sum[:])
	}
}

// maxCallers bounds the callers whose requests are counted.
const maxCallers = 100

// quota counts requests by calling service, in the current second.
type quota struct {
	mu     sync.Mutex
	second int64
	counts map[string]int
}

// exceeded counts a request, and says whether it is one too many.
func (q *quota) exceeded(caller string, limit int) bool {
	if limit == 0 {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := time.Now().Unix(); now != q.second {
		q.second, q.counts = now, map[string]int{}
	}
	if len(q.counts) >= maxCallers {
		caller = "" // the rest together
	}
	q.counts[caller]++
	return q.counts[caller] > limit
}

// lies draws whether a wrong answer goes to this caller.
func (f *faults) lies(caller string, zone string) bool {
	w := f.words(control.Wrong)
	if len(w) > 1 && !slices.Contains(w[1:], caller) && !slices.Contains(w[1:], zone) {
		return false
	}
	return f.hits(control.Wrong)
}
