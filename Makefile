# Each task of a developer is one command. `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CARGO_CRATES := --package falco-plugin-schema --package falco-plugin-api-table --package falco-plugin-engine --package falco-plugin-abi --package falco-plugin-bundle --package falco-plugin-packer --package falco-plugin-host
STAMPS := .make
MINIMUM_RUST := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
SECONDS := 60
MINUTES := 10
RELOADS := 300
JOBS := 1
WORKERS := 4
OTHER_PYTHON := python3.13
PLUGINS := $(notdir $(patsubst %/plugin.py,%,$(wildcard plugins/*/plugin.py)))
WORKSPACES := Cargo.toml rust/stub/Cargo.toml fuzz/Cargo.toml bench/peers/rust/Cargo.toml
DENY := $(or $(shell command -v cargo-deny),target/tools/bin/cargo-deny)
VALE := $(or $(shell command -v vale),target/tools/bin/vale)
CARGO_FUZZ := $(or $(shell command -v cargo-fuzz),target/tools/bin/cargo-fuzz)
ACTIONLINT := $(or $(shell command -v actionlint),target/tools/bin/actionlint)
NOT_SPELLED := ^fuzz/corpus/|(^|/)requirements[^/]*\.txt$$|\.lock$$|go\.sum$$|\.svg$$
SOURCES := $(shell find rust Cargo.toml Cargo.lock pyproject.toml -type f \
	-not -path '*/target/*' -not -path '*/tests/*' -not -path '*/benches/*')
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-rust test-python test-extended test-roots test-isolation test-self-contained test-newest test-freethreaded test-installed test-minimum-rust coverage test-cloudtrail test-kafka test-package package wheels test-wheels loom lint lint-rust lint-python stubs lint-words lint-dependencies fmt bench bench-quick bench-self-contained footprint profile criterion latency gigabyte soak captures reloads load asan valgrind miri fuzz audit lock pages changelog version release-check docs clean
.SHELLFLAGS := -eu -c

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMPS)/installed ## make .venv with the package and all tools (PYTHON=python3.12 chooses another Python)

demo: setup ## build a plugin and show its events and fields in the native host
	$(BIN)/falco-plugin build plugins/tail -o build/libtail.so
	$(BIN)/falco-plugin info build/libtail.so
	$(BIN)/falco-plugin run build/libtail.so --config '{"follow": false}' --params plugins/tail/sample.jsonl \
		--limit 5 --fields 'tail.value[/user],tail.value[/action]'

test: setup ## run all tests, Rust and Python beside each other
	$(MAKE) --no-print-directory --jobs=2 --output-sync=line test-rust test-python

test-python: setup
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal

test-extended: setup ## short forms of soak, reloads and load, and whether the peers of the benchmark do the same work
	$(BIN)/python -m pytest -m extended tests/soak bench

test-rust: setup $(patsubst fuzz/%.py,target/fuzz/%.so,$(wildcard fuzz/plugins/*.py))
	MAKEFLAGS= CARGO_TARGET_DIR=target/rust cargo test --quiet $(CARGO_CRATES)
	MAKEFLAGS= FALCO_PLUGIN_ALLOW_WRITABLE=1 CARGO_TARGET_DIR=target/fuzz cargo test --quiet --locked --manifest-path fuzz/Cargo.toml --lib

test-newest: ## run the Python tests with the newest versions of all dependencies instead of the locked ones
	@$(PYTHON) python/falco_plugin/_build/environment.py
	rm -rf target/newest/venv
	$(PYTHON) -m venv target/newest/venv
	target/newest/venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	CARGO_TARGET_DIR=$(abspath target/newest/build) \
		target/newest/venv/bin/python -m pip install --quiet --disable-pip-version-check '.[dev]'
	target/newest/venv/bin/python -m pip list --disable-pip-version-check
	target/newest/venv/bin/python -m pytest

test-installed: ## run the Python tests with the wheel in target/wheels that fits PYTHON, instead of the code of this checkout
	rm -rf target/test-installed
	$(PYTHON) -m venv target/test-installed
	target/test-installed/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	target/test-installed/bin/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps \
		--find-links target/wheels falco-plugin-sdk
	target/test-installed/bin/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal

FREE_THREADED := target/freethreaded

test-freethreaded: ## run the Python tests without the GIL, in a CPython 3.14t that this builds from Debian's sources (or from CPYTHON_SOURCE=folder)
	tools/freethreaded $(FREE_THREADED)/python
	$(MAKE) --no-print-directory test-python PYTHON=$$(echo $(abspath $(FREE_THREADED))/python/bin/python3.*t) \
		VENV=$(FREE_THREADED)/venv STAMPS=$(FREE_THREADED)/stamps

target/fuzz/plugins/%.so: fuzz/plugins/%.py $(STAMPS)/installed
	@mkdir -p $(@D)
	$(BIN)/falco-plugin build --linked $< -o $@ >/dev/null

test-roots: setup ## run self-contained libraries in minimal Debian systems without Python (root, debootstrap; the first time a few minutes)
	@command -v debootstrap >/dev/null || { echo "debootstrap is missing: apt-get install debootstrap"; exit 1; }
	$(BIN)/python -m pytest -m roots tests/roots plugins/cloudtrail

test-package: setup target/tools/bin/crane target/tools/bin/oras ## push and pull packages with the clients crane and oras
	$(BIN)/python -m pytest -m package tests/command

test-isolation: setup ## run libraries with two Pythons in one process (OTHER_PYTHON=python3.13)
	OTHER_PYTHON=$(OTHER_PYTHON) $(BIN)/python -m pytest -m isolation tests/isolation

test-self-contained: setup target/local-python/python ## run the tests of library, faults and security with self-contained libraries
	FALCO_PLUGIN_TEST_LIBRARIES=self-contained target/local-python/python -m pytest --dist=worksteal \
		--tx '$(WORKERS)*popen//python=target/local-python/python' tests/library tests/faults tests/security

target/local-python/python: $(STAMPS)/venv $(wildcard tests/hosts/local_python/*)
	$(BIN)/python tests/hosts/local_python/build.py $(@D)

wheels: $(STAMPS)/wheels-tools ## build and check the wheels of a release in target/wheels (PYTHONS=3.13,3.14t and TARGETS=x86_64 choose)
	target/wheels-tools/bin/python tools/wheels/build.py --pythons '$(PYTHONS)' --targets '$(TARGETS)'

test-wheels: setup wheels ## build wheels, and try them in minimal Debian systems without a compiler (root, debootstrap, qemu-user-static)
	@command -v debootstrap >/dev/null || { echo "debootstrap is missing: apt-get install debootstrap"; exit 1; }
	PYTHONS='$(PYTHONS)' TARGETS='$(TARGETS)' $(BIN)/python -m pytest -m wheels tests/wheels

$(STAMPS)/wheels-tools: tools/wheels/requirements.txt
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs"; exit 1; }
	rm -rf target/wheels-tools
	$(PYTHON) -m venv target/wheels-tools
	target/wheels-tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

loom: ## run models of context, channel, push loop, async events and tables in every order of threads (rust/engine/tests/loom)
	CARGO_TARGET_DIR=target/loom RUSTFLAGS='--cfg loom' cargo test --quiet --profile loom --package falco-plugin-engine --test loom

test-minimum-rust: ## compile everything with the oldest supported Rust (rust-version in Cargo.toml)
	rustup toolchain install --profile minimal $(MINIMUM_RUST)
	CARGO_TARGET_DIR=target/minimum-rust cargo +$(MINIMUM_RUST) check --quiet --locked --workspace
	CARGO_TARGET_DIR=target/minimum-rust cargo +$(MINIMUM_RUST) check --quiet --locked --manifest-path rust/stub/Cargo.toml

coverage: setup ## measure the line coverage of all tests, Rust and Python (rustup component llvm-tools)
	tools/coverage

test-cloudtrail: setup ## read 10,000 log files from S3 and SQS of a server on this machine, with consumers that are killed (some minutes)
	$(BIN)/python -m pytest -s -m extended plugins/cloudtrail

test-kafka: setup target/kafka ## test the kafka plugin with a real broker (Java 17 or newer, and Maven)
	$(BIN)/python -m pytest -m kafka plugins/kafka

target/kafka: plugins/kafka/pom.xml
	rm -rf $@
	mvn -B -q -f $< dependency:copy-dependencies
	@touch $@

lint: setup $(DENY) $(VALE) $(ACTIONLINT) ## run all linters: lint-rust, lint-python, lint-words and lint-dependencies
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target --keep-going \
		lint-rust lint-python lint-words lint-dependencies

lint-rust: setup ## run rustfmt and clippy
	cargo fmt --check
	cargo fmt --check --manifest-path rust/stub/Cargo.toml
	CARGO_TARGET_DIR=target/rust PYO3_PYTHON=$(abspath $(BIN)/python) cargo clippy --quiet --all-targets -- -D warnings
	CARGO_TARGET_DIR=target/stub cargo clippy --quiet --locked --manifest-path rust/stub/Cargo.toml -- -D warnings
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	CARGO_TARGET_DIR=target/fuzz cargo clippy --quiet --locked --manifest-path fuzz/Cargo.toml --lib --tests -- -D warnings

stubs: setup ## write the docstrings of _core.pyi out of the doc comments in rust/python
	$(BIN)/python tools/stubs.py

lint-python: setup ## run ruff, mypy, pyright and stubtest, and check the docstrings of _core.pyi
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	PATH="$(abspath $(BIN)):$$PATH" pyright
	PATH="$(abspath $(BIN)):$$PATH" pyright --verifytypes falco_plugin --ignoreexternal
	$(BIN)/stubtest falco_plugin._core
	$(BIN)/python tools/stubs.py --check

lint-words: setup $(VALE) $(ACTIONLINT) ## run codespell, vale (the rules of .vale/English) and actionlint
	git ls-files | grep -vE '$(NOT_SPELLED)' | xargs $(BIN)/codespell
	git ls-files '*.md' '*.py' '*.pyi' '*.rs' '*.[ch]' | xargs $(VALE) --output=line
	$(ACTIONLINT)

lint-dependencies: setup $(DENY) ## check licences and sources of crates, and vulnerabilities of Python packages (cargo-deny, pip-audit)
	for manifest in $(WORKSPACES); do \
		$(DENY) --manifest-path $$manifest --locked --config $(abspath deny.toml) check licenses bans sources; done
	.ci/audit

audit: setup $(DENY) ## search for vulnerabilities of all locked dependencies (cargo-deny fetches the advisories; pip-audit)
	for manifest in $(WORKSPACES); do \
		$(DENY) --manifest-path $$manifest --locked --config $(abspath deny.toml) check advisories; done
	.ci/audit

# A debug build takes a third of the time to compile, and checks all workspaces in ten seconds.
target/tools/bin/cargo-deny:
	cargo install --debug --quiet --locked --root target/tools cargo-deny@0.20.2

target/tools/bin/cargo-fuzz:
	cargo install --debug --quiet --locked --root target/tools cargo-fuzz@0.13.2

target/tools/bin/vale:
	GOBIN=$(abspath target/tools/bin) go install github.com/vale-cli/vale/v3/cmd/vale@v3.22.0

target/tools/bin/actionlint:
	GOBIN=$(abspath target/tools/bin) go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

target/tools/bin/crane:
	GOBIN=$(abspath target/tools/bin) go install github.com/google/go-containerregistry/cmd/crane@v0.20.6

target/tools/bin/oras:
	GOBIN=$(abspath target/tools/bin) go install oras.land/oras/cmd/oras@v1.3.6

target/tools/bin/cosign:
	GOBIN=$(abspath target/tools/bin) go install github.com/sigstore/cosign/v3/cmd/cosign@v3.0.6

lock: setup ## update the locked Python packages of development
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--extra dev pyproject.toml -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--group wheels -o tools/wheels/requirements.txt

fmt: setup ## format all code
	cargo fmt
	cargo fmt --manifest-path rust/stub/Cargo.toml
	$(BIN)/ruff check --fix --quiet || true
	$(BIN)/ruff format

bench: setup ## measure this SDK, the Go SDK, the Rust SDK and C (ROWS=pull,push and PEERS=c,rust choose; OTHER_PYTHON=python3.13 adds a Python)
	$(BENCH)

bench-quick: setup ## measure the same with fewer and shorter rounds
	$(BENCH) --quick

# Only an OTHER_PYTHON on the command line adds a Python to the benchmark.
BENCH = $(if $(filter command line,$(origin OTHER_PYTHON)),$(WITH_OTHER_PYTHON),$(BIN)/python -m bench) \
	--rows '$(ROWS)' --peers '$(PEERS)'
WITH_OTHER_PYTHON = other=$$(cd tests && $(abspath $(BIN))/python -m support.environments \
	$(if $(findstring /,$(OTHER_PYTHON)),$(abspath $(OTHER_PYTHON)),$(OTHER_PYTHON))) && \
	$(BIN)/python -m bench --other-python $$other/bin/python

bench-self-contained: setup ## compare self-contained libraries with linked ones, and two interpreters with one
	python=$$(cd tests && $(abspath $(BIN))/python -m support.environments $(abspath $(BIN))/python numpy)/bin/python && \
		$(BIN)/python -m bench.self_contained --numpy-python $$python
	$(BIN)/python -m bench.isolation

footprint: setup ## measure size and start of the smallest plugin (OTHER_SDK=/path/to/python compares with another version)
	$(BIN)/python -m bench.footprint $(if $(OTHER_SDK),--other $(OTHER_SDK))

profile: setup ## show where the time of each row of the table goes (perf; ROWS=pull,push chooses)
	$(BIN)/python -m bench.profile --rows '$(ROWS)'

criterion: ## measure single parts of the engine (ROWS=channel chooses by name)
	CARGO_TARGET_DIR=$(abspath target/rust) cargo bench --quiet --package falco-plugin-engine -- --quiet '$(ROWS)'

latency: setup ## measure how long the host waits for Python beside code that computes
	$(BIN)/python -m bench.latency

gigabyte: setup ## run 1 GB of lines through `falco-plugin run`: completeness and memory
	$(BIN)/python bench/gigabyte.py

soak: setup ## open, read, close and reload plugins for MINUTES=10, and check every event (SEED=1 repeats a plan)
	$(BIN)/python -m tests.soak.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

captures: setup ## parse, use tables, send async events and reload plugins for MINUTES=10 (SEED=1 repeats a plan)
	$(BIN)/python -m tests.soak.captures --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

reloads: setup ## reload six plugins 300 times (RELOADS=300, OTHER_PYTHON=python3.13): no event is lost, nothing is left behind
	other=$$(cd tests && $(abspath $(BIN))/python -m support.environments $(OTHER_PYTHON)) && \
		$(BIN)/python -m tests.soak.reloads --reloads $(RELOADS) --other-python $$other/bin/python

load: setup ## compare the answers of webhook and k8saudit with the consumed events, for 1, 2, 4 and 8 clients
	$(BIN)/python -m tests.soak.load

fuzz: setup $(CARGO_FUZZ) ## search for inputs that break something, SECONDS=60 a target (TARGETS='host lines', JOBS=2; nightly Rust)
	PATH="$(abspath $(dir $(CARGO_FUZZ))):$$PATH" $(BIN)/python fuzz/run.py --seconds $(SECONDS) --jobs $(JOBS) $(TARGETS)

pages: setup ## write the generated parts of the documentation: pictures, and the page of faults
	$(BIN)/python docs/extensions/pictures.py
	$(BIN)/python docs/extensions/terminal.py
	cd tests && $(abspath $(BIN)/python) -m faults.page

package: setup ## build the complete plugins, and package them into build/packages/<plugin> (LIBRARIES='FOLDER …' has built ones)
	mkdir -p build/plugins
	$(if $(LIBRARIES),,for plugin in $(PLUGINS); do \
		$(BIN)/falco-plugin build plugins/$$plugin -o build/plugins/lib$$plugin.so; done)
	for plugin in $(PLUGINS); do \
		rules=plugins/$$plugin/$${plugin}_rules.yaml; \
		$(BIN)/falco-plugin package $(patsubst %,%/lib$$plugin.so,$(or $(LIBRARIES),build/plugins)) \
			-o build/packages/$$plugin $$(test ! -f $$rules || echo "--rules $$rules"); \
	done

asan: $(STAMPS)/asan ## run the tests with hosts and libraries under AddressSanitizer (nightly Rust)
	C_HOST=$(abspath target/asan/host) PYTHONMALLOC=malloc \
		ASAN_OPTIONS=detect_leaks=0:handle_segv=0:allocator_may_return_null=1:log_path=$(abspath target/asan/reports)/asan \
		tests/hosts/without_reports target/asan/reports target/asan/venv/bin/python -m pytest tests $(ASAN_LEFT_OUT)

# Tests that need tools, hosts or a Python without AddressSanitizer, beside those with the mark no_asan.
ASAN_LEFT_OUT := $(addprefix --ignore=tests/,\
	command/test_bench.py docs soak plugins release core/test_go_package.py command/test_new.py)

$(STAMPS)/asan: $(STAMPS)/installed $(wildcard tests/hosts/asan/* tests/hosts/c/*)
	tests/hosts/asan/setup
	@touch $@

valgrind: setup target/valgrind/host ## run the C host with all kinds of sources under memcheck
	@command -v valgrind >/dev/null || { echo "valgrind is missing: apt-get install valgrind"; exit 1; }
	C_HOST=$(abspath tests/hosts/valgrind/host) tests/hosts/without_reports target/valgrind/reports \
		$(BIN)/python -m pytest tests/library/test_memory.py tests/library/test_results.py::test_functions_survive_null_handles

target/valgrind/host: $(STAMPS)/installed $(wildcard tests/hosts/c/* tests/hosts/valgrind/*.c)
	mkdir -p $(@D)
	cc -std=c11 -O1 -g -rdynamic -fvisibility=hidden -I$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))') \
		$(filter %.c,$^) -o $@ -ldl -lpthread

miri: ## run the tests of engine and abi in Miri, except those of files (component miri of nightly Rust)
	@cargo +nightly miri --version >/dev/null 2>&1 \
		|| { echo "Miri is missing: rustup component add miri rust-src --toolchain nightly"; exit 1; }
	MIRIFLAGS=-Zmiri-disable-isolation PROPTEST_CASES=4 CARGO_TARGET_DIR=target/miri cargo +nightly miri test \
		--package falco-plugin-engine --package falco-plugin-abi --lib -- --skip lines::

changelog: setup ## print the section of CHANGELOG.md that the next release will get
	$(BIN)/towncrier build --draft --version next

version: ## set the version of the SDK in Cargo.toml and all lock files (VERSION=0.2.0)
	$(if $(VERSION),,$(error VERSION is missing: make version VERSION=0.2.0))
	sed -i 's/^version = ".*"/version = "$(VERSION)"/' Cargo.toml
	for manifest in $(WORKSPACES); do cargo update --quiet --workspace --manifest-path $$manifest; done

release-check: ## check that a tag, the version and the changelog agree (TAG=v0.2.0)
	$(PYTHON) tools/release.py check $(TAG)

docs: setup ## build the documentation into build/site, strictly
	REPOSITORY_URL=$$(git remote get-url origin 2>/dev/null | sed -E 's#^git@([^:]+):#https://\1/#; s#\.git$$##') \
		$(BIN)/zensical build --clean --strict

clean: ## remove everything that the commands made
	rm -rf $(VENV) $(STAMPS) build target

# If PYTHON changes, .venv is made again.
$(STAMPS)/installed: $(STAMPS)/venv $(SOURCES)
	CARGO_TARGET_DIR=target/python-$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2] + sys.abiflags)') \
		VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --release --quiet >$(STAMPS)/install.log 2>&1 \
		|| { cat $(STAMPS)/install.log; exit 1; }
	@touch $@

WANTED := $(shell $(PYTHON) -c 'import os, sys; print(sys.version, os.path.realpath(sys.executable))' 2>&1)
$(shell mkdir -p $(STAMPS) build && { echo '$(WANTED)' | cmp -s - $(STAMPS)/wanted || echo '$(WANTED)' >$(STAMPS)/wanted; })

$(STAMPS)/venv: $(STAMPS)/wanted requirements-dev.txt
	@$(PYTHON) python/falco_plugin/_build/environment.py
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs"; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
