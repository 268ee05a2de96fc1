// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

// Load counts the customers' requests so far, as the load process tells them.
type Load struct {
	Sent    int64   `json:"sent"`
	OK      int64   `json:"ok"`
	Failed  int64   `json:"failed"`
	Skipped int64   `json:"skipped"` // too many waited already
	Rate    float64 `json:"rate"`    // requests a second at the moment
}

const (
	maxInFlight = 400
	longestWait = 5 * time.Second
	// dayLength is how long the lab's day is: the rate swings by half in it.
	dayLength = 10 * time.Minute
	items     = 50
)

// buys is the part of the customers who buy; the others look for something.
const buys = 0.6

// runLoad sends requests as customers do: whether or not those before were
// answered, at random moments of a steady rate.
func runLoad(ctx context.Context, c Config) error {
	l := &loader{c: c, endpoints: newTable(c.file(EndpointsFile)), random: rand.New(rand.NewPCG(c.Seed, 1)), born: time.Now()}
	l.rate.Store(math.Float64bits(c.Rate))
	l.client = &http.Client{Timeout: longestWait, Transport: &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: 5 * time.Second}}
	f := newFaults()
	f.on(control.Ready, func([]string) (string, error) { return "", nil })
	f.on(control.Reset, func([]string) (string, error) { l.rate.Store(math.Float64bits(c.Rate)); return "", nil })
	f.on(control.Rate, func(args []string) (string, error) {
		if len(args) == 0 {
			return "", fmt.Errorf("needs a rate")
		}
		rate, err := strconv.ParseFloat(args[0], 64)
		if err != nil || rate < 0 || rate > 2000 {
			return "", fmt.Errorf("%q is not between 0 and 2000 requests a second", args[0])
		}
		l.rate.Store(math.Float64bits(rate))
		return "", nil
	})
	f.on(control.Stats, func([]string) (string, error) {
		text, err := json.Marshal(Load{l.sent.Load(), l.ok.Load(), l.failed.Load(), l.skipped.Load(), l.now()})
		return string(text), err
	})
	if err := control.Serve(c.Socket, f.do); err != nil {
		return err
	}
	l.run(ctx)
	return nil
}

type loader struct {
	c         Config
	endpoints *table
	client    *http.Client
	random    *rand.Rand // of the one goroutine that sends
	born      time.Time
	rate      atomic.Uint64 // float64

	sent, ok, failed, skipped atomic.Int64
}

// now is the rate at the moment.
func (l *loader) now() float64 {
	rate := math.Float64frombits(l.rate.Load())
	if l.c.Daily {
		rate *= 1 + 0.5*math.Sin(2*math.Pi*time.Since(l.born).Seconds()/dayLength.Seconds())
	}
	return rate
}

func (l *loader) run(ctx context.Context) {
	slots := make(chan struct{}, maxInFlight)
	var wg sync.WaitGroup
	defer wg.Wait()
	due := time.Now()
	for {
		rate := l.now()
		if rate < 0.01 {
			rate = 0
		}
		gap := 100 * time.Millisecond
		if rate > 0 {
			gap = time.Duration(l.random.ExpFloat64() / rate * float64(time.Second))
		}
		due = due.Add(gap)
		if late := time.Since(due); late > time.Second {
			due = time.Now() // it stood still: customers do not come twice
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		if rate == 0 {
			continue
		}
		item := fmt.Sprintf("item-%02d", l.random.IntN(items))
		method, path := http.MethodGet, "/find/"+item
		if l.random.Float64() < buys {
			method, path = http.MethodPost, "/buy/"+item
		}
		select {
		case slots <- struct{}{}:
		default:
			l.skipped.Add(1)
			continue
		}
		l.sent.Add(1)
		wg.Go(func() {
			defer func() { <-slots }()
			if l.ask(ctx, method, path) {
				l.ok.Add(1)
			} else {
				l.failed.Add(1)
			}
		})
	}
}

func (l *loader) ask(ctx context.Context, method, path string) bool {
	host, err := l.endpoints.next("web")
	if err != nil {
		return false
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+host+path, nil)
	if err != nil {
		return false
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode < 400
}
