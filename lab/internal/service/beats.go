// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// beatInterval is the time between two heartbeats of a service.
const beatInterval = time.Second

// beat is a heartbeat as POST /v1/heartbeats takes it.
type beat struct {
	Service     string `json:"service"`
	Instance    string `json:"instance"`
	Namespace   string `json:"namespace"`
	Environment string `json:"environment"`
	Host        string `json:"host,omitempty"`
	Zone        string `json:"zone,omitempty"`
	Version     string `json:"version,omitempty"`
	Incarnation int64  `json:"incarnation"`
	Seq         int64  `json:"seq"`
	Interval    string `json:"interval"`
	Status      string `json:"status"`
	Digest      string `json:"digest,omitempty"`
	SentAt      int64  `json:"sent_at"`
}

// heart sends heartbeats to the zone's agent.
type heart struct {
	url           string
	next          beat
	faults        *faults
	digest        func() string // of the state that the instance vouches for; nil: none
	client        *http.Client
	halt, stopped chan struct{}
}

func startHeart(c Config, f *faults, digest func() string) *heart {
	h := &heart{
		url: "http://" + c.Agent + ":8321/v1/heartbeats", faults: f, digest: digest,
		client: &http.Client{Timeout: beatInterval},
		halt:   make(chan struct{}), stopped: make(chan struct{}),
		next: beat{
			Service: c.Service, Instance: c.Instance, Namespace: Namespace, Environment: Environment,
			Host: c.Node, Zone: c.Zone, Version: c.Version,
			Incarnation: time.Now().UnixNano(), Interval: beatInterval.String(),
		},
	}
	go h.run()
	return h
}

func (h *heart) run() {
	defer close(h.stopped)
	tick := time.NewTicker(beatInterval)
	defer tick.Stop()
	h.beat(context.Background(), "starting")
	for {
		select {
		case <-tick.C:
			h.beat(context.Background(), "ready")
		case <-h.halt:
			return
		}
	}
}

// stop says that the service stops on purpose.
func (h *heart) stop(ctx context.Context) {
	close(h.halt)
	<-h.stopped
	h.beat(ctx, "stopping")
}

// beat sends one. The sequence counts ticks of the clock, so that a process
// that stood still cannot catch up.
func (h *heart) beat(ctx context.Context, status string) {
	h.next.Seq++
	b := h.next
	b.Status = status
	b.SentAt = time.Now().Add(h.faults.duration("beat_clock")).UnixNano()
	if h.digest != nil {
		b.Digest = h.digest()
	}
	if d := h.faults.text("digest"); d != "" {
		b.Digest = d
	}
	if h.faults.is("no_beat") {
		return
	}
	h.send(ctx, b)
	if h.faults.is("replay") && b.Seq > 10 {
		b.Seq -= 10
		b.SentAt -= int64(10 * beatInterval)
		h.send(ctx, b)
	}
	if who := h.faults.words("forge"); len(who) == 2 {
		b.Service, b.Instance = who[0], who[1]
		b.Host, b.Zone, b.Incarnation = "", "", b.Incarnation+1
		h.send(ctx, b)
	}
}

func (h *heart) send(ctx context.Context, b beat) {
	body, err := json.Marshal(b)
	if err != nil {
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := h.client.Do(req)
	if err != nil {
		return // the next one may get through
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}
