# Everything a newcomer, a developer and CI need. Each target does the set-up that it depends on itself.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export DO_NOT_TRACK := 1
export DAGSTER_DISABLE_TELEMETRY := 1
# Where an environment forbids it, each process would compile all modules again.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup run serve definitions pack-home bench bench-full bench-bucket bench-report superset bi-clients docs sbom audit-dependencies test tests lint types unit integration browser test-slow torture system-packages clean

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

# The stamp is newer than what it was made from, so a second `make` installs nothing.
$(VENV)/.installed: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv sync --quiet --locked --inexact --compile-bytecode --python $(BIN)/python
	@$(BIN)/python -m activity_audit.warehouse.extensions
	@touch $@

setup: $(VENV)/.installed ## Install into .venv, from the lock file

run: setup ## Simulate a day of feeds, run the pipeline on it, and show the result
	@$(BIN)/audit simulate --hours 24 > /dev/null
	@$(BIN)/audit run

serve: setup ## Start Dagster with its schedule and sensors, and the report; prints both links
	@$(BIN)/audit serve

test: setup system-packages ## Run every check that CI runs
	@$(MAKE) --no-print-directory -j 3 tests lint types

tests: setup
	@$(BIN)/pytest -q -n auto --dist worksteal

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@said=$$($(BIN)/lint-imports --no-cache 2>&1) || { echo "$$said"; exit 1; }
	@$(BIN)/sqlfluff lint --disable-progress-bar dbt_project/models

types: setup
	@$(BIN)/mypy

unit: setup ## Run the unit tests only (seconds)
	@$(BIN)/pytest -q tests/unit

integration: setup ## Run the tests with real processes only
	@$(BIN)/pytest -q -n auto --dist worksteal tests/integration tests/browser

browser: setup ## Run the tests of the pages in a real browser only
	@$(BIN)/pytest -q tests/browser

test-slow: setup ## Run the long tests: a simulated week, the longest of the others
	@$(BIN)/pytest -q -m slow

torture: setup system-packages ## Run many rounds of faults, load and hostile input, and write the figures to docs/torture.md (hours)
	@$(BIN)/uv sync --quiet --locked --inexact --group fuzz --python $(BIN)/python || echo "the fuzzer is not installed; its tests are skipped"
	@$(BIN)/pytest -q -n auto --dist worksteal -m torture --rounds $(or $(ROUNDS),200) --seed $(or $(SEED),1) \
		--figures docs/torture.md $(if $(ONLY),-k "$(ONLY)")

superset: ## Install Apache Superset in an environment of its own and start it on the warehouse in AUDIT_HOME
	@deploy/superset/start

bi-clients: setup ## Install each client of docs/bi-tools.md in a new environment and run its listing against the warehouse in AUDIT_HOME
	@$(BIN)/python scripts/bi_clients.py

docs: setup ## Write what is worked out of the code: docs/warehouse.md, expectations/suites, deploy/dbt
	@$(BIN)/python scripts/warehouse_docs.py
	@$(BIN)/python scripts/gx_suites.py
	@$(BIN)/python scripts/dbt_sources.py

sbom: setup ## Write docs/sbom.cdx.json, the list of all packages of uv.lock with their licences
	@$(BIN)/python scripts/sbom.py

audit-dependencies: setup ## Ask the database of known vulnerabilities (OSV) about every package of uv.lock; needs the internet
	@$(BIN)/uv audit --frozen

definitions: setup ## Write tests/integration/older_homes/definitions.txt, after a change of what homes keep
	@$(BIN)/python scripts/pack_home.py --definitions

pack-home: setup ## Pack a home of this release for the tests of later ones; once for each version of the home's format
	@$(BIN)/python scripts/pack_home.py

bench: setup ## Measure everything at small sizes, peers too; writes benchmarks/results/small.* (some minutes)
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

bench-full: setup ## Measure everything at the sizes of the targets; writes benchmarks/results/full.*, docs/performance.md and the README (hours)
	@$(BIN)/python -m benchmarks --full $(if $(ONLY),--only $(ONLY))

bench-bucket: setup ## Measure what the history of a bucket costs (some minutes)
	@$(BIN)/python -m benchmarks.bucket

bench-report: setup ## Measure the report on a year of 100 million events (an hour or so, 10 GB in var/bench/history)
	@test -d var/bench/history || $(BIN)/python -m benchmarks.history --home var/bench/history
	@$(BIN)/python -m benchmarks.report --home var/bench/history --slow --rows 10000000

system-packages: ## Install the Debian packages that some tests need (PostgreSQL, Redis, Chromium); without root, say so
	@sh scripts/system-packages

clean: ## Remove what the build and the tests made; your data in var/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dbt_project/target
