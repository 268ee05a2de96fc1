// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// labels is what is known to have happened: faults or, if not nil, jobs.
type labels struct {
	faults []fault
	jobs   []job
}

// fault is something that failed for a while.
type fault struct {
	Start, End                     time.Time
	Service, Instance, Class, Type string
}

// job is a service or instance that failed in one way, or in none, somewhere in
// the recording.
type job struct {
	Job   string `json:"job"`
	Class string `json:"class"` // classNone if nothing was wrong
}

const classNone = "none"

var classes = []string{string(verdict.ClassCrash), string(verdict.ClassPartition), string(verdict.ClassByzantine), string(verdict.ClassExhaustion)}

func readLabels(name string) (*labels, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	l, err := parseLabels(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return l, nil
}

// parseLabels names the field that is wrong.
func parseLabels(text []byte) (*labels, error) {
	var file struct {
		Faults *[]struct {
			Start    string `json:"start"`
			End      string `json:"end"`
			Service  string `json:"service"`
			Instance string `json:"instance"`
			Class    string `json:"class"`
			Type     string `json:"type"`
		} `json:"faults"`
		Jobs *[]job `json:"jobs"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	if (file.Faults == nil) == (file.Jobs == nil) {
		return nil, errors.New(`must have either "faults" or "jobs", a list`)
	}
	l := &labels{}
	if file.Jobs != nil {
		l.jobs = *file.Jobs
		seen := map[string]bool{}
		for i, j := range l.jobs {
			field := fmt.Sprintf("jobs[%d]", i)
			switch err := checkClass(j.Class, classNone); {
			case j.Job == "":
				return nil, fmt.Errorf("%s.job: is missing: write the name of a service or an instance", field)
			case seen[j.Job]:
				return nil, fmt.Errorf("%s.job: %q has a label already", field, j.Job)
			case err != nil:
				return nil, fmt.Errorf("%s.class: %w", field, err)
			}
			seen[j.Job] = true
		}
		return l, nil
	}
	for i, f := range *file.Faults {
		field := fmt.Sprintf("faults[%d]", i)
		start, err := parseTime(f.Start)
		if err != nil {
			return nil, fmt.Errorf("%s.start: %w", field, err)
		}
		end, err := parseTime(f.End)
		if err != nil {
			return nil, fmt.Errorf("%s.end: %w", field, err)
		}
		if end.Before(start) {
			return nil, fmt.Errorf("%s.end: %s lies before the start, %s", field, f.End, f.Start)
		}
		if err := checkClass(f.Class); err != nil {
			return nil, fmt.Errorf("%s.class: %w", field, err)
		}
		l.faults = append(l.faults, fault{start, end, f.Service, f.Instance, f.Class, f.Type})
	}
	return l, nil
}

func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, errors.New("is missing: write a time such as 2026-01-05T09:01:00Z")
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%q is no RFC 3339 time: write one such as 2026-01-05T09:01:00Z", s)
	}
	return t, nil
}

func checkClass(class string, others ...string) error {
	if allowed := append(slices.Clone(classes), others...); !slices.Contains(allowed, class) {
		return fmt.Errorf("%q is not one of %s", class, strings.Join(allowed, ", "))
	}
	return nil
}
