PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STUBS  := libs/kalla_common/src

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check bench stubs fuzz constraints clean

help: ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(VENV)/.run: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Kalla needs Python 3.11 or newer; name one with: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

setup: $(VENV)/.dev ## Make .venv with everything for development

demo: $(VENV)/.run ## Reconcile invoices in PostgreSQL with payments in a CSV file
	$(BIN)/kalla demo

up: $(VENV)/.run ## Start Kalla on this machine
	$(BIN)/kalla up

test: $(VENV)/.dev ## Run all tests
	$(BIN)/pytest

check: $(VENV)/.dev ## Lint, types, contracts and stubs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/python libs/kalla_common/generate_stubs.py --check

bench: $(VENV)/.dev ## Measure Kalla against other tools
	$(BIN)/python -m benchmarks.run

fuzz: $(VENV)/.dev ## Compare Kalla with DuckDB on CASES random cases (default 5000)
	$(BIN)/python -m tests.differential --cases $(or $(CASES),5000)

stubs: $(VENV)/.dev ## Generate the gRPC stubs anew
	$(BIN)/python libs/kalla_common/generate_stubs.py

constraints: $(VENV)/.dev ## Compile constraints.txt anew
	$(BIN)/pip-compile -q --extra dev --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --no-annotate --strip-extras -o constraints.txt pyproject.toml

clean: ## Remove what the other targets made
	rm -rf $(VENV) benchmarks/data
