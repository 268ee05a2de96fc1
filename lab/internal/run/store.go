// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// A shard has a folder, and in it one part for each fleet that was started for
// it: clocks, names and baselines end with a fleet.
const (
	planFile = "plan.txt"     // signature of the shard's plan
	openFile = "current.json" // injections that were begun and are not in the account yet
)

// interrupted is why an injection failed whose run ended in the midst of it; it
// is made again.
const interrupted = "interrupted"

// store is the folder of a shard.
type store struct{ dir string }

func openStore(o Options) (*store, error) {
	s := &store{filepath.Join(o.Out, fmt.Sprintf("shard-%02d-of-%02d", max(1, o.Shard), max(1, o.Shards)))}
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return nil, err
	}
	path, want := filepath.Join(s.dir, planFile), signature(o)
	had, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, os.WriteFile(path, []byte(want+"\n"), 0o600)
	case err != nil:
		return nil, err
	case strings.TrimSpace(string(had)) != want:
		return nil, fmt.Errorf("--out: %s holds another run (%s): name another folder", s.dir, strings.TrimSpace(string(had)))
	}
	return s, nil
}

// finished returns the ids of what was done. What a killed run left open is
// written into its account as failed, so that nobody takes its traces for clean.
func (s *store) finished() (map[string]bool, error) {
	done := map[string]bool{}
	parts, err := Parts(s.dir)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		if err := closeOpen(part); err != nil {
			return nil, err
		}
		f, err := os.Open(filepath.Join(part, ledger.InjectionsFile))
		if err != nil {
			return nil, err
		}
		ins, err := ledger.Read[ledger.Injection](f)
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		for _, in := range ins {
			if in.Failed != interrupted {
				id, _, _ := strings.Cut(in.ID, "+")
				done[id] = true
			}
		}
	}
	return done, nil
}

func closeOpen(part string) error {
	path := filepath.Join(part, openFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var ins []ledger.Injection
	if err := json.Unmarshal(text, &ins); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	// Nothing after the last trace can be told from the fault's.
	info, err := os.Stat(filepath.Join(part, ledger.TracesFile))
	if err != nil {
		return err
	}
	for i := range ins {
		ins[i].End, ins[i].Failed = info.ModTime(), interrupted
	}
	return errors.Join(note(part, ins), os.Remove(path))
}

// part makes the folder of the next fleet.
func (s *store) part() (string, error) {
	for n := 1; ; n++ {
		dir := filepath.Join(s.dir, fmt.Sprintf("part-%02d", n))
		err := os.Mkdir(dir, 0o750)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		return dir, note(dir, nil)
	}
}

// begin keeps what is about to be done, until note.
func begin(part string, ins []ledger.Injection) error {
	text, err := json.Marshal(ins)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(part, openFile), text, 0o600)
}

// note writes injections into the account.
func note(part string, ins []ledger.Injection) error {
	f, err := os.OpenFile(filepath.Join(part, ledger.InjectionsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	var errs []error
	for _, in := range ins {
		errs = append(errs, ledger.Write(f, in))
	}
	return errors.Join(append(errs, f.Close())...)
}

// Parts returns the folders with accounts at and below dirs, in order.
func Parts(dirs ...string) ([]string, error) {
	var parts []string
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == ledger.InjectionsFile {
				parts = append(parts, filepath.Dir(path))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(parts)
	return slices.Compact(parts), nil
}

// forget undoes begin.
func forget(part string) error {
	err := os.Remove(filepath.Join(part, openFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
