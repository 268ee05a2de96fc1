// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package service is the processes of the lab's fleet: a small shop whose
// services are instrumented with the stock OpenTelemetry SDK, and the bare ones
// around it. Each misbehaves when it is told to over its control socket.
package service

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// ConfigEnv is the environment variable with a process's Config.
const ConfigEnv = "FAULTLINE_LAB_SERVICE"

// Files in Config.Folder that tell processes where others are.
const (
	EndpointsFile = "config/endpoints.json" // service -> host:port of each instance
	NamesFile     = "config/names.json"     // name -> addresses, for the resolver
)

// Namespace and Environment complete the identity of every service.
const (
	Namespace   = "shop"
	Environment = "lab"
)

// Config says what a process of the fleet is.
type Config struct {
	Service  string  `json:"service"`
	Instance string  `json:"instance"`
	Version  string  `json:"version"`
	Node     string  `json:"node"`
	Zone     string  `json:"zone"`
	Listen   string  `json:"listen"`          // host:port
	Key      string  `json:"key,omitempty"`   // with which it signs its heartbeats; "": it does not
	Agent    string  `json:"agent,omitempty"` // address of the zone's agent; "": no telemetry
	Socket   string  `json:"socket"`          // of its control
	Data     string  `json:"data"`            // folder in which it writes
	Folder   string  `json:"folder"`          // of the run
	Seed     uint64  `json:"seed,omitempty"`
	Rate     float64 `json:"rate,omitempty"`
	Daily    bool    `json:"daily,omitempty"`
}

// String returns c as ConfigEnv takes it.
func (c Config) String() string {
	text, _ := json.Marshal(c)
	return string(text)
}

func (c Config) file(name string) string { return filepath.Join(c.Folder, name) }

// KnownAnswer is what a service answers at /known while it is honest.
func KnownAnswer(service string) string {
	return fmt.Sprintf("known answer of %s: %08x\n", service, crc32.ChecksumIEEE([]byte(service)))
}

// Main becomes the process that ConfigEnv describes, if it is set, and then
// does not return.
func Main() {
	text := os.Getenv(ConfigEnv)
	if text == "" {
		return
	}
	var c Config
	err := json.Unmarshal([]byte(text), &c)
	if err == nil {
		ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM) // until the process ends
		err = run(ctx, c)
	}
	if err != nil {
		slog.Error("lab service failed", "service", c.Service, "error", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, c Config) error {
	switch c.Service {
	case "dns":
		return runDNS(ctx, c)
	case "proxy":
		return runProxy(ctx, c)
	case "load":
		return runLoad(ctx, c)
	}
	return runService(ctx, c)
}
