# What a person does often. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help run run-limits run-worker test test-quick test-system test-interop test-conformance test-browser test-js bench check fmt generate clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

run: ## serve examples/chat.yaml at http://localhost:8080/
	cargo run --release -p linnet-gateway -- examples/chat.yaml

run-limits: ## serve examples/limits.yaml
	cargo run --release -p linnet-gateway -- examples/limits.yaml

run-worker: ## a chat whose messages go through a worker, with everything that it needs
	examples/worker/run

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

test-browser: ## the console page in Chromium; screenshots in tests/artifacts
	tests/run browser

test-js: ## the JavaScript client
	tests/run js

bench: ## ratios against references measured in the same run
	bench/run

check: ## is a manifest right? make check FILE=examples/chat.yaml
	cargo run --quiet --release -p linnet-gateway -- check $(or $(FILE),examples/chat.yaml)

fmt: ## format all Rust code
	cargo fmt --all

generate: ## write crds/realtimechannels.yaml anew from the types
	cargo run --quiet -p linnet-crds --bin generate

clean: ## remove everything that was built or fetched
	cargo clean
	rm -rf .cache tests/artifacts tests/interop/node_modules tests/browser/node_modules clients/js/node_modules
