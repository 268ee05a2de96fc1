// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/robfig/cron/v3"
	"go.opentelemetry.io/collector/config/configopaque"

	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/probe"
)

// CheckConfig says what the pings of one id stand for.
type CheckConfig struct {
	UUID string              `mapstructure:"uuid"` // /ping/{uuid}
	Slug string              `mapstructure:"slug"` // /ping/{key}/{slug}
	Key  configopaque.String `mapstructure:"key"`  // ping key of the slug; empty: any is accepted

	Service     string `mapstructure:"service"`
	Instance    string `mapstructure:"instance"`
	Namespace   string `mapstructure:"namespace"`
	Environment string `mapstructure:"environment"`

	// Period is the usual time between pings, 10ms to 8784h. Either it or Schedule is needed.
	Period time.Duration `mapstructure:"period"`
	// Schedule is a cron expression of five fields or @hourly and the like.
	Schedule string `mapstructure:"schedule"`
	// Timezone is that of Schedule, such as Europe/Berlin; default UTC.
	Timezone string `mapstructure:"timezone"`
	// Grace is the lateness allowed, 0 or 10ms to 8784h; default: the period, at most 1h, and
	// 1h with a schedule.
	Grace *time.Duration `mapstructure:"grace"`
}

// id is the check's place in the table of checks.
func (c *CheckConfig) id() string {
	if c.UUID != "" {
		id, _ := uuid.Parse(c.UUID)
		return id.String()
	}
	return slugID(string(c.Key), c.Slug)
}

// slugID cannot be mistaken for a UUID, nor one pair for another: a key has no slash.
func slugID(key, slug string) string { return key + "/" + slug }

// grace is what the user wrote or the default.
func (c *CheckConfig) grace() time.Duration {
	switch {
	case c.Grace != nil:
		return *c.Grace
	case c.Period > 0:
		return min(c.Period, time.Hour)
	}
	return time.Hour
}

// Validate reports all that is wrong, each with its key.
func (c *CheckConfig) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }

	switch {
	case (c.UUID == "") == (c.Slug == ""):
		bad("uuid, slug: write one of the two")
	case c.UUID != "":
		if !isUUID(c.UUID) {
			bad("uuid: %q is none: write one such as 5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278", c.UUID)
		}
		if c.Key != "" {
			bad("key: belongs to a slug: remove it, or write slug instead of uuid")
		}
	default:
		if !isSlug(c.Slug) {
			bad("slug: %q has other characters than a-z, 0-9, - and _, or is longer than 100", c.Slug)
		}
		if strings.Contains(string(c.Key), "/") {
			bad("key: must not hold a slash, since it is one part of a URL")
		}
	}
	if c.Service == "" {
		bad("service: must not be empty: write the service that pings")
	}
	for _, f := range []struct{ name, value string }{
		{"service", c.Service}, {"instance", c.Instance}, {"namespace", c.Namespace}, {"environment", c.Environment},
	} {
		if err := probe.CheckName(f.value); err != nil {
			bad("%s: %w", f.name, err)
		}
	}
	switch {
	case (c.Period == 0) == (c.Schedule == ""):
		bad("period, schedule: write one of the two, such as period: 1h or schedule: \"0 3 * * *\"")
	case c.Schedule != "":
		if _, err := parseSchedule(c.Schedule, c.Timezone); err != nil {
			errs = append(errs, err)
		}
	case c.Period < minInterval || c.Period > maxInterval:
		bad("period: %v is not between %v and %v", c.Period, minInterval, maxInterval)
	case c.Timezone != "":
		bad("timezone: belongs to schedule: remove it")
	}
	if c.Grace != nil && *c.Grace != 0 && (*c.Grace < minInterval || *c.Grace > maxInterval) { // a bare 30 is 30 ns
		bad("grace: %v is not 0s or between %v and %v: write one such as 5m", *c.Grace, minInterval, maxInterval)
	}
	return errors.Join(errs...)
}

var cronParser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// zonedSchedule is a cron schedule in the time zone that its user means.
type zonedSchedule struct {
	cron.Schedule
	loc *time.Location
}

// next is the first time after t at which the schedule fires.
func (z zonedSchedule) next(t time.Time) time.Time { return z.Next(t.In(z.loc)) }

func parseSchedule(spec, zone string) (zonedSchedule, error) {
	// The parser has a syntax of its own for zones, and panics on half of it.
	if strings.Contains(spec, "TZ=") {
		return zonedSchedule{}, errors.New("schedule: a time zone does not belong here: write it into timezone")
	}
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return zonedSchedule{}, fmt.Errorf("timezone: %q is not known: write one such as Europe/Berlin", zone)
	}
	s, err := cronParser.Parse(spec)
	if err != nil {
		return zonedSchedule{}, fmt.Errorf("schedule: %q is no cron expression of five fields, such as \"0 3 * * *\": %w", spec, err)
	}
	z := zonedSchedule{Schedule: s, loc: loc}
	if z.next(time.Unix(0, 0)).IsZero() {
		return zonedSchedule{}, fmt.Errorf("schedule: %q never comes true", spec)
	}
	return z, nil
}

// KeyConfig is the secret with which a service signs its heartbeats.
type KeyConfig struct {
	Service   string              `mapstructure:"service"`
	Namespace string              `mapstructure:"namespace"` // empty: any
	Instance  string              `mapstructure:"instance"`  // empty: all that have no key of their own
	Key       configopaque.String `mapstructure:"key"`       // at least 16 bytes
}

// sender is of whom the key is.
func (c *KeyConfig) sender() [3]string { return [3]string{c.Service, c.Namespace, c.Instance} }

const minKeyLength = 16 // bytes; shorter ones can be guessed from one signed heartbeat

// Validate reports all that is wrong, each with its key.
func (c *KeyConfig) Validate() error {
	var errs []error
	if c.Service == "" {
		errs = append(errs, errors.New("service: must not be empty: write the service that signs"))
	}
	if len(c.Key) < minKeyLength {
		errs = append(errs, fmt.Errorf("key: must have at least %d bytes: write a random one", minKeyLength))
	}
	return errors.Join(errs...)
}
