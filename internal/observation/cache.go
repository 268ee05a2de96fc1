// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"sync"
	"sync/atomic"
)

// cache interns values by key. It is bounded by two generations: what was not
// asked for while a whole generation filled up is forgotten. Readers take the
// read lock of one of several shards.
//
// Callers hash the key themselves, because they can do so while they collect
// it. Two keys with one hash displace each other, which costs time and nothing
// else: values are compared by their whole key.
type cache[K comparable, V any] struct {
	shards  [cacheShards]cacheShard[K, V]
	evicted atomic.Uint64
}

const cacheShards = 16

type cacheShard[K comparable, V any] struct {
	mu         sync.RWMutex
	young, old map[uint64]*cached[K, V]
	cap        int // of one generation
}

type cached[K comparable, V any] struct {
	key   K
	value *V
}

// newCache returns a cache that holds at least size and at most twice as many.
func newCache[K comparable, V any](size int) *cache[K, V] {
	c := &cache[K, V]{}
	for i := range c.shards {
		c.shards[i].cap = max(size/cacheShards, 1)
		c.shards[i].young = map[uint64]*cached[K, V]{}
	}
	return c
}

// get returns the value of key, or nil.
func (c *cache[K, V]) get(hash uint64, key *K) *V {
	s := &c.shards[hash%cacheShards]
	s.mu.RLock()
	e := s.young[hash]
	promote := false
	if e == nil {
		e = s.old[hash]
		promote = e != nil
	}
	s.mu.RUnlock()
	if e == nil || e.key != *key {
		return nil
	}
	if promote {
		s.mu.Lock()
		c.insert(s, hash, e)
		s.mu.Unlock()
	}
	return e.value
}

// put stores value unless another goroutine was first, and returns what is
// stored now. The cache keeps key and value.
func (c *cache[K, V]) put(hash uint64, key K, value *V) *V {
	s := &c.shards[hash%cacheShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.young[hash]; e != nil && e.key == key {
		return e.value
	}
	c.insert(s, hash, &cached[K, V]{key, value})
	return value
}

// set stores value, whatever was there before.
func (c *cache[K, V]) set(hash uint64, key K, value *V) {
	s := &c.shards[hash%cacheShards]
	s.mu.Lock()
	c.insert(s, hash, &cached[K, V]{key, value})
	s.mu.Unlock()
}

// insert needs s.mu held.
func (c *cache[K, V]) insert(s *cacheShard[K, V], hash uint64, e *cached[K, V]) {
	if _, known := s.young[hash]; !known && len(s.young) >= s.cap {
		lost := 0
		for h := range s.old {
			if s.young[h] == nil {
				lost++
			}
		}
		c.evicted.Add(uint64(lost))
		s.old = s.young
		s.young = make(map[uint64]*cached[K, V], len(s.old))
	}
	s.young[hash] = e
}

// len is the number of entries, those in both generations counted once or twice.
func (c *cache[K, V]) len() int {
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		n += len(s.young) + len(s.old)
		s.mu.RUnlock()
	}
	return n
}
