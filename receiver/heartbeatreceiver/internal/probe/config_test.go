// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
)

func TestConfigIsReadFromAList(t *testing.T) {
	var got struct {
		Targets []Config `mapstructure:"targets"`
	}
	conf := confmap.NewFromStringMap(map[string]any{"targets": []any{
		map[string]any{
			"endpoint": "https://localhost:8443/health", "service": "checkout", "collection_interval": "5s",
			"headers": map[string]any{"Authorization": "secret"},
			"tls":     map[string]any{"server_name_override": "checkout.example"},
			"expect":  map[string]any{"status": []any{200, 204}},
		},
		map[string]any{"process": map[string]any{"executable": "nginx"}, "timeout": "500ms"},
	}})
	require.NoError(t, conf.Unmarshal(&got))
	require.Len(t, got.Targets, 2)
	require.NoError(t, xconfmap.Validate(&got))

	first, second := got.Targets[0], got.Targets[1]
	assert.Equal(t, 5*time.Second, first.CollectionInterval)
	assert.Equal(t, 2*time.Second, first.Timeout, "the default")
	assert.Equal(t, []int{200, 204}, first.Expect.Status)
	assert.Equal(t, "checkout.example", first.TLS.ServerName)
	assert.Equal(t, configopaque.MapList{{Name: "Authorization", Value: "secret"}}, first.Headers)
	assert.Equal(t, 2*time.Second, second.CollectionInterval, "the default")
	assert.Equal(t, 500*time.Millisecond, second.Timeout)
	assert.Equal(t, "nginx", second.Process.Executable)

	conf = confmap.NewFromStringMap(map[string]any{"targets": []any{map[string]any{"endpiont": "tcp://localhost:1"}}})
	assert.ErrorContains(t, conf.Unmarshal(&got), "endpiont", "a key that does not exist")
}

func TestTargetName(t *testing.T) {
	for want, cfg := range map[string]Config{
		"tcp://localhost:1":         {Endpoint: "tcp://localhost:1"},
		"ledger port":               {Endpoint: "tcp://localhost:1", Name: "ledger port"},
		"process:nginx":             {Process: ProcessConfig{Executable: "nginx"}},
		"process:/run/app.pid":      {Process: ProcessConfig{PIDFile: "/run/app.pid"}},
		"process:system.slice/x":    {Process: ProcessConfig{Cgroup: "system.slice/x"}},
		"process:nginx.service":     {Process: ProcessConfig{SystemdUnit: "nginx.service"}},
		"process:web server":        {Name: "web server", Process: ProcessConfig{SystemdUnit: "nginx.service"}},
		"dns://127.0.0.1/a?type=MX": {Endpoint: "dns://127.0.0.1/a?type=MX"},
	} {
		assert.Equal(t, want, cfg.Target())
	}
}

func TestValidateAccepts(t *testing.T) {
	for _, endpoint := range []string{
		"http://localhost", "https://[::1]:8443/health?full=1", "HTTP://localhost/", "tcp://db:5432", "tcp://db:5432/",
		"grpc://ledger:50051", "grpcs://ledger:50051/ledger.v1.Ledger", "dns://192.0.2.1/app.example?type=AAAA", "dns://[::1]:5353/app.", "dns:///localhost",
	} {
		cfg := Config{Endpoint: endpoint, CollectionInterval: time.Second, Timeout: time.Second}
		assert.NoError(t, cfg.Validate(), endpoint)
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	const ok = "http://localhost:8080/health"
	for _, tt := range []struct {
		name string
		cfg  Config
		says []string
	}{
		{"neither_endpoint_nor_process", Config{}, []string{"endpoint, process: write one of the two"}},
		{"both_endpoint_and_process", Config{Endpoint: ok, Process: ProcessConfig{Executable: "x"}}, []string{"endpoint, process: write one"}},
		{"unknown_scheme", Config{Endpoint: "ftp://localhost"}, []string{"endpoint:", "unknown scheme", "tcp://"}},
		{"no_scheme", Config{Endpoint: "localhost:80"}, []string{"endpoint:", "http://"}},
		{"no_url", Config{Endpoint: "http://%zz"}, []string{"endpoint: is no URL"}},
		{"no_host", Config{Endpoint: "http:///health"}, []string{"endpoint:", "host:port"}},
		{"no_port", Config{Endpoint: "tcp://localhost"}, []string{"endpoint:", "host:port"}},
		{"port_out_of_range", Config{Endpoint: "grpc://localhost:70000"}, []string{"endpoint:", "1 to 65535"}},
		{"port_zero", Config{Endpoint: "tcp://localhost:0"}, []string{"endpoint:", "1 to 65535"}},
		{"path_after_tcp", Config{Endpoint: "tcp://localhost:1/x"}, []string{"remove what follows"}},
		{"query_after_grpc", Config{Endpoint: "grpc://localhost:1/x?y=1"}, []string{"remove the query"}},
		{"fragment", Config{Endpoint: ok + "#top"}, []string{"fragment"}},
		{"dns_without_a_name", Config{Endpoint: "dns://192.0.2.1"}, []string{"names nothing"}},
		{"dns_with_an_endless_name", Config{Endpoint: "dns:///" + strings.Repeat("a.", 200)}, []string{"no domain name"}},
		{"dns_with_an_endless_label", Config{Endpoint: "dns:///" + strings.Repeat("a", 64)}, []string{"no domain name"}},
		{"dns_of_unknown_type", Config{Endpoint: "dns:///a?type=WKS"}, []string{"write one type of A"}},
		{"dns_with_another_key", Config{Endpoint: "dns:///a?typ=A"}, []string{"write one type of A"}},
		{"endless_endpoint", Config{Endpoint: ok + strings.Repeat("x", maxEndpoint)}, []string{"endpoint: has"}},
		{"interval_too_short", Config{Endpoint: ok, CollectionInterval: time.Millisecond}, []string{"collection_interval: 1ms is not between", "write 2s"}},
		{"interval_negative", Config{Endpoint: ok, CollectionInterval: -1}, []string{"collection_interval:"}},
		{"timeout_too_long", Config{Endpoint: ok, Timeout: time.Hour}, []string{"timeout: 1h0m0s is not between", "write 2s"}},
		{"timeout_negative", Config{Endpoint: ok, Timeout: -1}, []string{"timeout:"}},
		{"name_too_long", Config{Endpoint: ok, Service: strings.Repeat("x", 257)}, []string{"service: has 257"}},
		{"name_is_no_utf8", Config{Endpoint: ok, Instance: "\xff"}, []string{"instance: is not valid UTF-8"}},
		{"name_with_a_newline", Config{Endpoint: ok, Zone: "a\nb"}, []string{"zone: holds a control character"}},
		{"no_method", Config{Endpoint: ok, Method: "GET /"}, []string{"method:", "write GET"}},
		{"method_of_tcp", Config{Endpoint: "tcp://a:1", Method: "GET"}, []string{"method: has a meaning only for http"}},
		{"headers_of_dns", Config{Endpoint: "dns:///a", Headers: configopaque.MapList{{Name: "A", Value: "b"}}}, []string{"headers: has a meaning only for http, grpc"}},
		{"header_with_a_newline", Config{Endpoint: ok, Headers: configopaque.MapList{{Name: "A", Value: "b\r\nc"}}}, []string{"headers:"}},
		{"header_that_is_grpcs_own", Config{Endpoint: "grpc://a:1", Headers: configopaque.MapList{{Name: "grpc-timeout", Value: "1"}}}, []string{"headers:"}},
		{"metadata_that_is_no_ascii", Config{Endpoint: "grpc://a:1", Headers: configopaque.MapList{{Name: "who", Value: "jörg"}}}, []string{"headers:", "printable ASCII"}},
		{"redirects_of_a_process", Config{Process: ProcessConfig{Executable: "x"}, FollowRedirects: true}, []string{"follow_redirects: has a meaning only for http"}},
		{"status_of_grpc", Config{Endpoint: "grpc://a:1", Expect: ExpectConfig{Status: []int{200}}}, []string{"expect::status: has a meaning only for http"}},
		{"no_status", Config{Endpoint: ok, Expect: ExpectConfig{Status: []int{2000}}}, []string{"expect::status: 2000"}},
		{"no_regex", Config{Endpoint: ok, Expect: ExpectConfig{BodyRegex: "("}}, []string{"expect::body_regex:"}},
		{"no_digest", Config{Endpoint: ok, Expect: ExpectConfig{Digest: "abc"}}, []string{"expect::digest:", "64 hex digits"}},
		{"no_address", Config{Endpoint: "dns:///a", Expect: ExpectConfig{Addresses: []string{"localhost"}}}, []string{"expect::addresses:"}},
		{"two_ways_to_find_a_process", Config{Process: ProcessConfig{Executable: "x", Cgroup: "y"}}, []string{"process: write only one"}},
		{"relative_pid_file", Config{Process: ProcessConfig{PIDFile: "app.pid"}}, []string{"process::pid_file:", "/run/app.pid"}},
		{"relative_executable", Config{Process: ProcessConfig{Executable: "./nginx"}}, []string{"process::executable:"}},
		{"cgroup_that_leads_up", Config{Process: ProcessConfig{Cgroup: "a/../../b"}}, []string{"process::cgroup:"}},
		{"cgroup_that_is_the_root", Config{Process: ProcessConfig{Cgroup: "/"}}, []string{"process::cgroup:"}},
		{"unit_with_a_slash", Config{Process: ProcessConfig{SystemdUnit: "a/b"}}, []string{"process::systemd_unit:"}},
		{"path_with_a_nul", Config{Process: ProcessConfig{PIDFile: "/run/\x00"}}, []string{"process:", "NUL"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.cfg.CollectionInterval == 0 {
				tt.cfg.CollectionInterval = time.Second
			}
			if tt.cfg.Timeout == 0 {
				tt.cfg.Timeout = time.Second
			}
			err := tt.cfg.Validate()
			for _, s := range tt.says {
				assert.ErrorContains(t, err, s)
			}
		})
	}
}

func TestErrorsRepeatNoSecret(t *testing.T) {
	cfg := Config{Endpoint: "http://user:hunter2@localhost:8080/", CollectionInterval: time.Second, Timeout: time.Second}
	err := cfg.Validate()
	require.ErrorContains(t, err, "Authorization")
	assert.NotContains(t, err.Error(), "hunter2")

	r := probeOnce(t, Config{Endpoint: "http://" + closedPort(t) + "/?token=hunter2"})
	assert.NotContains(t, r.Message, "hunter2")
}

func FuzzEndpoint(f *testing.F) {
	for _, s := range []string{"http://a:1/b?c", "tcp://[::1]:5432", "grpc://a:1/b.C", "dns://1.2.3.4/a.b?type=MX", "dns:///", "://", "http://\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cfg := Config{Endpoint: s, CollectionInterval: time.Second, Timeout: time.Second}
		if cfg.Validate() != nil {
			return
		}
		ep, err := parseEndpoint(s)
		if err != nil {
			t.Fatalf("valid, and then not parsed: %v", err)
		}
		if ep.kind == "dns" {
			newDNS(ep, nil)
		}
	})
}

func FuzzExpectation(f *testing.F) {
	f.Add("answer", `^a`, "", []byte("answer"), 200, false)
	f.Add("", "", strings.Repeat("0", 64), []byte{0xff}, 503, true)
	f.Fuzz(func(t *testing.T, contains, regex, digest string, body []byte, status int, truncated bool) {
		cfg := ExpectConfig{BodyContains: contains, BodyRegex: regex, Digest: digest}
		if len(cfg.validate()) > 0 {
			return
		}
		e, err := newExpectation(cfg)
		if err != nil {
			t.Fatalf("valid, and then refused: %v", err)
		}
		r := e.checkBody(body, truncated)
		if r.Outcome == "" || (r.Outcome == "ok") != (r.Message == "") {
			t.Fatalf("%+v", r)
		}
		if outcome, _ := e.checkStatus(status); outcome == "" {
			t.Fatal("no outcome of a status")
		}
		if s := oneLine(r.Message); len(s) > maxMessage || strings.ContainsAny(s, "\r\n") {
			t.Fatalf("%q is no short line", s)
		}
	})
}
