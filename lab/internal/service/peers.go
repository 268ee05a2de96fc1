// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// freshness is how often a process reads where others are.
const freshness = 500 * time.Millisecond

// table is a JSON file of lists that is read again when it changed.
type table struct {
	path string

	mu      sync.Mutex
	looked  time.Time
	changed time.Time
	lists   map[string][]string
	turns   map[string]int
}

func newTable(path string) *table { return &table{path: path, turns: map[string]int{}} }

// list returns the entries of a name.
func (t *table) list(name string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.read()[name]
}

func (t *table) read() map[string][]string {
	if time.Since(t.looked) < freshness {
		return t.lists
	}
	t.looked = time.Now()
	info, err := os.Stat(t.path)
	if err != nil || info.ModTime().Equal(t.changed) {
		return t.lists
	}
	text, err := os.ReadFile(t.path)
	if err != nil {
		return t.lists
	}
	var lists map[string][]string
	if json.Unmarshal(text, &lists) == nil {
		t.lists, t.changed = lists, info.ModTime()
	}
	return t.lists
}

// next returns the entries of a name in turn.
func (t *table) next(name string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.read()[name]
	if len(all) == 0 {
		return "", fmt.Errorf("no endpoints of %s", name)
	}
	t.turns[name]++
	return all[t.turns[name]%len(all)], nil
}
