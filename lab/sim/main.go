// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Command sim is the simulated lab: random fleets in virtual time, one fault or
// confounder each, and the real engine that has to tell what happened.
//
//	go run ./lab/sim --seed 1 --episodes 2000
//	go run ./lab/sim --seed 1 --episode 17 -v
//
// What the engine is told follows from a physical model (who lives, what the
// network lets through, how long work takes) and shares no constant with the
// engine's evidence. Equal seeds give equal results.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func main() {
	seed := flag.Uint64("seed", 1, "seed of all randomness")
	episodes := flag.Int("episodes", 2000, "number of episodes")
	class := flag.String("class", "", "only faults of this class, \"confounder\", or scenarios whose name contains this")
	one := flag.Int("episode", -1, "replay this episode only")
	verbose := flag.Bool("v", false, "print every event of the replayed episode")
	trace := flag.Bool("trace", false, "print also what the engine was told of trouble in the replayed episode")
	asJSON := flag.Bool("json", false, "print every episode as a line of JSON and the table to standard error")
	hours := flag.Int("hours", 0, "instead of faults, this many hours of healthy fleets")
	calibrating := flag.Bool("calibrate", false, "fit the engine's confidence to how often its verdicts were right, and print the weights")
	checking := flag.Bool("check-calibration", false, "print only how sure verdicts were and how many were right, and fail where that is far apart")
	workers := flag.Int("workers", runtime.GOMAXPROCS(0), "episodes at a time")
	flag.Parse()

	list := catalogue(*class)
	if len(list) == 0 {
		fmt.Fprintf(os.Stderr, "--class %s names no class (crash, network_partition, resource_exhaustion, byzantine, confounder) and no scenario\n", *class)
		os.Exit(2)
	}
	if *one >= 0 {
		replay(*seed, *one, list, *verbose, *trace)
		return
	}
	began := time.Now()
	if *hours > 0 {
		rest(*seed, *hours, *workers)
		fmt.Printf("in %s\n", time.Since(began).Round(time.Second/10))
		return
	}
	done := run(*episodes, *workers, func(n int) episode { return play(*seed, n, list, false, false) })
	switch {
	case *calibrating:
		calibrate(os.Stdout, done)
		return
	case *checking:
		s := summarize(done)
		s.claims.print(os.Stdout)
		if far := s.claims.far(); len(far) > 0 {
			fmt.Println(strings.Join(far, "\n"))
			os.Exit(1)
		}
		return
	}
	table := os.Stdout
	if *asJSON {
		table = os.Stderr
		out := json.NewEncoder(os.Stdout)
		for i := range done {
			if err := out.Encode(&done[i]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}
	summarize(done).print(table, *seed)
	fmt.Fprintf(table, "\n%d episodes in %s\n", len(done), time.Since(began).Round(time.Second/10))
}

// catalogue lists the scenarios that a filter leaves.
func catalogue(filter string) (out []scenario) {
	lists := [...][]scenario{crashes, partitions, exhaustions, byzantines, confounders, conducts}
	for _, list := range lists {
		for _, sc := range list {
			if sc.apart && (filter == "" || !strings.Contains(sc.name, filter)) {
				continue
			}
			kind := string(sc.class)
			if sc.class == verdict.ClassNone {
				kind = "confounder"
			}
			if filter == "" || kind == filter || strings.Contains(sc.name, filter) {
				out = append(out, sc)
			}
		}
	}
	return out
}

// rest lets healthy fleets live for an hour each and says who was accused.
func rest(seed uint64, hours, workers int) {
	list := catalogue("nothing")
	class, unknown := 0, 0
	for _, ep := range run(hours, workers, func(n int) episode { return playFor(seed, n, list, time.Hour, false, false) }) {
		unknown += ep.Unknown + ep.CleanOpen
		for _, f := range append(ep.CleanFalse, ep.Others...) {
			class++
			fmt.Printf("fleet %d: %s\n", ep.Number, f)
		}
	}
	fmt.Printf("%d healthy fleet-hours: %d verdicts with a class, %d unknown\n", hours, class, unknown)
}

// run plays the episodes 0..n-1.
func run(n, workers int, play func(n int) episode) []episode {
	done := make([]episode, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range max(1, workers) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				done[i] = play(i)
			}
		})
	}
	wg.Wait()
	return done
}

func replay(seed uint64, number int, list []scenario, verbose, trace bool) {
	ep := play(seed, number, list, verbose, trace)
	for _, line := range ep.events {
		fmt.Println(line)
	}
	ep.events = nil
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	if err := out.Encode(&ep); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
