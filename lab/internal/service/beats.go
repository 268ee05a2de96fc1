// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
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
	MAC         string `json:"mac,omitempty"`
}

// heart sends heartbeats to the zone's agent.
type heart struct {
	url           string
	next          beat
	past          []beat // the latest, for replays
	faults        *faults
	digest        func() string // of the state that the instance vouches for; nil: none
	key           string        // "": heartbeats are not signed
	client        *http.Client
	halt, stopped chan struct{}
}

func startHeart(c Config, f *faults, digest func() string) *heart {
	h := &heart{
		url: "http://" + c.Agent + ":8321/v1/heartbeats", faults: f, digest: digest, key: c.Key,
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
	h.past = append(h.past, b)
	if len(h.past) > 10 {
		if h.faults.is("replay") {
			h.send(ctx, h.past[0])
		}
		h.past = h.past[1:]
	}
	if who := h.faults.words("forge"); len(who) == 2 {
		b.Service, b.Instance = who[0], who[1]
		b.Host, b.Zone, b.Incarnation = "", "", b.Incarnation+1
		h.send(ctx, b)
	}
}

// sign is the MAC of a heartbeat: over each field that is sent, as the heartbeat
// receiver's manual says.
func sign(key string, b beat) string {
	mac := hmac.New(sha256.New, []byte(key))
	for _, f := range [][2]string{
		{"service", b.Service}, {"instance", b.Instance}, {"namespace", b.Namespace}, {"environment", b.Environment},
		{"host", b.Host}, {"zone", b.Zone}, {"version", b.Version}, {"incarnation", strconv.FormatInt(b.Incarnation, 10)},
		{"seq", strconv.FormatInt(b.Seq, 10)}, {"interval", b.Interval}, {"status", b.Status}, {"digest", b.Digest},
		{"sent_at", strconv.FormatInt(b.SentAt, 10)},
	} {
		if f[1] != "" {
			_, _ = mac.Write([]byte(f[0] + "=" + f[1] + "\n"))
		}
	}
	return hex.EncodeToString(mac.Sum(nil))
}

func (h *heart) send(ctx context.Context, b beat) {
	if h.key != "" {
		b.MAC = sign(h.key, b)
	}
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
