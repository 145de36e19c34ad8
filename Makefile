# make run     build, and start a node with its data in ./weir-data
# make cluster build, and start three nodes with their data in ./weir-cluster
# make test    the whole default suite: format, vet, staticcheck, all tests
# make shop    the running example: an e-commerce shop
# make help    all targets
SHELL := /bin/bash
GO ?= go
NODES ?= 3
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: help build run cluster test lint race fuzz sim bugs shop shop-connect clients differential opensearch chaos bench bench-kafka bench-connect generate clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: ## build the static binary bin/weir
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w" -o bin/weir ./cmd/weir

run: build ## build and start a node with its data in ./weir-data
	bin/weir serve

cluster: build ## build and start a cluster of NODES (3) nodes with their data in ./weir-cluster
	bin/weir cluster start-local --nodes $(NODES)

lint: ## format, vet, staticcheck
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt these: $$out"; exit 1; fi
	$(GO) vet ./...
	cd tools && $(GO) build -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	bin/staticcheck ./...
	bin/staticcheck -tags bugs ./sim ./internal/bugs

test: build lint ## the whole default suite
	$(GO) test $$($(GO) list ./... | grep -v '/test$$')
	$(GO) test -count=1 ./test
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || echo "left out: what needs a PostgreSQL server (apt-get install postgresql)"
	@[ -x /usr/sbin/mariadbd ] || echo "left out: what needs a MariaDB server (apt-get install mariadb-server)"
	@command -v python3 >/dev/null || echo "left out: what needs Python (apt-get install python3)"
	@[ -x "$$($(GO) env GOPATH)/bin/versitygw" ] || command -v versitygw >/dev/null || echo "left out: what needs an S3 server (go install github.com/versity/versitygw/cmd/versitygw@v1.8.0)"
	@echo "separate: make race fuzz sim bugs shop clients differential opensearch shop-connect chaos (.ci/run does all of them)"

race: ## all tests under the race detector, one package after the other, since it slows them much; test/connect moves too much data for it
	$(GO) test -race -p 1 $$($(GO) list ./... | grep -Ev '/test(/connect)?$$')
	$(GO) test -race -count=1 ./test

fuzz: ## each fuzz target with 30,000 inputs
	@set -e; for t in $$(grep -rlE '^func Fuzz' --include='*_test.go' .); do \
		for f in $$(grep -oE '^func Fuzz[A-Za-z0-9]+' $$t | cut -c6-); do \
			$(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 30000x -fuzzminimizetime 1x ./$$(dirname $$t); done; done

sim: ## simulated clusters, 10,000 seeds; SEEDS= says how many
	SIM_SEEDS=$(or $(SEEDS),10000) $(GO) test -count=1 -timeout 0 -v ./sim -run Seeds

bugs: ## the simulator has to find each of the planted bugs
	$(GO) test -count=1 -timeout 0 -tags bugs -v ./sim -run Bugs

shop: build ## run the shop example on a fresh node, or with NODES=3 on a cluster of which one node is killed
	NODES=$(if $(filter command line environment,$(origin NODES)),$(NODES),1) examples/shop/run.sh

shop-connect: build ## the shop with PostgreSQL and OpenSearch, between which connectors carry everything
	examples/shop/connect.sh

clients: build ## other people's clients and Kafka's own tools, against Weir and Apache Kafka
	test/clients/run.sh

differential: build ## ask Weir and Apache Kafka the same, one node of each and three, and compare the answers (needs a JDK and Maven)
	$(GO) run ./test/differential
	$(GO) run ./test/differential -nodes 3

opensearch: ## the OpenSearch sink against a real OpenSearch from Maven Central (needs a JDK and Maven)
	TEST_OPENSEARCH=1 $(GO) test -count=1 -timeout 20m ./connect/opensearch

DURATION ?= 60s
chaos: build ## a cluster under faults; DURATION=60s SEED=1, CHAOS="-only kill" and others: docs/testing.md
	$(GO) build -o bin/chaos ./test/chaos
	bin/chaos -duration $(DURATION) $(if $(SEED),-seed $(SEED)) $(CHAOS)

bench: ## benchmarks of the packages
	$(GO) test -run '^$$' -bench . -benchtime 200ms ./record ./log ./broker/wire ./node

bench-kafka: build ## measure beside Apache Kafka; BENCH="-only produce" and others: docs/benchmarks.md
	$(GO) build -o bin/bench ./test/bench
	bin/bench $(BENCH)

bench-connect: build ## measure beside Kafka Connect with Debezium; BENCH="-only snapshot" and others: docs/benchmarks.md
	$(GO) build -o bin/bench ./test/bench
	bin/bench -connect $(BENCH)

generate: ## write the generated pages of docs/ anew
	$(GO) generate ./...

clean: ## remove what was built
	rm -rf bin
