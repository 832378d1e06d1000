# What a person does often. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help run run-limits run-microservices run-products run-users run-worker test test-quick test-system \
	test-interop test-conformance test-hostile test-browser test-js test-chart test-cluster fuzz bench check fmt generate images cluster \
	cluster-down clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

run: ## serve examples/chat.yaml at http://localhost:8080/
	cargo run --release -p linnet-gateway -- examples/chat.yaml

run-limits: ## serve examples/limits.yaml
	cargo run --release -p linnet-gateway -- examples/limits.yaml

run-worker: ## a chat whose messages go through a worker, with everything that it needs
	examples/worker/run

run-microservices: ## a restaurant whose orders go through three workers, with everything that it needs
	examples/microservices/run

run-products: ## a shop on PostgreSQL whose changes are seen by all pages, with everything that it needs
	examples/products/run

run-users: ## users over gRPC whose changes a room gets, with everything that it needs
	examples/users/run

test: ## all tests, as CI runs them
	tests/run all

test-quick: ## format, lints and unit tests
	tests/run quick

test-system: ## whole-system tests: real gateways, real sockets
	tests/run system

test-interop: ## websocat, Python and Node clients
	tests/run interop

test-conformance: ## the 517 cases of the RFC 6455 suite
	tests/run conformance

test-hostile: ## 22 attacks beside honest clients, 20 s each
	LINNET_HOSTILE_SECONDS=20 tests/run hostile

test-browser: ## the console page in Chromium; screenshots in tests/artifacts
	tests/run browser

test-js: ## the JavaScript client
	tests/run js

test-chart: ## the Helm chart, without a cluster
	tests/run chart

test-cluster: ## everything together on a real cluster, which is brought up
	tests/run cluster

cluster: ## a Kubernetes to try things on: kind, or one node without Docker
	tests/cluster/cluster up

cluster-down: ## remove it
	tests/cluster/cluster down

images: ## build the images, and load them into the cluster if it is up
	tests/cluster/images

fuzz: ## every parser for ten minutes, guided by coverage
	fuzz/run 600

bench: ## ratios against references measured in the same run
	bench/run

check: ## is a manifest right? make check FILE=examples/chat.yaml
	cargo run --quiet --release -p linnet-gateway -- check $(or $(FILE),examples/chat.yaml)

fmt: ## format all Rust code
	cargo fmt --all

generate: ## write anew what is made from something else: the definition, the chart's copy, its table of values, the OpenAPI document, the gRPC API, the fuzzers' lock file
	cargo run --quiet -p linnet-crds --bin generate
	cargo run --quiet -p linnet-gateway --example openapi >target/openapi.json && mv target/openapi.json docs/openapi.json
	cargo run --quiet -p linnet-proto --example generate
	charts/generate
	cargo fetch --quiet --manifest-path fuzz/libfuzzer/Cargo.toml

clean: ## remove everything that was built or fetched
	cargo clean
	rm -rf .cache fuzz/libfuzzer/target tests/artifacts tests/interop/node_modules tests/browser/node_modules clients/js/node_modules
