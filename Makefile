# Two commands for a newcomer: `make run` and `make test`. Needs Python 3.10 or newer, a C compiler and make.
#
# Everything is installed into $(VENV). What has been done is remembered by stamp files in there, so a target costs
# nothing when nothing changed, and a changed .pyx, setup.py or pyproject.toml leads to a rebuild.

VENV ?= .venv
PORT ?= 8080
ARGS ?=
PYTEST_ARGS ?=
# As many at a time as there are cores; `make test PYTEST_WORKERS=0` for one after the other, in one process.
PYTEST_WORKERS ?= auto
SMG_ENGINE_MODEL ?= ../shared/tiny-llama

# The first interpreter that is new enough; `make PYTHON=python3.12 ...` chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && { echo $$p; break; }; done)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
STAMPS := $(VENV)/.stamps
# The [build-system] of pyproject.toml, installed once: rebuilding then needs no network and no build environment.
BUILD_REQUIRES := "setuptools>=77" "cython>=3.1"
# The compiled modules: Cython sources, and the Python files that a .pxd beside them gives C types.
TYPED := $(shell find smg -name '*.pxd' ! -name '__init__.pxd' ! -path 'smg/_speedups/*')
SOURCES := pyproject.toml setup.py $(wildcard smg/_speedups/*.py smg/_speedups/*.pyx smg/_speedups/*.pxd) \
	$(TYPED) $(TYPED:.pxd=.py)

.DEFAULT_GOAL := help
.PHONY: help run test check fmt types bench soak peers docs clean dev test-engine

help:
	@echo 'make run          the gateway over two simulated workers (PORT=8080, ARGS="more flags")'
	@echo 'make test         everything the tests need, then all checks and tests (PYTEST_ARGS="-k name")'
	@echo 'make check        the checks only: style, types, Cython, import directions'
	@echo 'make fmt          lay the code out, fix what can be fixed'
	@echo 'make bench        measure cost per request beside other gateways (ARGS="--quick")'
	@echo 'make soak         half an hour of traffic over failing workers (ARGS="--seconds 300")'
	@echo 'make peers        install the gateways that make bench compares with'
	@echo 'make docs         write the reference pages anew from the code'
	@echo 'make test-engine  the SDK tests against a real vLLM (SMG_ENGINE_URL, or SMG_ENGINE_VENV)'
	@echo 'make dev          the virtual environment with all tools, and the git hooks'
	@echo 'make clean        remove everything built; the virtual environment too'

# -- Installing ---------------------------------------------------------------------------------------------------

$(STAMPS)/venv:
	@test -n "$(PYTHON)" || { echo 'No Python 3.10 or newer found; name one: make PYTHON=/path/to/python3'; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo 'Cannot make a virtual environment: install the venv module (Debian: python3-venv).'; exit 1; }
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/build-requires: $(STAMPS)/venv Makefile
	$(PIP) install $(BUILD_REQUIRES)
	@touch $@

# Editable: Python files are used in place; the compiled modules are built beside their sources.
$(STAMPS)/smg: $(STAMPS)/build-requires $(SOURCES)
	$(PIP) install --no-build-isolation -e .
	@touch $@

$(STAMPS)/dev: pyproject.toml | $(STAMPS)/smg
	$(PIP) install --no-build-isolation -e '.[dev]'
	@touch $@

$(STAMPS)/bench: pyproject.toml | $(STAMPS)/smg
	$(PIP) install --no-build-isolation -e '.[bench]'
	@touch $@

dev: $(STAMPS)/dev
	@git rev-parse --git-dir >/dev/null 2>&1 && $(BIN)/pre-commit install || true

# -- Running ------------------------------------------------------------------------------------------------------

# Prints a curl line to try once it listens.
run: $(STAMPS)/smg
	@exec $(BIN)/smg serve --backend sim --data-parallel-size 2 --port $(PORT) $(ARGS)

# -- Checking -----------------------------------------------------------------------------------------------------

test: check
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadgroup $(PYTEST_ARGS)

check: $(STAMPS)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/cython-lint smg
	$(BIN)/lint-imports

types: $(STAMPS)/dev
	$(BIN)/mypy

fmt: $(STAMPS)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-engine: $(STAMPS)/dev
	@test -n "$$SMG_ENGINE_URL$$SMG_ENGINE_VENV" || \
		{ echo 'Set SMG_ENGINE_URL, or SMG_ENGINE_VENV to a virtual environment with vLLM.'; exit 1; }
	SMG_ENGINE_MODEL=$(abspath $(SMG_ENGINE_MODEL)) $(BIN)/python -m pytest -m engine $(PYTEST_ARGS)

# -- Measuring, documents, cleaning -------------------------------------------------------------------------------

bench: $(STAMPS)/bench
	$(BIN)/python -m perf.bench $(ARGS)

soak: $(STAMPS)/bench
	$(BIN)/python -m perf.soak $(ARGS)

peers:
	perf/peers.sh

docs: $(STAMPS)/dev
	$(BIN)/python -m smg.config.reference
	$(BIN)/python -m smg.observability.reference > docs/reference/metrics.md
	$(BIN)/python -m smg.endpoints.reference > docs/reference/routes.md
	PYTHONPATH=. $(BIN)/python deploy/monitoring/dashboard.py > deploy/monitoring/grafana-dashboard.json

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find smg -name '*.so' -delete
	find smg -name '*.c' -delete
	find smg -name '*.html' ! -name console.html -delete
	find smg tests perf -name __pycache__ -type d -prune -exec rm -rf {} +
