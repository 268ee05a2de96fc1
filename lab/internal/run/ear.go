// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
)

// ear tells a person what Faultline said. Scores are made elsewhere.
type ear struct{ file string }

func listen(file string) *ear { return &ear{file} }

// since sums up what was said about failures since a time.
func (e *ear) since(t time.Time) string {
	file, err := os.Open(e.file)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	var said []string
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	var decode plog.JSONUnmarshaler
	for lines.Scan() {
		ld, err := decode.UnmarshalLogs(lines.Bytes())
		if err != nil {
			continue
		}
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					at := lr.Timestamp().AsTime()
					name := lr.EventName()
					if at.Before(t) || name != "failure.detected" && name != "failure.revised" {
						continue
					}
					said = append(said, fmt.Sprintf("+%.1fs %s", at.Sub(t).Seconds(), lr.Body().AsString()))
				}
			}
		}
	}
	if len(said) == 0 {
		return "nothing was said"
	}
	return strings.Join(said, "\n           ")
}
