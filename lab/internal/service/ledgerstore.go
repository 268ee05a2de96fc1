// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

// keptEntries bounds the store: the oldest go first.
const keptEntries = 10_000

// syncEvery is how often a replica asks the other for what it missed.
const syncEvery = 2 * time.Second

// store is one of two replicas, both of which take writes. Each sends what it
// took to the other at once, and they compare their settled state regularly:
// behind a cut both go on, and part.
type store struct {
	a       *app
	journal *journal

	mu      sync.Mutex
	entries map[string]string
	order   []string
	settled map[string]string // settings: few, changed by the lab only, and vouched for by the digest
}

func buildLedger(a *app) {
	s := &store{a: a, journal: newJournal(a), entries: map[string]string{}, settled: map[string]string{"currency": "EUR"}}
	a.handle("POST /entries/{id}", func(r *http.Request) (string, error) {
		id, amount := r.PathValue("id"), r.URL.Query().Get("amount")
		if err := s.journal.write(id + " " + amount); err != nil {
			return "", err
		}
		s.put(id, amount)
		go s.replicate(context.WithoutCancel(r.Context()), id, amount)
		return id, nil
	})
	a.handle("POST /replica/{id}", func(r *http.Request) (string, error) {
		s.put(r.PathValue("id"), r.URL.Query().Get("amount"))
		return "", nil
	})
	a.handle("GET /settled", func(*http.Request) (string, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		var pairs []string
		for k, v := range s.settled {
			pairs = append(pairs, k+"="+v)
		}
		return strings.Join(pairs, "\n"), nil
	})
	a.faults.on(control.SplitWrite, func(args []string) (string, error) {
		if len(args) != 2 {
			return "", errors.New("needs a key and a value")
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.settled[args[0]] = args[1]
		return "", nil
	})
	a.digest = s.digest
	a.begin = s.compare
}

func (s *store) put(id, amount string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.entries[id]; !ok {
		s.order = append(s.order, id)
	}
	s.entries[id] = amount
	for len(s.order) > keptEntries {
		delete(s.entries, s.order[0])
		s.order = s.order[1:]
	}
}

// digest is of the settled state only: entries differ while they travel.
func (s *store) digest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum uint32
	for k, v := range s.settled {
		sum ^= crc32.ChecksumIEEE([]byte(k + "=" + v))
	}
	return fmt.Sprintf("%08x", sum)
}

// others are the addresses of the other replicas.
func (s *store) others() []string {
	var others []string
	for _, e := range s.a.client.endpoints.list("ledger") {
		if e != s.a.c.Listen {
			others = append(others, e)
		}
	}
	return others
}

func (s *store) replicate(ctx context.Context, id, amount string) {
	for _, other := range s.others() {
		if _, err := s.ask(ctx, http.MethodPost, other, "/replica/"+id+"?amount="+url.QueryEscape(amount)); err != nil {
			s.a.warn(ctx, "replication failed", err)
		}
	}
}

// compare brings the settled state of both together: the last word in the order
// of their values counts, on both sides.
func (s *store) compare(ctx context.Context) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, other := range s.others() {
			text, err := s.ask(ctx, http.MethodGet, other, "/settled")
			if err != nil {
				s.a.warn(ctx, "replica does not answer", err)
				continue
			}
			s.merge(text)
		}
	}
}

func (s *store) merge(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range strings.Lines(text) {
		k, v, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && v > s.settled[k] && len(s.settled) < 100 {
			s.settled[k] = v
		}
	}
}

// ask calls one certain replica.
func (s *store) ask(ctx context.Context, method, address, path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, calleeKey{}, "ledger"), usualTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", rightKey)
	req.Header.Set("User-Agent", "ledger/"+s.a.c.Version)
	resp, err := s.a.client.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("ledger answered %s", resp.Status)
	}
	return check("ledger", body)
}
