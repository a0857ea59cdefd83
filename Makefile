# `make run` and `make test` need Rust and nothing else.

CARGO ?= cargo
TARGET = $(or $(CARGO_TARGET_DIR),target)
# How the program is built: release, ci (as the tests have it) or dist (as it is shipped and measured).
PROFILE ?= release
# Release builds, which a newcomer waits for, leave out goose (`gauntlet load --http-users`) and testcontainers
# (`--gateway-in container`); FEATURES= puts them in.
FEATURES ?= $(if $(filter release,$(PROFILE)),--no-default-features)
GAUNTLET = $(TARGET)/$(PROFILE)/gauntlet
# What makes the program. The tests' build makes it too, of the crates as the tests have them: then nothing is built twice.
BUILD ?= $(if $(filter ci,$(PROFILE)),$(CARGO) test --profile ci --no-run,$(CARGO) build --profile $(PROFILE) $(FEATURES))
export GAUNTLET_COMMIT ?= $(shell git rev-parse --short HEAD 2>/dev/null)

.PHONY: help run test test-kind prove load build install bench bench-echo bench-load verify lint doc schema picture docs dist

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## all core scenarios on the embedded target; reports in reports/
	$(GAUNTLET) run --report junit --report json --report markdown

# Tests wait for the programs that they start more than they compute.
test: export RUST_TEST_THREADS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
test: ## all tests that need no cluster
	$(CARGO) test --profile ci

test-kind: ## check that a kind cluster gives the embedded target's verdicts and that a platform on one is restored, and try gateways in containers; GAUNTLET_NODE_IMAGE is the node's image
	$(CARGO) test --profile ci --no-run
	tests/kind/on-one-cluster $(TARGET)/ci/gauntlet \
		$(CARGO) test --profile ci --test black_box -- --ignored --test-threads 1

prove: build ## run every mutant against the checks of its row, and print the matrix
	$(GAUNTLET) prove --report reports/matrix.md

load: build ## 5,000 attaches of the reference platform's terminal, held 20 s; LOAD adds flags: LOAD="-n 200"
	$(GAUNTLET) load -n 5000 --ramp 1000/s --hold 20s $(LOAD)

build: ## the program, as target/release/gauntlet
	$(BUILD)

install: ## the program into ~/.cargo/bin, which rustup has put on PATH; ROOT=DIR puts it into DIR/bin
	$(CARGO) install --path . --locked $(FEATURES) $(if $(ROOT),--root $(ROOT))

bench: ## measure parsing, a fresh world, an attach, a read of a rotating login and the parts of a load
	$(CARGO) bench $(FEATURES) --bench scenarios --bench world --bench rotation --bench load

bench-echo: build ## measure an echo of the load engine against a bare epoll client; ECHO adds flags: ECHO=--check
	$(CARGO) bench --profile $(PROFILE) $(FEATURES) --bench bare -- --sandbox $(GAUNTLET) --connections 5000 $(ECHO)

bench-load: build ## measure a load with gauntlet, k6, Artillery and tsung on the same server; LOAD adds flags: LOAD="-n 5000"
	benches/load/install
	benches/load/side-by-side --gauntlet $(GAUNTLET) $(LOAD)

verify: ## everything that CI runs
	.ci/run

lint: ## formatting and clippy
	bash -n benches/load/install && bash -n .ci/dist
	python3 -c 'import ast, sys; [ast.parse(open(file).read(), file) for file in sys.argv[1:]]' \
		benches/load/side-by-side benches/load/*.py docs/picture docs/generate \
		docs/generated/*.py .ci/sbom
	$(CARGO) fmt --check
	$(CARGO) clippy --profile ci --all-targets -- -D warnings

doc: ## the documentation of the code, without a warning
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --profile ci --no-deps

schema: build ## renew the JSON Schemas in scenarios/ and docs/
	$(GAUNTLET) schema > scenarios/scenario.schema.json
	for document in profile expected-failures report; do \
		$(GAUNTLET) schema $$document > docs/$$document.schema.json || exit 1; \
	done

picture: build ## renew the README's picture, of a real run
	-$(GAUNTLET) run 'harness-token/token/refuse[balancer]' --mutant empty-token-opens --seed 1 \
		--reports $(TARGET)/picture >$(TARGET)/picture.txt
	sed "s#$(TARGET)/picture/#reports/#" $(TARGET)/picture.txt | docs/picture --columns 100 --from '── FAIL' --lines 20 \
		--command "gauntlet run 'harness-token/token/refuse[balancer]' --mutant empty-token-opens" \
		--title 'A check that failed, as gauntlet prints it' >$(TARGET)/run.svg
	mv $(TARGET)/run.svg docs/run.svg

docs: build ## the documentation site, in target/book/site; it needs mdbook, which MDBOOK=install gets
	rm -rf $(TARGET)/book
	docs/generate $(GAUNTLET) $(TARGET)/book
	@command -v mdbook >/dev/null || if [ "$(MDBOOK)" = install ]; then $(CARGO) install mdbook --locked; else \
		echo "make docs: no mdbook on PATH: cargo install mdbook --locked, or make docs MDBOOK=install" >&2; exit 1; fi
	PATH="$$PATH:$${CARGO_HOME:-$$HOME/.cargo}/bin" mdbook build $(TARGET)/book

dist: ## a static program in an archive, with checksums and a bill of materials, in target/dist-files; DIST_TARGET names another platform
	.ci/dist $(TARGET)/dist-files
