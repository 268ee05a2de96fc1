// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path"
	"regexp"
	"strings"
	"time"

	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap"
)

// Config is one entry of `targets`: what is looked at, whom it stands for and
// what is expected of it.
type Config struct {
	// Name is what the target is called in telemetry; default: the endpoint,
	// or how the process is found.
	Name string `mapstructure:"name"`
	// Endpoint is http://, https://, tcp://host:port, grpc://host:port/service,
	// grpcs:// or dns://server/name?type=A. Either it or Process is needed.
	Endpoint string `mapstructure:"endpoint"`
	// Process is a process of this host.
	Process ProcessConfig `mapstructure:"process"`

	Service     string `mapstructure:"service"`
	Instance    string `mapstructure:"instance"`
	Namespace   string `mapstructure:"namespace"`
	Environment string `mapstructure:"environment"`
	Zone        string `mapstructure:"zone"`
	Version     string `mapstructure:"version"`

	// CollectionInterval is the time between probes, 100ms to 24h; default 2s.
	CollectionInterval time.Duration `mapstructure:"collection_interval"`
	// Timeout is the time that one probe may take, 1ms to 1m; default 2s.
	Timeout time.Duration `mapstructure:"timeout"`

	// Method of an HTTP request; default GET.
	Method string `mapstructure:"method"`
	// Headers of an HTTP request, or metadata of a gRPC call.
	Headers configopaque.MapList `mapstructure:"headers"`
	// FollowRedirects follows up to five redirects; without it one is an answer.
	FollowRedirects bool `mapstructure:"follow_redirects"`
	// TLS of https:// and grpcs://.
	TLS configtls.ClientConfig `mapstructure:"tls"`

	Expect ExpectConfig `mapstructure:"expect"`
}

// ExpectConfig is what a right answer looks like. Nothing is expected of an
// answer but success where a field is empty.
type ExpectConfig struct {
	// Status lists the HTTP statuses that are right; default: 200 to 299.
	Status []int `mapstructure:"status"`
	// BodyContains is text in the HTTP body, or in what a TCP server says first.
	BodyContains string `mapstructure:"body_contains"`
	// BodyRegex is a regular expression (RE2) that the same must match.
	BodyRegex string `mapstructure:"body_regex"`
	// Digest is the SHA-256 of the HTTP body in hex: a known answer.
	Digest string `mapstructure:"digest"`
	// Addresses are those that a name may resolve to: an answer with another is wrong.
	Addresses []string `mapstructure:"addresses"`
}

// ProcessConfig says how a process is found; exactly one field is set.
type ProcessConfig struct {
	// PIDFile holds the process id in its first line; it is read at each probe.
	PIDFile string `mapstructure:"pid_file"`
	// Executable is the name of the program's file, or its absolute path.
	Executable string `mapstructure:"executable"`
	// Cgroup is a folder relative to the root of the cgroup file system.
	Cgroup string `mapstructure:"cgroup"`
	// SystemdUnit is a unit's name, such as nginx.service.
	SystemdUnit string `mapstructure:"systemd_unit"`
}

const (
	defaultInterval = 2 * time.Second
	defaultTimeout  = 2 * time.Second
	minInterval     = 100 * time.Millisecond
	maxInterval     = 24 * time.Hour
	minTimeout      = time.Millisecond
	maxTimeout      = time.Minute
	maxEndpoint     = 2048
)

// Unmarshal fills in the defaults, which an element of a list gets from nowhere else.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	c.CollectionInterval, c.Timeout = defaultInterval, defaultTimeout
	c.TLS = configtls.NewDefaultClientConfig()
	return conf.Unmarshal(c)
}

// Target names what is probed, for heartbeat.target; a process target starts
// with "process:".
func (c *Config) Target() string {
	if c.Process == (ProcessConfig{}) {
		if c.Name != "" {
			return c.Name
		}
		return c.Endpoint
	}
	if c.Name != "" {
		return "process:" + c.Name
	}
	p := &c.Process
	return "process:" + p.PIDFile + p.Executable + p.Cgroup + p.SystemdUnit
}

// Validate reports all that is wrong, each with its key. TLS is checked by the
// Collector itself.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }

	isProcess := c.Process != (ProcessConfig{})
	var ep endpoint
	switch {
	case isProcess == (c.Endpoint != ""):
		bad("endpoint, process: write one of the two, such as endpoint: http://localhost:8080/health or process: {pid_file: /run/app.pid}")
	case isProcess:
		errs = append(errs, c.Process.validate()...)
	default:
		var err error
		if ep, err = parseEndpoint(c.Endpoint); err != nil {
			bad("endpoint: %w", err)
		}
	}
	for _, f := range []struct{ name, value string }{
		{"name", c.Name}, {"service", c.Service}, {"instance", c.Instance}, {"namespace", c.Namespace},
		{"environment", c.Environment}, {"zone", c.Zone}, {"version", c.Version},
	} {
		if err := CheckName(f.value); err != nil {
			bad("%s: %w", f.name, err)
		}
	}
	if c.CollectionInterval < minInterval || c.CollectionInterval > maxInterval {
		bad("collection_interval: %v is not between %v and %v: write 2s", c.CollectionInterval, minInterval, maxInterval)
	}
	if c.Timeout < minTimeout || c.Timeout > maxTimeout {
		bad("timeout: %v is not between %v and %v: write 2s", c.Timeout, minTimeout, maxTimeout)
	}
	if isProcess || ep.kind != "" {
		errs = append(errs, c.checkFit(ep.kind)...)
	}
	return errors.Join(append(errs, c.Expect.validate()...)...)
}

// checkFit finds settings that would silently have no effect. An empty kind is
// a process.
func (c *Config) checkFit(kind string) []error {
	var errs []error
	only := func(set bool, key, kinds string) {
		if set && !strings.Contains(" "+kinds+" ", " "+kind+" ") {
			errs = append(errs, fmt.Errorf("%s: has a meaning only for %s: remove it", key, strings.ReplaceAll(kinds, " ", ", ")))
		}
	}
	only(c.Method != "", "method", "http")
	only(len(c.Headers) > 0, "headers", "http grpc")
	only(c.FollowRedirects, "follow_redirects", "http")
	only(len(c.Expect.Status) > 0, "expect::status", "http")
	only(c.Expect.BodyContains != "", "expect::body_contains", "http tcp")
	only(c.Expect.BodyRegex != "", "expect::body_regex", "http tcp")
	only(c.Expect.Digest != "", "expect::digest", "http")
	only(len(c.Expect.Addresses) > 0, "expect::addresses", "dns")
	if c.Method != "" && kind == "http" {
		if _, err := http.NewRequestWithContext(context.Background(), c.Method, "http://localhost", nil); err != nil {
			errs = append(errs, fmt.Errorf("method: %q is none: write GET, HEAD or POST", c.Method))
		}
	}
	for name, value := range c.Headers.Iter {
		if kind == "http" && (!isToken(name) || strings.ContainsAny(string(value), "\r\n\x00")) {
			errs = append(errs, fmt.Errorf("headers: %q is no valid header: write a name of letters, digits and hyphens, and a value of one line", name))
		}
		if kind == "grpc" && (!isToken(name) || strings.HasPrefix(strings.ToLower(name), "grpc-") || strings.ContainsFunc(string(value), notPrintable)) {
			errs = append(errs, fmt.Errorf("headers: %q is no valid metadata: write a key of letters, digits and hyphens that does not begin with grpc-, and a value of printable ASCII", name))
		}
	}
	return errs
}

func notPrintable(r rune) bool { return r < 0x20 || r > 0x7e }

// isToken says whether s can be a header's name (RFC 9110, without the rarer signs).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return s != ""
}

func (c *ExpectConfig) validate() []error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	for _, s := range c.Status {
		if s < 200 || s > 599 {
			bad("expect::status: %d is no final HTTP status: write numbers from 200 to 599", s)
		}
	}
	if _, err := regexp.Compile(c.BodyRegex); err != nil {
		bad("expect::body_regex: %w", err)
	}
	if c.Digest != "" && !isDigest(c.Digest) {
		bad("expect::digest: %q is no SHA-256: write 64 hex digits, as sha256sum prints them", c.Digest)
	}
	for _, a := range c.Addresses {
		if _, err := netip.ParseAddr(a); err != nil {
			bad("expect::addresses: %q is no IP address", a)
		}
	}
	return errs
}

func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

func (c *ProcessConfig) validate() []error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	set := 0
	for _, v := range []string{c.PIDFile, c.Executable, c.Cgroup, c.SystemdUnit} {
		if v != "" {
			set++
		}
		if len(v) > maxEndpoint || strings.ContainsRune(v, 0) {
			bad("process: a value is longer than %d bytes or holds a NUL", maxEndpoint)
		}
	}
	if set > 1 {
		bad("process: write only one of pid_file, executable, cgroup and systemd_unit")
	}
	if c.PIDFile != "" && !path.IsAbs(c.PIDFile) {
		bad("process::pid_file: %q is not absolute: write one such as /run/app.pid", c.PIDFile)
	}
	if strings.Contains(c.Executable, "/") && !path.IsAbs(c.Executable) {
		bad("process::executable: %q is neither a name nor absolute: write nginx or /usr/sbin/nginx", c.Executable)
	}
	if c.Cgroup != "" && (hasDotDot(c.Cgroup) || path.Clean("/"+c.Cgroup) == "/") {
		bad("process::cgroup: %q is no folder below the root: write one such as system.slice/app.service", c.Cgroup)
	}
	if u := c.SystemdUnit; strings.Contains(u, "/") || u == "." || u == ".." {
		bad("process::systemd_unit: %q is no unit: write one such as nginx.service", u)
	}
	return errs
}

// hasDotDot says whether a path has a part that leads up.
func hasDotDot(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}

// checkHostPort wants both halves and a port that can be dialled.
func checkHostPort(hostport string) error {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil || host == "" {
		return fmt.Errorf("%q is no host:port: write one such as localhost:5432", hostport)
	}
	if n, err := net.DefaultResolver.LookupPort(context.Background(), "tcp", port); err != nil || n == 0 {
		return fmt.Errorf("%q is no port: write a number from 1 to 65535", port)
	}
	return nil
}
