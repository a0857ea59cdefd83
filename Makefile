# `make run` and `make test` need Rust and nothing else.

CARGO ?= cargo
GAUNTLET = target/release/gauntlet
export GAUNTLET_COMMIT ?= $(shell git rev-parse --short HEAD 2>/dev/null)

.PHONY: help run test test-kind prove build bench lint doc schema

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## all core scenarios on the embedded target; reports in reports/
	$(GAUNTLET) run --report console --report junit --report json --report markdown

test: ## all tests
	$(CARGO) test

test-kind: ## that a kind cluster gives the embedded target's verdicts, and a platform on one is put back; GAUNTLET_NODE_IMAGE is the node's image
	$(CARGO) test --test kind --test installation -- --ignored --test-threads 1

prove: build ## every mutant against the checks of its row, and the matrix
	$(GAUNTLET) prove --report reports/matrix.md

build: ## the program, as target/release/gauntlet
	$(CARGO) build --release

bench: ## what parsing, a fresh world and an attach cost
	$(CARGO) bench --bench scenarios --bench world

lint: ## formatting and clippy
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

doc: ## the documentation of the code, without a warning
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps

schema: build ## renew the JSON Schemas in scenarios/ and docs/
	$(GAUNTLET) schema > scenarios/scenario.schema.json
	for document in profile expected-failures report; do \
		$(GAUNTLET) schema $$document > docs/$$document.schema.json || exit 1; \
	done
