// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"time"
)

// task is something that happens at a time of the episode. Ties are done in
// the order in which they were planned, so that a seed gives one history.
type task struct {
	at    time.Duration
	order uint64
	do    func(now time.Duration)
}

type taskHeap []task

func (h taskHeap) Len() int { return len(h) }
func (h taskHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].order < h[j].order
}
func (h taskHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *taskHeap) Push(x any)   { *h = append(*h, x.(task)) }
func (h *taskHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = task{}
	*h = old[:len(old)-1]
	return last
}

// agenda is what will happen.
type agenda struct {
	tasks taskHeap
	count uint64
}

func (a *agenda) plan(at time.Duration, do func(now time.Duration)) {
	a.count++
	heap.Push(&a.tasks, task{at, a.count, do})
}

// run does what is planned up to the end.
func (a *agenda) run(end time.Duration) {
	for len(a.tasks) > 0 && a.tasks[0].at <= end {
		t := heap.Pop(&a.tasks).(task)
		t.do(t.at)
	}
}

// dice is an episode's randomness.
type dice struct{ *rand.Rand }

func newDice(seed uint64, stream uint64) dice { return dice{rand.New(rand.NewPCG(seed, stream))} }

func (d dice) chance(p float64) bool { return d.Float64() < p }

func (d dice) real(from, to float64) float64 { return from + d.Float64()*(to-from) }

// number is a whole number of from..to, both included.
func (d dice) number(from, to int) int { return from + d.IntN(to-from+1) }

func (d dice) span(from, to time.Duration) time.Duration {
	return from + time.Duration(d.Float64()*float64(to-from))
}

// around is log-normal with a median.
func (d dice) around(median time.Duration, sigma float64) time.Duration {
	return time.Duration(float64(median) * math.Exp(d.NormFloat64()*sigma))
}

// wait is the time to the next of events that come at a rate a second.
func (d dice) wait(rate float64) time.Duration {
	return time.Duration(d.ExpFloat64() / rate * float64(time.Second))
}

func pick[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }
