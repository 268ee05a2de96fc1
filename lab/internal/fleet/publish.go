// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/faultline-otel/faultline/lab/internal/service"
)

// Endpoints returns where callers find each service.
func (f *Fleet) Endpoints() map[string][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.endpoints)
}

// SetEndpoints sets where callers find a service; they read it anew within half
// a second. A service that is looked up by name answers with these addresses.
func (f *Fleet) SetEndpoints(service string, instances ...*Instance) error {
	f.mu.Lock()
	f.endpoints[service] = nil
	for _, in := range instances {
		f.endpoints[service] = append(f.endpoints[service], in.Addr.String())
	}
	f.mu.Unlock()
	return f.publish()
}

// publish writes what tells processes where others are: the list of endpoints,
// the resolver's names, and the two files that each sees as its own in /etc.
func (f *Fleet) publish() error {
	endpoints := f.Endpoints()
	table := map[string][]string{} // name -> addresses, for the resolver
	for s, name := range names {
		for _, e := range endpoints[s] {
			host, port, _ := strings.Cut(e, ":")
			table[name] = append(table[name], host)
			endpoints[s] = []string{name + ":" + port}
		}
	}
	if err := writeJSON(filepath.Join(f.Dir, service.NamesFile), table); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(f.Dir, service.EndpointsFile), endpoints); err != nil {
		return err
	}
	hosts := "127.0.0.1 localhost\n"
	for _, n := range f.nodes {
		hosts += n.Addr.String() + " " + n.Name + "\n"
	}
	if err := os.WriteFile(filepath.Join(f.Dir, "config", "hosts"), []byte(hosts), 0o600); err != nil {
		return err
	}
	// attempts:1 so that a resolver that is gone costs a caller 1 s.
	resolv := "nameserver " + f.Instance("dns-1").Node.Addr.String() + "\noptions timeout:1 attempts:1\n"
	return os.WriteFile(filepath.Join(f.Dir, "config", "resolv.conf"), []byte(resolv), 0o600)
}

// writeJSON replaces a file at once: it is read while it is written.
func writeJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
