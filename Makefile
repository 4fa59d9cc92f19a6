# Every target does its own set-up: a virtual environment in $(VENV), filled once and again when a dependency changes.
#
#   make demo     the whole loop on the built-in corpus, then the target is trained and the forecast scored
#   make test     lint and tests
#   make lint     ruff and mypy
#   make bench    the benchmark scripts, each against its bar
#   make docs     what is generated in docs/ and README.md
#   make setup    everything that the targets above install

PYTHON      ?= python3
VENV        ?= .venv
# More options of pip, such as an --extra-index-url with torch's builds without CUDA.
PIP_EXTRA   ?=
DEMO_BUDGET ?= 3min
SEED        ?= 0
LAB         ?= lab-demo

BIN := $(VENV)/bin
# The constraints pin torch: a bare range brings several gigabytes of CUDA, also where there is no GPU.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_EXTRA)

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench docs

help:
	@sed -n 's/^#   //p' Makefile

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.train: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "installing what training needs into $(VENV), one to three minutes"
	@$(PIP) -e '.[train]'
	@touch $@

$(VENV)/.all: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "installing everything into $(VENV), one to four minutes"
	@$(PIP) -e '.[all,test]'
	@touch $@ $(VENV)/.train

setup: $(VENV)/.all

demo: $(VENV)/.train
	$(BIN)/chidu run builtin --confirm --budget $(DEMO_BUDGET) --seed $(SEED) --out $(LAB)

lint: $(VENV)/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks docs/*.py

test: lint
	$(BIN)/python -m pytest

bench: $(VENV)/.train
	$(BIN)/python benchmarks/forecast_time.py --check
	$(BIN)/python benchmarks/fit_speed.py --check
	$(BIN)/python benchmarks/backtest.py --check
	$(BIN)/python benchmarks/kill_ladder.py --check
	$(BIN)/python benchmarks/next_run.py --check
	$(BIN)/python benchmarks/demo_seeds.py --check --budget $(DEMO_BUDGET)

docs: $(VENV)/.train
	$(BIN)/python docs/make_cli.py
	$(BIN)/python docs/make_examples.py
	$(BIN)/python docs/make_forecasts.py
	$(BIN)/python docs/make_readme.py
