# Each target sets itself up: the virtual environment from the pinned lock, and for local servers a Java, Kafka, Node.js and
# Restate where the machine has none. Python 3.11 or later and make are enough.
#
#   make demo             run the food-ordering example on a local Kafka and Restate, with crashes
#   make test             run everything below: lint, types, site, unit, integration
#   make lint             check style, import contracts and workflows
#   make types            run mypy and pyright, both strict
#   make unit             run the unit tests, without servers (WORKERS=0: in one process)
#   make integration      run the integration and acceptance tests on a local Kafka and Restate (WORKERS=0: in one process)
#   make coverage         run the unit tests in one process and report the coverage of the whole package
#   make docs             run the tests that compare README and docs with the code, and build the documentation site
#   make site             build the documentation site in .cache/site; a dead link or a missing name is an error
#
#   make chaos            run a steady load with random crashes for three minutes (SEED=, SECONDS=, RATE=)
#   make chaos-short      do so for half a minute
#   make attack           write hostile records beside good calls; every bound must hold (ATTACK="NAME ...": some;
#                         LIMIT=256: bridge and worker with so many MiB, as in a container; needs root;
#                         BRIDGE_CLIENT=aiokafka: every bridge uses that Kafka client)
#   make attack-short     do so for about 90 seconds
#   make bench            measure the bridge beside the alternatives on this machine (BENCH="--full": takes longer)
#   make test-containers  run the integration tests on containers (ON=tests/integration/sdk: a part)
#   make test-compose     test the helpers for containers, the Compose files, and the set-up on a bare machine
#
#   make dist             build sdist and wheel in dist/
#   make lock             pin the dependencies again, after a change in pyproject.toml
#   make lock-servers     pin what comes for local servers again, after a change of a version (needs Maven and npm)
#   make clean            remove what was built here (downloads stay in ~/.cache/kallback)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint types unit integration coverage docs site chaos chaos-short attack attack-short bench test-containers test-compose \
	dist lock lock-servers clean setup servers

BIN := .venv/bin
REPORTS := .cache/reports
RATE ?= 20

# Processes that tests start compile nothing again, wherever the caller has this set.
export PYTHONDONTWRITEBYTECODE :=
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

demo: servers
	$(BIN)/python examples/food_ordering/demo.py

# Each run draws another seed; a run that fails prints the command that repeats it.
chaos: SECONDS ?= 180
chaos-short: SECONDS ?= 30
chaos chaos-short: servers
	$(BIN)/python -m chaos $(if $(SEED),--seed $(SEED)) --seconds $(SECONDS) --tasks-per-second $(RATE)

ATTACK ?=
LIMIT ?=
BRIDGE_CLIENT ?=
attack attack-short: servers
	$(BIN)/python -m attacks $(if $(filter attack-short,$@),--short) $(if $(LIMIT),--limit $(LIMIT)) \
		$(if $(BRIDGE_CLIENT),--bridge-client $(BRIDGE_CLIENT)) $(ATTACK)

# Close other programs first: they show in the figures.
bench: servers
	$(BIN)/pip install --quiet --require-hashes --requirement requirements-bench.lock
	$(BIN)/python -m benchmarks $(BENCH)

test: lint types site unit integration
	@$(BIN)/python scripts/skipped.py $(REPORTS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	scripts/check-workflows

types: setup
	$(BIN)/mypy
	node=$$($(BIN)/python -m kallback.testing.software.node); PYTHONPATH="$$node" $(BIN)/pyright

# The tests of a file stay together, in their order.
PARALLEL = -n $(WORKERS) --dist loadfile

# One process per core. Coverage slows random tests down by a factor of three, so only the protocol is measured here, which
# must have all of it; its workers measure from their first import on.
unit: WORKERS ?= auto
unit: setup
	@mkdir -p $(REPORTS) && rm -f .coverage*
	$(BIN)/pytest tests/unit --ignore=tests/unit/protocol $(PARALLEL) --junitxml=$(REPORTS)/unit.xml
	COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml \
		$(BIN)/pytest tests/unit/protocol $(PARALLEL) --junitxml=$(REPORTS)/protocol.xml
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --include='src/kallback/protocol/*' --fail-under=100

coverage: setup
	rm -f .coverage*
	$(BIN)/coverage run -m pytest tests/unit
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered

# Three processes, each with a Kafka and a Restate of its own: on two cores they take three quarters of the time of two, because
# tests wait for most of theirs.
integration: WORKERS ?= 3
integration: servers
	@mkdir -p $(REPORTS)
	KALLBACK_REQUIRE_SERVERS=1 $(BIN)/pytest tests/integration tests/acceptance $(PARALLEL) --junitxml=$(REPORTS)/integration.xml

# Both need a Docker engine and skip without one (KALLBACK_REQUIRE_SERVERS=1: fail). Tests of local processes are left out.
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
docs: setup site
	$(BIN)/pytest $(DOCS)

site: setup
	$(BIN)/pip install --quiet --require-hashes --requirement requirements-docs.lock
	$(BIN)/python scripts/site_pages.py .cache/site-pages
	$(BIN)/zensical build --strict

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

.cache/lock/bin/uv:
	python3 -m venv .cache/lock
	.cache/lock/bin/pip install --quiet uv

lock: .cache/lock/bin/uv
	$(COMPILE) pyproject.toml --extra dev --extra containers --extra otel --group contributors --output-file requirements.lock
	$(COMPILE) pyproject.toml --group bench --constraint requirements.lock --output-file requirements-bench.lock
	$(COMPILE) pyproject.toml --group docs --constraint requirements.lock --output-file requirements-docs.lock
	$(COMPILE) pyproject.toml --extra all --extra service --extra otel --group image \
		--constraint requirements.lock --output-file requirements-image.lock

PINS := src/kallback/testing/software/pins
lock-servers: setup .cache/lock/bin/uv
	sed -n 's/^\([a-z0-9-]*==[^ ]*\).*/\1/p' $(PINS)/java.txt | $(COMPILE) - --output-file $(PINS)/java.txt
	sed -n 's/^\([a-z0-9-]*==[^ ]*\).*/\1/p' $(PINS)/node.txt | $(COMPILE) - --output-file $(PINS)/node.txt
	echo jgo | $(COMPILE) - --output-file $(PINS)/jgo.txt
	$(BIN)/python scripts/lock_servers.py $(PINS)

clean:
	rm -rf .venv .cache .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
