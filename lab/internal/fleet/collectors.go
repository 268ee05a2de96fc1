// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
	"github.com/faultline-otel/faultline/lab/internal/service"
)

// What every service of the fleet has in its identity.
const (
	Namespace   = service.Namespace
	Environment = service.Environment
)

var (
	//go:embed config/agent.yaml
	agentConfig string
	//go:embed config/gateway.yaml
	gatewayConfig string
	//go:embed config/heartbeat.yaml
	heartbeatConfig string
)

// keys are the secrets with which services sign their heartbeats: those of
// others could be forged.
var keys = map[string]string{
	"payment": "lab-key-of-payment-0123456789",
	"pricing": "lab-key-of-pricing-0123456789",
}

// target is a probe of an agent.
type target struct {
	Endpoint, Cgroup            string
	Service, Instance, Zone     string
	Version, Digest, Status, CA string
}

// watch writes the configurations of the Collectors: what a user of the
// shipped ones would edit, as a second file.
func (f *Fleet) watch() error {
	common := func(observer string, targets []target) map[string]any {
		return map[string]any{
			"Observer": observer, "Targets": targets, "Keys": keys, "Namespace": Namespace, "Environment": Environment,
		}
	}
	for _, z := range f.zones {
		if z.Agent == nil {
			continue
		}
		data := common(z.Agent.Name, f.targets(z.Name))
		data["Logs"], data["Pattern"] = f.logsOf(z), `^(?P<instance>(?P<service>[a-z]+)-[0-9a-z]+)\.log$`
		if err := f.render(z.Agent.Name, agentConfig, data); err != nil {
			return err
		}
	}
	data := common("gateway", nil)
	if f.opt.Single {
		data["Targets"] = f.targets("")
	}
	data["Traces"], data["Events"] = f.File(ledger.TracesFile), f.File(ledger.EventsFile)
	data["Logs"], data["Metrics"] = f.File("logs.jsonl"), f.File("metrics.jsonl")
	if f.opt.Raw {
		data["Raw"] = f.File(ledger.RawFile)
	}
	return f.render("gateway", gatewayConfig, data)
}

func (f *Fleet) render(name, text string, data any) error {
	t, err := template.New(name).Parse(heartbeatConfig + text)
	if err != nil {
		return err
	}
	file, err := os.Create(f.override(name))
	if err != nil {
		return err
	}
	defer file.Close()
	return t.Execute(file, data)
}

func (f *Fleet) override(name string) string { return filepath.Join(f.Dir, "config", name+".yaml") }

// targets are the processes of the zone, and the services of the others, seen
// from its agent's node. Of no zone: both of all services.
func (f *Fleet) targets(zone string) []target {
	var targets []target
	for _, in := range f.Instances() {
		if in.Kind == Collector || in.Kind == Load {
			continue
		}
		t := target{Service: in.Service, Instance: in.Name, Zone: in.Zone()}
		if zone == "" || in.Zone() == zone {
			own := t
			own.Cgroup = f.groups.relative(in.Name)
			targets = append(targets, own)
		}
		if in.Zone() != zone {
			f.look(in, &t)
			targets = append(targets, t)
		}
	}
	return targets
}

// look says how an instance is probed from afar.
func (f *Fleet) look(in *Instance, t *target) {
	switch {
	case in.Service == "dns":
		t.Endpoint = "dns://" + in.Addr.String() + "/" + names["inventory"] + "?type=A"
	case in.Service == "pricing":
		t.Endpoint = "grpc://" + in.Addr.String() + "/" + service.PricingName
	case in.Service == "bank":
		t.Endpoint = "https://" + in.Addr.String() + "/healthz"
		t.CA = filepath.Join(f.Dir, "tls", "ca.pem")
	case in.Kind == Service:
		t.Endpoint = "http://" + in.Addr.String() + "/known"
		sum := sha256.Sum256([]byte(service.KnownAnswer(in.Service)))
		t.Digest = hex.EncodeToString(sum[:])
	case in.Kind == Stock:
		t.Endpoint = "http://" + in.Addr.String() + "/healthz"
	default:
		t.Endpoint = "tcp://" + in.Addr.String()
	}
}

// logsOf are the files with what the zone's processes wrote to standard error.
func (f *Fleet) logsOf(z *Zone) []string {
	var files []string
	for _, in := range f.Instances() {
		if in.Zone() == z.Name && in.Kind != Collector {
			files = append(files, in.LogFile())
		}
	}
	return files
}

// collectorReady asks the Collector's health check, from within its namespace.
func (in *Instance) collectorReady(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+in.Node.Addr.String()+":13133/", nil)
	if err != nil {
		return err
	}
	resp, err := in.Node.Client().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("health check: %s", resp.Status)
	}
	return nil
}

// argv is the command line of an instance.
func (f *Fleet) argv(in *Instance) []string {
	switch {
	case in.Kind == Collector:
		shipped := "agent.yaml"
		switch {
		case in.Name == "gateway" && f.opt.Single:
			shipped = "sidecar.yaml"
		case in.Name == "gateway":
			shipped = "gateway.yaml"
		}
		// The shipped configuration as it is, then what its user edits.
		return []string{
			f.opt.Collector,
			"--config", filepath.Join(f.opt.root, "distribution", "config", shipped),
			"--config", f.override(in.Name),
		}
	case in.Service == "cart":
		return []string{"node", "--require", "@opentelemetry/auto-instrumentations-node/register", filepath.Join(f.opt.root, "lab", "clients", "cart.js")}
	case in.Service == "search":
		bin := filepath.Join(f.opt.Clients, "py", "bin")
		return []string{filepath.Join(bin, "opentelemetry-instrument"), filepath.Join(bin, "python"), filepath.Join(f.opt.root, "lab", "clients", "search.py")}
	}
	return []string{f.opt.Program}
}

// environment is what an instance is told beside its command line.
func (in *Instance) environment() map[string]string {
	f, addr := in.fleet, in.Node.Addr.String()
	env := map[string]string{}
	switch in.Kind {
	case Collector:
		env["FAULTLINE_HEALTH"] = addr + ":13133"
		env["FAULTLINE_OTLP_GRPC"] = addr + ":4317"
		env["FAULTLINE_OTLP_HTTP"] = addr + ":4318"
		env["FAULTLINE_HEARTBEAT"] = addr + ":8321"
		env["FAULTLINE_PROMETHEUS_LISTEN"] = addr + ":9464"
		env["FAULTLINE_SELF_METRICS"] = "none"
		env["FAULTLINE_STATE"] = filepath.Join(f.Dir, "state", in.Name)
		env["FAULTLINE_GATEWAY"] = "http://" + f.Node(nodeHub).Addr.String() + ":4318"
		// A share of the machine: the shipped limit is one of all its memory.
		env["GOMEMLIMIT"] = "512MiB"
	default:
		c := service.Config{
			Service: in.Service, Instance: cmp.Or(in.id, in.Name), Key: keys[in.Service], Version: in.Version, Node: in.Node.Name, Zone: in.Zone(),
			Listen: in.Addr.String(), Socket: in.socket(), Data: in.DataDir(), Folder: f.Dir,
			Seed: f.opt.Seed, Rate: f.opt.Rate, Daily: f.opt.Daily,
		}
		if z := f.agentOf(in); z != nil && in.Kind != Bare && in.Kind != Load {
			c.Agent = z.Node.Addr.String()
		}
		env[service.ConfigEnv] = c.String()
		if in.Kind == Stock {
			stock(env, in, c, f.opt.Clients)
		}
	}
	return env
}

// stock is how the other languages' SDKs are set up: as their manuals say.
func stock(env map[string]string, in *Instance, c service.Config, clients string) {
	env["OTEL_SERVICE_NAME"] = in.Service
	env["OTEL_RESOURCE_ATTRIBUTES"] = strings.Join([]string{
		"service.namespace=" + Namespace, "service.instance.id=" + c.Instance, "service.version=" + in.Version,
		"deployment.environment.name=" + Environment, "host.name=" + in.Node.Name,
	}, ",")
	env["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://" + c.Agent + ":4318"
	env["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
	env["OTEL_TRACES_EXPORTER"], env["OTEL_METRICS_EXPORTER"], env["OTEL_LOGS_EXPORTER"] = "otlp", "otlp", "otlp"
	env["OTEL_METRIC_EXPORT_INTERVAL"] = "10000"
	env["OTEL_BSP_SCHEDULE_DELAY"] = "500"
	env["OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED"] = "true"
	env["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"
	env["OTEL_NODE_RESOURCE_DETECTORS"] = "env,host,process"
	env["NODE_PATH"] = filepath.Join(clients, "node", "node_modules")
}

// agentOf is the agent of the instance's zone, or the one Collector.
func (f *Fleet) agentOf(in *Instance) *Instance {
	if f.opt.Single {
		return f.Gateway()
	}
	for _, z := range f.zones {
		if z.Name == in.Zone() {
			return z.Agent
		}
	}
	return nil
}
