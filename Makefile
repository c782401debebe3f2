# Needs make and a Python >= 3.11; everything else is set up in .venv.

PYTHON = $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format bench soak clean

help: ## say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.demo ## run a shop of microservices with clew watching it
	@$(BIN)/clew demo

test: $(VENV)/.dev ## run all checks and tests, with real servers
	@$(BIN)/python -m tests.servers.setup
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: $(VENV)/.dev ## check style, types and what imports what
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@told=$$($(BIN)/lint-imports --no-cache) || { echo "$$told"; exit 1; }

format: $(VENV)/.dev ## put the code into shape
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

bench: $(VENV)/.bench ## measure against the peers and print the tables
	@$(BIN)/python -m tests.servers.setup
	@$(BIN)/python -m benchmarks

soak: $(VENV)/.dev ## kill, fill and load the collector for CLEW_SOAK_MINUTES (30) and look at its memory
	@$(BIN)/python -m tests.servers.setup
	@$(BIN)/python -m tests.soak

clean: ## remove what was set up here
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# What is installed for one purpose serves the lesser ones too.
$(VENV)/.dev $(VENV)/.demo $(VENV)/.bench: $(VENV)/.%: pyproject.toml | $(BIN)/python
	@echo "installing clew[$*] into $(VENV)"
	@$(INSTALL) --editable '.[$*]'
	@test $* != dev || $(INSTALL) uwsgi >/dev/null 2>&1 || echo "uWSGI does not install here: its tests are skipped"
	@test $* != dev || $(INSTALL) --only-binary :all: 'atheris>=3,<4' >/dev/null 2>&1 || echo "atheris has no wheel for this: the fuzzers are skipped"
	@touch $@

$(BIN)/python:
	@python="$(PYTHON)"; test -n "$$python" || { echo "clew needs Python 3.11 or newer with the venv module (on Debian: apt install python3-venv)" >&2; exit 1; }; \
	$$python -m venv --clear $(VENV)
