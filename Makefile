# The doors of the house. `make help` lists them.
SHELL := /bin/bash -euo pipefail
GO ?= go
TOOLS := $(CURDIR)/.cache/tools
BACKENDS := $(CURDIR)/.cache/backends
GOSOURCES = $(shell git ls-files '*.go')
ELASTICSEARCH := 9.2.0
# Modules without an entry in the public checksum database; go.sum pins them.
NOSUM := GONOSUMDB=*

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: bin/otelcol-faultline bin/faultline ## build the Collector and the command into bin/ (the first time takes minutes)

.PHONY: FORCE
FORCE:

bin/otelcol-faultline: FORCE
	@[ -f $@ ] || echo "building the Collector; with cold caches this takes 5 to 10 minutes on two cores" >&2
	$(GO) build -C distribution -trimpath -ldflags '-s -w' -o ../$@ .

bin/faultline: FORCE
	$(GO) build -trimpath -ldflags '-s -w' -o $@ ./cmd/faultline

.PHONY: demo
demo: build ## start a small payment platform, break it, and see what Faultline says in Jaeger
	./bin/faultline demo $(DEMO)

.PHONY: test
test: build ## run all tests; those that need a backend that is not here say so and skip
	$(GO) test ./...

.PHONY: test-race
test-race: build $(TOOLS)/gotestsum ## the same with the race detector, every backend required
	$(GO) test -race -run '^$$' ./... >/dev/null # compile side by side, then run one by one: fleets and backends share the machine
	CI=true $(TOOLS)/gotestsum --format pkgname -- -race -p 1 -timeout 20m ./...

.PHONY: quiet
quiet: ## 500 virtual hours of a healthy fleet: nobody may be accused
	FAULTLINE_QUIET_HOURS=500 $(GO) test -run TestHealthyFleetIsLeftInPeace -v ./internal/engine

SIM ?= --seed 1 --episodes 2000
.PHONY: sim
sim: ## the simulated lab: thousands of faults and confounders in virtual time (SIM="--seed 2 --class crash")
	$(GO) run ./lab/sim $(SIM)

.PHONY: calibrate
calibrate: ## fit failure.confidence on the simulated lab, and print the weights for internal/engine/belief/calibration.go
	$(GO) run ./lab/sim --seed 1 --episodes 9000 --calibrate

CALIBRATION ?= --seed 2 --episodes 9000
.PHONY: calibration-check
calibration-check: ## say how sure verdicts are and how many come true, on episodes that no weight was fitted on (half an hour of one processor)
	$(GO) run ./lab/sim $(CALIBRATION) --check-calibration

LAB ?=
LAB_OUT ?= .cache/lab-runs/full
LAB_SHARDS ?= 10
.PHONY: lab
lab: build bin/lab lab-clients ## break a fleet of real processes in 300 ways, hours on end, and score what was said (root; resumable; LAB="--seed 2")
	@for i in $$(seq $(LAB_SHARDS)); do ./bin/lab --out $(LAB_OUT) --shard $$i/$(LAB_SHARDS) $(LAB); done

.PHONY: lab-short
lab-short: build bin/lab lab-clients ## the same with eight kinds, in some six minutes
	rm -rf .cache/lab-runs/short
	./bin/lab --out .cache/lab-runs/short --clean 30s --settle 3s --hold 12s --tail 20s \
	  --only kill,hang_stop,oom_kill,zones_partial,own_500,disk_full,rolling_deploy,agent_paused

FOREIGN ?=
.PHONY: lab-foreign
lab-foreign: build bin/lab ## break a fleet of third-party servers with nothing but stock instrumentation (root; skips what is missing; FOREIGN="--only kill_redis")
	sh lab/foreign/install.sh .cache/foreign
	python3 lab/foreign/run.py $(FOREIGN)

bin/lab: FORCE
	$(GO) build -trimpath -o $@ ./lab

.PHONY: lab-clients
lab-clients: ## fetch what the lab's services in Python and Node need into .cache/lab
	sh lab/clients/install.sh .cache/lab

.PHONY: bench
bench: build ## benchmarks of the hot paths, and of the whole Collector with and without the processor
	$(GO) test -run '^$$' -bench . -benchmem ./internal/... ./processor/... ./receiver/...
	$(GO) test -run '^$$' -bench WholeCollector -benchtime 10x ./e2e

FUZZTIME ?= 20s
.PHONY: fuzz
fuzz: ## fuzz every decoder for FUZZTIME (default 20s) each
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; \
	done

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## golangci-lint
	$(TOOLS)/golangci-lint run ./...

.PHONY: vulncheck
vulncheck: ## known vulnerabilities (needs the open network)
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./...
	cd distribution && $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./... # all that is in the binary, others' components included

.PHONY: generate
generate: $(TOOLS)/builder $(TOOLS)/mdatagen ## remake the generated sources
	$(NOSUM) $(TOOLS)/builder --config builder-config.yaml --skip-compilation >/dev/null 2>&1 || \
	  $(NOSUM) $(TOOLS)/builder --config builder-config.yaml --skip-compilation
	@for m in $$(git ls-files '*/metadata.yaml'); do (cd $$(dirname $$m) && $(TOOLS)/mdatagen metadata.yaml); done
	gofmt -w $$(git ls-files '*generated_*.go')

.PHONY: check-generate
check-generate: generate ## fail if the generated sources differ from the committed ones
	@git diff --exit-code --stat -- distribution '*generated_*' '*documentation.md' || \
	  { echo "generated sources drifted: run 'make generate' and commit" >&2; exit 1; }

.PHONY: tidy
tidy: ## tidy all modules
	$(NOSUM) $(GO) mod tidy
	cd tools && $(NOSUM) $(GO) mod tidy
	cd tools/lint && $(NOSUM) $(GO) mod tidy
	cd tools/jaeger && $(NOSUM) $(GO) mod tidy

.PHONY: backends
backends: $(BACKENDS)/jaeger $(BACKENDS)/elasticsearch/bin/elasticsearch ## fetch real Jaeger and Elasticsearch for the end-to-end tests (Prometheus: your package manager)

$(BACKENDS)/jaeger: tools/jaeger/go.mod
	@echo "building Jaeger; with cold caches this takes some minutes" >&2
	@mkdir -p $(@D)
	cd tools/jaeger && $(GO) build -ldflags '-s -w' -o $@ github.com/jaegertracing/jaeger/cmd/jaeger

$(BACKENDS)/elasticsearch/bin/elasticsearch:
	@mkdir -p $(BACKENDS)
	cd $(BACKENDS) && mvn -q -B dependency:copy -DoutputDirectory=. -Dmdep.overWriteReleases=true \
	  -Dartifact=org.elasticsearch.distribution.integ-test-zip:elasticsearch:$(ELASTICSEARCH):zip
	cd $(BACKENDS) && rm -rf elasticsearch && unzip -q elasticsearch-$(ELASTICSEARCH).zip && \
	  mv elasticsearch-$(ELASTICSEARCH) elasticsearch && rm elasticsearch-$(ELASTICSEARCH).zip
	@touch $@

$(TOOLS)/golangci-lint: tools/lint/go.mod
	@mkdir -p $(@D)
	cd tools/lint && $(GO) build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(TOOLS)/gotestsum: tools/go.mod
	@mkdir -p $(@D)
	cd tools && $(GO) build -o $@ gotest.tools/gotestsum

$(TOOLS)/builder $(TOOLS)/mdatagen: tools/go.mod
	@mkdir -p $(@D)
	cd tools && $(GO) build -o $@ go.opentelemetry.io/collector/cmd/$(@F)
