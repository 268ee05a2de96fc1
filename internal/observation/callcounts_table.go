// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import "go.opentelemetry.io/collector/pdata/ptrace"

// callMetric is a metric that counts calls or times them.
type callMetric struct {
	kind  ptrace.SpanKind // server, client, or consumer: counts of others are not read
	scale float64         // of durations, in seconds
	keys  *callKeys
}

// callKeys are the attributes in which what is not OpenTelemetry writes how a
// call ended and whom it called. The conventions' own are read anyhow.
type callKeys struct {
	status, grpc, flags, peer, port []string
	system                          []string // of a database
	failure                         []string // what went wrong where no status tells; "none" is nothing
	only                            []cond
	answers                         bool // a status is told of each answer: without one none came
}

const (
	seconds      = 1.0
	milliseconds = 1e-3
)

var (
	micrometer   = &callKeys{status: []string{"status", "code", "http_response_status_code", "http_status_code"}, peer: []string{"client_name", "client.name", "server_address", "target_host"}, failure: []string{"exception", "error"}}
	goKit        = &callKeys{status: []string{"code", "status", "status_code", "response_code", "http_response_status_code", "http_status_code"}, peer: []string{"server_address"}}
	grpcProm     = &callKeys{grpc: []string{"grpc_code"}, peer: []string{"grpc_service"}}
	conventional = &callKeys{}
	underscored  = &callKeys{status: []string{"http_response_status_code", "http_status_code"}, grpc: []string{"rpc_grpc_status_code", "rpc_response_status_code"}, peer: []string{"server_address", "net_peer_name"}, port: []string{"server_port", "net_peer_port"}, system: []string{"db_system_name", "db_system"}, failure: []string{"error_type"}}
	answered     = &callKeys{answers: true}
	envoyCluster = &callKeys{status: []string{"envoy_response_code", "envoy.response_code"}, peer: []string{"envoy_cluster_name", "envoy.cluster_name"}}
	istioIn      = &callKeys{status: []string{"response_code"}, grpc: []string{"grpc_response_status"}, flags: []string{"response_flags"}}
	istioOut     = &callKeys{status: []string{"response_code"}, grpc: []string{"grpc_response_status"}, flags: []string{"response_flags"}, peer: []string{"destination_canonical_service", "destination_service_name"}}
)

// callMetrics are the metrics that count calls, by name.
var callMetrics = map[string]callMetric{
	// HTTP, RPC and databases, as the conventions name them now and named them before.
	"http.server.request.duration": {ptrace.SpanKindServer, seconds, conventional},
	"http.server.duration":         {ptrace.SpanKindServer, milliseconds, conventional},
	"http.client.request.duration": {ptrace.SpanKindClient, seconds, answered},
	"http.client.duration":         {ptrace.SpanKindClient, milliseconds, answered},
	"rpc.server.call.duration":     {ptrace.SpanKindServer, seconds, conventional},
	"rpc.server.duration":          {ptrace.SpanKindServer, milliseconds, conventional},
	"rpc.client.call.duration":     {ptrace.SpanKindClient, seconds, conventional},
	"rpc.client.duration":          {ptrace.SpanKindClient, milliseconds, conventional},
	"db.client.operation.duration": {ptrace.SpanKindClient, seconds, conventional},
	"grpc.server.call.duration":    {ptrace.SpanKindServer, seconds, &callKeys{grpc: []string{"grpc.status"}}},
	"grpc.client.call.duration":    {ptrace.SpanKindClient, seconds, &callKeys{grpc: []string{"grpc.status"}, peer: []string{"grpc.target"}}},
	// The same, scraped.
	"http_server_request_duration_seconds": {ptrace.SpanKindServer, seconds, underscored},
	"http_server_duration_milliseconds":    {ptrace.SpanKindServer, milliseconds, underscored},
	"http_client_request_duration_seconds": {ptrace.SpanKindClient, seconds, underscored.answering()},
	"http_client_duration_milliseconds":    {ptrace.SpanKindClient, milliseconds, underscored.answering()},
	"rpc_server_call_duration_seconds":     {ptrace.SpanKindServer, seconds, underscored},
	"rpc_client_call_duration_seconds":     {ptrace.SpanKindClient, seconds, underscored},
	"db_client_operation_duration_seconds": {ptrace.SpanKindClient, seconds, underscored},
	"grpc_server_call_duration_seconds":    {ptrace.SpanKindServer, seconds, &callKeys{grpc: []string{"grpc_status"}}},
	"grpc_client_call_duration_seconds":    {ptrace.SpanKindClient, seconds, &callKeys{grpc: []string{"grpc_status"}, peer: []string{"grpc_target"}}},
	"rpc_server_duration_milliseconds":     {ptrace.SpanKindServer, milliseconds, underscored},
	"rpc_client_duration_milliseconds":     {ptrace.SpanKindClient, milliseconds, underscored},
	// Micrometer, Prometheus' clients, gRPC's middleware.
	"http.server.requests":          {ptrace.SpanKindServer, milliseconds, micrometer},
	"http.client.requests":          {ptrace.SpanKindClient, milliseconds, micrometer},
	"http_server_requests_seconds":  {ptrace.SpanKindServer, seconds, micrometer},
	"http_client_requests_seconds":  {ptrace.SpanKindClient, seconds, micrometer},
	"http_requests_total":           {ptrace.SpanKindServer, 0, goKit},
	"http_request_duration_seconds": {ptrace.SpanKindServer, seconds, goKit},
	"http_requests_received_total":  {ptrace.SpanKindServer, 0, goKit},
	"grpc_server_handled_total":     {ptrace.SpanKindServer, 0, grpcProm},
	"grpc_client_handled_total":     {ptrace.SpanKindClient, 0, grpcProm},
	// Proxies.
	"envoy_cluster_upstream_rq": {ptrace.SpanKindClient, 0, envoyCluster},
	"istio_requests_total":      {ptrace.SpanKindServer, 0, istioIn.at("destination")},
}

func (k *callKeys) answering() *callKeys {
	c := *k
	c.answers = true
	return &c
}

func (k *callKeys) at(reporter string) *callKeys {
	c := *k
	c.only = []cond{{"reporter", reporter, false}}
	return &c
}

// istioRequests are told twice, by the proxies at both ends.
var istioRequests = callMetric{ptrace.SpanKindClient, 0, istioOut.at("source")}
