# Kalla needs Python 3.11 or newer and make. Another interpreter: make PYTHON=/path/to/python3 <target>
NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
ifeq ($(origin PYTHON), undefined)
PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c '$(NEW_ENOUGH)' 2>/dev/null && { echo "$$p"; break; }; done)
endif
VENV := .venv
BIN  := $(VENV)/bin
# Installs, and says every few seconds how far it is.
PIP  := $(BIN)/python libs/kalla_cli/install.py -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check bench inference stubs fuzz soak attack constraints clean

help: ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(VENV)/.run: pyproject.toml constraints.txt
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null || { \
	  echo "Kalla needs Python 3.11 or newer with venv (on Debian and Ubuntu: apt install python3-venv)."; \
	  echo "If it is not on the PATH, name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV) (once, a minute or two) ..."
	@"$(PYTHON)" -m venv $(VENV) || { \
	  echo "$(VENV) cannot be made in $(CURDIR); clone Kalla into a folder that you may write to."; exit 1; }
	@$(PIP) -e . || { echo "The packages could not be installed; is there a network? Run make again to go on."; exit 1; }
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "Adding the tools for development ..."
	@$(PIP) -e '.[dev]' || { echo "The tools could not be installed; is there a network? Run make again to go on."; exit 1; }
	@touch $@

setup: $(VENV)/.dev ## Make .venv with everything for development

demo: $(VENV)/.run ## Reconcile invoices in PostgreSQL with payments in a CSV file; ARGS="--rows 500000"
	@$(BIN)/kalla demo $(ARGS)

up: $(VENV)/.run ## Start Kalla on this machine; ARGS="--port 8080"
	@$(BIN)/kalla up $(ARGS)

test: $(VENV)/.dev ## Run all tests, in two processes; ARGS="-k trap_07 -x" are pytest's
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

check: $(VENV)/.dev ## Lint, types, contracts, stubs and deployment files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/python libs/kalla_common/generate_stubs.py --check
	$(BIN)/hadolint deploy/docker/Dockerfile
	$(BIN)/pytest -q tests/unit/deploy

bench: $(VENV)/.dev ## Measure Kalla against other tools; ARGS="--quick" shortens the first part
	$(BIN)/python -m benchmarks.run $(ARGS)
	$(BIN)/python -m benchmarks.postgres
	$(BIN)/python -m benchmarks.s3
	$(BIN)/python -m benchmarks.opensearch
	$(BIN)/python -m benchmarks.latency

inference: $(VENV)/.dev ## Measure how well match recipes are inferred; ARGS="--rows 100000 --seeds 1"
	$(BIN)/python -m benchmarks.inference $(ARGS)

fuzz: $(VENV)/.dev ## Compare Kalla with DuckDB and PostgreSQL on CASES random cases (default 5000)
	$(BIN)/python -m tests.differential --cases $(or $(CASES),5000)

soak: $(VENV)/.dev ## Kill, stop and disturb a Kalla at work for MINUTES (default 3); SEED=1 repeats one; ARGS="--keep"
	$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),3) $(if $(SEED),--seed $(SEED)) $(ARGS)

attack: $(VENV)/.dev ## Send both REST interfaces EXAMPLES generated requests an operation (default 100); ARGS="--seed 1"
	@test -x .cache/attack/bin/st || { "$(PYTHON)" -m venv .cache/attack && .cache/attack/bin/pip install -q schemathesis==4.32.5; }
	$(BIN)/python -m tests.attack --program "$(CURDIR)/.cache/attack/bin/st" --examples $(or $(EXAMPLES),100) $(ARGS)

stubs: $(VENV)/.dev ## Generate the gRPC stubs anew
	$(BIN)/python libs/kalla_common/generate_stubs.py

constraints: $(VENV)/.dev ## Compile constraints.txt anew
	$(BIN)/pip-compile -q --extra dev --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --no-annotate --strip-extras -o constraints.txt pyproject.toml

clean: ## Remove what the other targets made
	rm -rf $(VENV) .cache benchmarks/data
