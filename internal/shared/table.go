// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package shared lets the pipelines of one component ID share one instance: there is
// one port to listen on, and what one signal has shown the other may need.
package shared

import "sync"

// Table holds the instances of a factory by their configuration. The Collector hands the
// same pointer for each signal of an ID, and a new one after a reload. The zero value is empty.
type Table[C, T any] struct {
	mu   sync.Mutex
	made map[*C]*entry[T]
}

type entry[T any] struct {
	instance T
	users    int
}

// Of returns the instance of a configuration, which it creates for the first who asks.
// Each who asked leaves once, or the first who leaves has it forgotten.
func (t *Table[C, T]) Of(cfg *C, create func() (T, error)) (T, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.made[cfg]
	if e == nil {
		instance, err := create()
		if err != nil {
			return instance, err
		}
		e = &entry[T]{instance: instance}
		if t.made == nil {
			t.made = map[*C]*entry[T]{}
		}
		t.made[cfg] = e
	}
	e.users++
	return e.instance, nil
}

// Forget has the next who asks for the instance of a configuration be the first.
func (t *Table[C, T]) Forget(cfg *C) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.made, cfg)
}

// Leave says whether all who asked for the instance of a configuration have left; it is
// forgotten then.
func (t *Table[C, T]) Leave(cfg *C) (last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.made[cfg]
	if e == nil {
		return true
	}
	if e.users--; e.users == 0 {
		delete(t.made, cfg)
	}
	return e.users == 0
}
