// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package shop

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"time"
)

// HeartbeatInterval is the time between two heartbeats of a service.
const HeartbeatInterval = time.Second

// beat is a heartbeat as POST /v1/heartbeats takes it.
type beat struct {
	Service     string `json:"service"`
	Instance    string `json:"instance"`
	Namespace   string `json:"namespace"`
	Environment string `json:"environment"`
	Host        string `json:"host"`
	Version     string `json:"version"`
	Incarnation int64  `json:"incarnation"` // start time, ns: tells a restart from a pause
	Seq         int64  `json:"seq"`         // ticks of our own timer, sent or not
	Interval    string `json:"interval"`
	Status      string `json:"status"`
	SentAt      int64  `json:"sent_at"`
}

// heartbeat sends a beat each interval.
type heartbeat struct {
	url           string
	beat          beat
	began         time.Time
	client        *http.Client
	halt, stopped chan struct{}
}

func startHeartbeat(s Settings) *heartbeat {
	host, _ := os.Hostname()
	h := &heartbeat{
		url:    "http://" + s.Heartbeats + "/v1/heartbeats",
		client: &http.Client{Timeout: HeartbeatInterval},
		began:  time.Now(),
		halt:   make(chan struct{}), stopped: make(chan struct{}),
	}
	h.beat = beat{
		Service: s.Service, Instance: s.Instance, Namespace: Namespace, Environment: Environment, Host: host, Version: version,
		Incarnation: h.began.UnixNano(), Interval: HeartbeatInterval.String(),
	}
	go h.run()
	return h
}

func (h *heartbeat) run() {
	defer close(h.stopped)
	tick := time.NewTicker(HeartbeatInterval)
	defer tick.Stop()
	h.send(context.Background(), "starting")
	for {
		select {
		case <-tick.C:
			h.send(context.Background(), "ready")
		case <-h.halt:
			return
		}
	}
}

// stop says that the service stops on purpose: then nobody will miss it.
func (h *heartbeat) stop(ctx context.Context) {
	close(h.halt)
	<-h.stopped
	h.send(ctx, "stopping")
}

// send sends one beat. The sequence counts ticks of the clock, so that a process
// that stood still cannot catch up.
func (h *heartbeat) send(ctx context.Context, status string) {
	h.beat.Seq++
	h.beat.Status = status
	h.beat.SentAt = time.Now().UnixNano()
	body, err := json.Marshal(h.beat)
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
