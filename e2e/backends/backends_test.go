// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"errors"
	"testing"
)

func TestEachBackendStartsAndStops(t *testing.T) {
	t.Run("jaeger", func(t *testing.T) {
		j, err := StartJaeger(t.Context(), t.TempDir())
		Require(t, err)
		defer j.Stop()
		if err := get(t.Context(), j.QueryURL+"/api/services"); err != nil {
			t.Error(err)
		}
	})
	t.Run("prometheus", func(t *testing.T) {
		p, err := StartPrometheus(t.Context(), t.TempDir(), "127.0.0.1:1")
		Require(t, err)
		defer p.Stop()
		if err := get(t.Context(), p.URL+"/api/v1/query?query=up"); err != nil {
			t.Error(err)
		}
	})
	t.Run("elasticsearch", func(t *testing.T) {
		e, err := StartElasticsearch(t.Context(), t.TempDir())
		Require(t, err)
		defer e.Stop()
		if err := get(t.Context(), e.URL+"/_cat/indices"); err != nil {
			t.Error(err)
		}
	})
}

func TestMissingBackendSaysWhatToInstall(t *testing.T) {
	var err error = &MissingError{"Jaeger", "run `make backends`"}
	var missing *MissingError
	if !errors.As(err, &missing) || err.Error() != "Jaeger is not installed: run `make backends`" {
		t.Error(err)
	}
}

func TestJavaMajor(t *testing.T) {
	for release, want := range map[string]int{
		"IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"25.0.1\"\n": 25, "JAVA_VERSION=\"1.8.0_292\"": 1, "": 0, "JAVA_VERSION=\"": 0,
	} {
		if got := javaMajor(release); got != want {
			t.Errorf("%q: %d, want %d", release, got, want)
		}
	}
}
