# `make help` lists the targets.
#
# Tools go to .tools/ (or TOOLS_DIR), build results to target/ (or CARGO_TARGET_DIR); nothing is installed on the machine.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BUILD := $(or $(CARGO_TARGET_DIR),target)
TOOLS := $(or $(TOOLS_DIR),.tools)
STACK := $(PYTHON) scripts/stack.py

.PHONY: help tools demo year quiet-year test test-unit test-es9 test-logsdb soak bench bench-run bench-node bench-changes fuzz lint docs content pictures package release local-up local-down python-here

help: ## List these targets
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/  \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
	  printf '%-14s %s\n' "$$name" "$$text"; done

# Every target needs Python, so the shell reports if it is missing.
python-here:
	@command -v $(PYTHON) >/dev/null || { echo "This machine lacks Python 3.11 or later: Debian and Ubuntu have it as" \
	  "\`python3 python3-venv\`, others at https://www.python.org/downloads/" >&2; exit 1; }

tools: python-here ## Install what the other targets need into .tools/
	@$(PYTHON) scripts/tools.py

demo: python-here ## Deploy to the local stack and copy the simulated company's streams, twice
	@$(PYTHON) scripts/tools.py rust python es8
	@echo "==> building the function and the simulator, without optimization: the demo measures nothing"
	@cargo build --workspace --locked --bin bootstrap --bin lastpass-simulator
	@$(STACK) run --iam -- python scripts/demo.py

year: python-here ## Backfill a year of EVENTS=1000000 in slices while the live stream continues
	@$(PYTHON) scripts/tools.py rust python es8
	@echo "==> building the release binaries, and the command line"
	@cargo build --release --locked --bin bootstrap
	@cargo build --release --locked --package lastpass-simulator
	@cargo build --workspace --bins --locked
	@$(STACK) run --iam -- python scripts/year.py --events $(or $(EVENTS),1000000)

quiet-year: python-here ## Count the alerts of all detection rules in a quiet year of EVENTS=1000000
	@$(PYTHON) scripts/tools.py rust python es8
	@cargo build --release --locked --bin bootstrap
	@cargo build --workspace --bins --locked
	@$(STACK) run --iam -- python scripts/quiet_year.py --events $(or $(EVENTS),1000000)

test: tools lint ## Everything CI runs: lint, then all tests on a local stack
	@$(STACK) run --iam -- scripts/test.sh
	@scripts/advisories.sh report

test-unit: python-here ## The tests that need no local stack
	@$(PYTHON) scripts/tools.py rust
	@cargo test --workspace --locked --lib --bins

test-es9: python-here ## All tests again, on Elasticsearch 9
	@$(PYTHON) scripts/tools.py rust python es9
	@$(STACK) run --es 9 --iam -- scripts/test.sh

test-logsdb: python-here ## Integration tests and a short soak in index.mode logsdb and with synthetic _source; ES=9 for 9
	@$(PYTHON) scripts/tools.py rust python es$(or $(ES),8)
	@for mode in logsdb logsdb-synthetic synthetic; do \
	  $(STACK) run --es $(or $(ES),8) --iam --index-mode $$mode -- scripts/test_index_mode.sh || exit 1; done

soak: python-here ## Scenarios with faults, SEEDS=20 of each; only one: SCENARIO=name SEED=n
	@$(PYTHON) scripts/tools.py rust python es8
	@echo "==> building the release binary, and the soak"
	@cargo build --release --locked --bin bootstrap
	@cargo build --workspace --bins --locked
	@scripts/bounded.sh $(BUILD)/release/bootstrap $(BUILD)/bounded
	@$(STACK) run --iam -- env BOOTSTRAP=$(BUILD)/bounded $(BUILD)/debug/soak

bench: python-here ## EVENTS="100000 1000000" through the function and through the same job in Python: docs/performance.md
	@$(PYTHON) scripts/tools.py rust python bench
	@testing/bench/run.sh

bench-run: python-here ## Scheduled runs with the delays of a network, and the shortest chain of calls: docs/performance.md
	@$(PYTHON) scripts/tools.py rust python bench
	@SHORT_RUNS=1 testing/bench/run.sh

bench-node: python-here ## EVENTS=100000 through the function into a real node: its share of the CPU time, and of the duration
	@$(PYTHON) scripts/tools.py rust python es8
	@cargo build --release --locked --bin bootstrap
	@cargo build --profile tools --locked --package lastpass-bench
	@$(STACK) run --without aws -- env NODE=1 EVENTS=$(or $(EVENTS),100000) BOOTSTRAP=$(BUILD)/release/bootstrap \
	  $(BUILD)/tools/bench

bench-changes: python-here ## Snapshots of USERS="5000 100000" and their comparison: time and peak memory
	@$(PYTHON) scripts/tools.py rust python es8
	@cargo build --release --locked --bin bootstrap
	@cargo build --workspace --bins --locked
	@$(STACK) run --iam -- env USERS="$(or $(USERS),5000 100000)" BOOTSTRAP=$(BUILD)/release/bootstrap $(BUILD)/debug/soak

fuzz: python-here ## INPUTS=100000 hostile responses, payloads, secrets and settings for each target; only one: TARGET=name
	@$(PYTHON) scripts/tools.py rust cargo-fuzz
	@scripts/fuzz.sh

lint: python-here ## Formatting, clippy, docs, licences, template, workflows
	@$(PYTHON) scripts/tools.py rust python cargo-deny actionlint
	@scripts/lint.sh

docs: python-here ## Build the documentation of the code
	@$(PYTHON) scripts/tools.py rust
	@RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	@echo "==> $(BUILD)/doc/lastpass_elastic/index.html"

content: python-here ## Compile the detection rules and the dashboards for Kibana; needs Python 3.12
	@$(PYTHON) scripts/tools.py content
	@$(PYTHON) scripts/rules.py
	@$(PYTHON) scripts/published.py
	@$(TOOLS)/content/venv/bin/python scripts/check_rules.py
	@$(TOOLS)/content/venv/bin/python scripts/dashboards.py

pictures: python-here ## Draw docs/dashboard-*.svg from the results of the dashboards' queries on a simulated company
	@$(PYTHON) scripts/tools.py rust python es8
	@cargo build --workspace --locked --bin bootstrap --bin lastpass-simulator
	@$(STACK) run --iam -- python scripts/pictures.py

package: python-here ## Build dist/lastpass-elastic-x86_64.zip for the runtime provided.al2023, with its SBOM
	@$(PYTHON) scripts/tools.py rust python
	@echo "==> building the release binary"
	@cargo build --release --locked --bin bootstrap
	@$(TOOLS)/venv/bin/python scripts/check_glibc.py $(BUILD)/release/bootstrap
	@$(TOOLS)/venv/bin/python scripts/package.py $(BUILD)/release/bootstrap dist/lastpass-elastic-x86_64.zip

release: python-here ## Build the release archives of both processors in dist/; only one: ARCHITECTURES=x86_64
	@$(PYTHON) scripts/tools.py rust python release
	@$(TOOLS)/venv/bin/python scripts/release.py $(ARCHITECTURES)

local-up: python-here ## Start Elasticsearch and the AWS emulator, and leave them running
	@$(STACK) up

local-down: python-here ## Stop the services that local-up has started, and remove their data
	@$(STACK) down
