# Every target installs what it needs: a fresh checkout needs Python 3.11+ and make, nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules

# Distributions build their Python with profiles, version managers mostly do not: then a message costs a sixth more.
PYTHON ?= $(shell for python in /usr/bin/python3 python3; do $$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done || echo python3)
BIN := .venv/bin
PORT ?= $(or $(BATON_PORT),8123)
# Tests wait about as long as they compute; CI has the time to crowd them less.
WORKERS ?= $(if $(CI),2,3)
SEED ?= 1
UV := $(BIN)/python -m uv
COMPILE := $(UV) pip compile pyproject.toml --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Use

.PHONY: install
install: .venv/.run ## Create .venv with what running needs

.PHONY: run
run: .venv/.run ## Start everything on one port, with an embedded Postgres
	$(BIN)/baton up --port $(PORT)

.PHONY: demo
demo: .venv/.run ## Play every network, and two agents who collide, in a system of its own
	$(BIN)/baton demo --own

##@ Develop

.PHONY: check
check: .venv/.dev ## Static checks: format, lint, types, imports, dependencies, dead code, generated files
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache >.venv/imports.log || { cat .venv/imports.log; exit 1; }
	$(BIN)/deptry . --no-ansi
	$(BIN)/vulture
	$(BIN)/python -m tests.support.generated --check

.PHONY: test
test: check .venv/.kafka ## Check, then all tests; with CI=true more seeds, as CI does
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -q

.PHONY: fix
fix: .venv/.dev ## Format, fix what can be fixed, write generated files
	$(BIN)/ruff format --quiet
	$(BIN)/ruff check --quiet --fix-only
	$(BIN)/python -m tests.support.generated

.PHONY: bench
bench: .venv/.dev .venv/.kafka ## Measure us against the bare limit and the alternatives, as ratios of one run
	$(BIN)/python -m tests.load.bench

.PHONY: simulate
simulate: .venv/.dev ## Play one seed of the simulation, and say what happened (SEED=7)
	$(BIN)/python -m tests.simulation $(SEED) --trace

.PHONY: soak
soak: .venv/.dev .venv/.kafka ## The same tests, longer: more kills, more examples, more seeds
	BATON_SOAK=1 $(BIN)/pytest -n $(WORKERS) -q tests/system tests/integration tests/simulation -m "" --timeout 1800

##@ Generate

.PHONY: lock
lock: .venv/.dev ## Pin every dependency with hashes
	$(COMPILE) --extra embedded -o requirements/run.lock
	$(COMPILE) --extra embedded --extra otel --group dev -c requirements/run.lock -o requirements/dev.lock

.PHONY: openapi
openapi: .venv/.dev ## Write docs/reference/openapi.json
	$(BIN)/python -m tests.support.generated openapi

.PHONY: asyncapi
asyncapi: .venv/.dev ## Write docs/reference/asyncapi.json and the event schemas
	$(BIN)/python -m tests.support.generated asyncapi

.PHONY: clean
clean: ## Remove what the targets made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info

.venv/.run: requirements/run.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.13,<0.14"
	$(UV) pip install --quiet --require-hashes -r requirements/run.lock
	$(UV) pip install --quiet --no-deps --editable .
	touch $@

.venv/.dev: requirements/dev.lock .venv/.run
	$(UV) pip install --quiet --require-hashes -r requirements/dev.lock
	touch $@

# A real broker for the tests: Maven gets its jars, the machine's Java runs them. Without both, tests say what they miss.
.venv/.kafka: tests/support/kafka/pom.xml | .venv/.dev
	if command -v mvn >/dev/null && command -v java >/dev/null; then rm -rf .venv/kafka && mvn -q -B -C -Dstyle.color=never -f $< dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/.venv/kafka && touch $@; fi
