// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Command generate writes the example recording and its labels into a directory.
package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/faultline-otel/faultline/cmd/faultline/internal/sample"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: generate DIRECTORY")
	}
	lines, err := sample.Example.Lines()
	if err != nil {
		return err
	}
	labels, err := sample.Example.Labels()
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if err := os.MkdirAll(args[0], 0o750); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(args[0], "crash.otlp.jsonl.gz"), packed.Bytes(), 0o600),
		os.WriteFile(filepath.Join(args[0], "crash.labels.json"), labels, 0o600),
	)
}
