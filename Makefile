# The commands of the project. `make run` and `make test` set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/data
JSON ?=
bench = $(BIN)/python -m tests.bench.$(1) --data $(DATA) $(if $(JSON),--json $(JSON))

.PHONY: run setup setup-dev check lint types imports test clean

run: setup
	@$(BIN)/python launch.py

setup: $(VENV)/.installed

setup-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

check: lint types imports test

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup-dev
	$(BIN)/mypy

imports: setup-dev
	$(BIN)/lint-imports

test: setup-dev
	$(BIN)/python -m pytest

bench-%: setup-dev
	$(call bench,$*)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache
