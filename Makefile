# Each target does its own set-up: the virtual environment from the pinned lock, Kafka's jars and Restate's binary.
#
#   make demo          the food-ordering example on a Kafka and a Restate of its own
#   make chaos         a few minutes of tasks while everything dies (SEED=, SECONDS=, RATE=)
#   make chaos-short   half a minute of that
#   make test          lint, contracts, types, unit and integration tests
#   make bench         figures of this machine: the bridge beside the alternatives (BENCH="--full": takes longer)
#   make lint types unit integration     the parts of it
#   make test-containers  the integration tests on Kafka and Restate in containers (ON=tests/integration/sdk: some)
#   make docs          the tests that hold README and docs to the code
#   make dist          sdist and wheel, in dist/
#   make test-compose     the helpers for containers, compose.yaml and compose.secured.yaml, as users run them
#   make lock          pin the dependencies anew (after a change in pyproject.toml)
#   make clean         remove what was built here (downloads stay in ~/.cache/kallback)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo bench chaos chaos-short test lint types unit integration test-containers test-compose docs dist lock clean setup servers

BIN := .venv/bin
REPORTS := .cache/reports
RATE ?= 20

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

demo: servers
	$(BIN)/python examples/food_ordering/demo.py

# A new seed each time, so that every run looks elsewhere; what fails says how to play it again.
chaos: SECONDS ?= 180
chaos-short: SECONDS ?= 30
chaos chaos-short: servers
	$(BIN)/python -m chaos $(if $(SEED),--seed $(SEED)) --seconds $(SECONDS) --tasks-per-second $(RATE)

# Quiet machine, please: what else runs shows in the figures.
bench: servers
	$(BIN)/pip install --quiet --require-hashes --requirement requirements-bench.lock
	$(BIN)/python -m benchmarks $(BENCH)

test: lint types unit integration
	@$(BIN)/python scripts/skipped.py $(REPORTS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	scripts/check-workflows

types: setup
	$(BIN)/mypy
	node=$$($(BIN)/python -m kallback.testing.software.node); PYTHONPATH="$$node" $(BIN)/pyright

unit: setup
	@mkdir -p $(REPORTS)
	$(BIN)/coverage run -m pytest tests/unit --junitxml=$(REPORTS)/unit.xml
	$(BIN)/coverage report --skip-covered
	$(BIN)/coverage report --skip-covered --include='src/kallback/protocol/*' --fail-under=100

integration: servers
	@mkdir -p $(REPORTS)
	KALLBACK_REQUIRE_SERVERS=1 $(BIN)/pytest tests/integration tests/acceptance --junitxml=$(REPORTS)/integration.xml

# These need a Docker engine and skip without one (KALLBACK_REQUIRE_SERVERS=1: fail). Left out are tests of local processes.
ON ?= tests/integration
COMPOSE ?= tests/containers
test-containers: setup
	@mkdir -p $(REPORTS)/containers
	KALLBACK_TEST_SERVERS=containers $(BIN)/pytest $(ON) -m "not local_servers" --junitxml=$(REPORTS)/containers/integration.xml
	@$(BIN)/python scripts/skipped.py $(REPORTS)/containers

test-compose: setup
	@mkdir -p $(REPORTS)/containers
	$(BIN)/pytest $(COMPOSE) --junitxml=$(REPORTS)/containers/compose.xml
	@$(BIN)/python scripts/skipped.py $(REPORTS)/containers

DOCS := tests/unit/test_docs.py tests/unit/protocol/test_readme.py tests/unit/settings/test_from_env.py \
	tests/unit/testing/test_docs_testing.py tests/unit/cli/dead_letters/test_reason_help.py tests/unit/deploy/test_access.py \
	tests/unit/bridge/observability/test_dashboard.py
docs: setup
	$(BIN)/pytest $(DOCS)

dist: setup
	rm -rf dist
	$(BIN)/hatchling build

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml scripts/make-venv
	@scripts/make-venv .venv
	@touch $@

servers: setup
	@$(BIN)/python -m kallback.testing.prepare

COMPILE := .cache/lock/bin/uv pip compile --quiet --universal --no-emit-index-url --no-header --no-annotate \
	--generate-hashes --python-version 3.11

lock:
	python3 -m venv .cache/lock
	.cache/lock/bin/pip install --quiet uv
	$(COMPILE) pyproject.toml --extra dev --extra containers --extra otel --group contributors --output-file requirements.lock
	$(COMPILE) pyproject.toml --group bench --constraint requirements.lock --output-file requirements-bench.lock
	$(COMPILE) pyproject.toml --extra all --extra service --extra otel --group image \
		--constraint requirements.lock --output-file requirements-image.lock

clean:
	rm -rf .venv .cache .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
