# What a user and CI call; `make` alone lists it. Needs Python 3.11 (with venv), git and make, nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
VENV := .venv
BIGQUERY := .venv-bigquery
FLINK := .venv-flink
BENCH := .venv-bench
JARS := .jars
UV := $(VENV)/bin/uv
INSTALL := $(UV) pip install --quiet --require-hashes --no-deps
DUCKDB_EXTENSIONS := $(BIGQUERY)/home/.duckdb/extensions/v1.5.5/linux_amd64

.PHONY: help
help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 26

.PHONY: setup
setup: $(VENV)/.ready $(BIGQUERY)/.ready $(FLINK)/.ready $(JARS)/.ready ## installs all that the demo and the tests need, into this folder (about a minute)

# Each step is marked only when it is whole, so an interrupted set-up goes on where it stopped.
$(VENV)/.uv: local/bootstrap.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v == (3, 11) else f"Python 3.11 is needed, got {v[0]}.{v[1]}: make setup PYTHON=/path/to/python3.11")'
	@echo "set-up 1/6: the environment ($(VENV))"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r local/bootstrap.txt
	@touch $@

$(VENV)/.packages: $(VENV)/.uv local/requirements.txt
	@echo "set-up 2/6: libraries, Spark and Java (about 600 MB, once)"
	@$(INSTALL) --python $(VENV)/bin/python -r local/requirements.txt
	@touch $@

$(VENV)/.ready: $(VENV)/.packages pyproject.toml local/pipeline
	@echo "set-up 3/6: this project and its command"
	@$(UV) pip install --quiet --no-deps --no-build-isolation --python $(VENV)/bin/python --editable .
	@ln -sf ../../local/pipeline $(VENV)/bin/pipeline
	@touch $@

$(BIGQUERY)/.ready: $(VENV)/.uv local/bigquery/requirements.txt local/bigquery/find-python
	@echo "set-up 4/6: the BigQuery stand-in ($(BIGQUERY))"
	@$(UV) venv --quiet --clear --python "$$(local/bigquery/find-python)" $(BIGQUERY)
	@$(INSTALL) --python $(BIGQUERY)/bin/python -r local/bigquery/requirements.txt
	@mkdir -p $(DUCKDB_EXTENSIONS)
	@ln -sf "$$PWD"/$(BIGQUERY)/lib/python3.13/site-packages/duckdb_extension_*/extensions/v1.5.5/*.duckdb_extension $(DUCKDB_EXTENSIONS)/
	@touch $@

$(FLINK)/.ready: $(VENV)/.uv flink/candles/requirements.txt
	@echo "set-up 5/6: Flink ($(FLINK), about 1 GB, once)"
	@$(UV) venv --quiet --clear --python $(VENV)/bin/python $(FLINK)
	@$(INSTALL) --python $(FLINK)/bin/python -r flink/candles/requirements.txt
	@touch $@

$(JARS)/.ready: $(VENV)/.packages local/jars.py local/jars.toml
	@echo "set-up 6/6: Kafka and Flink's connectors (60 MB, once)"
	@$(VENV)/bin/python -m local.jars fetch
	@touch $@

.PHONY: demo
demo: setup ## a real day of Bybit's archive becomes candles in BigQuery's stand-in, before your eyes
	@local/demo

.PHONY: test
test: setup lint ## lint, types, and every test that needs neither root nor Docker nor a browser
	@$(VENV)/bin/pytest

.PHONY: test-browser
test-browser: setup ## the dashboard in a real Chromium (Debian: apt-get install chromium; or CHROMIUM=/path/to/it)
	@$(VENV)/bin/pytest -m browser tests/browser

.PHONY: chaos
chaos: setup ## ten minutes at 1,000 trades a second with a kill -9 every 20 s; the candles must be exact
	@CHAOS_SECONDS=600 CHAOS_RATE=1000 $(VENV)/bin/pytest -s tests/e2e/test_live_kill.py

.PHONY: lint
lint: setup ## ruff and mypy
	@$(VENV)/bin/ruff format --check --quiet . || { echo "run 'make format'"; exit 1; }
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy --no-error-summary src local tests
	@for main in functions/*/main.py flink/*/main.py; do $(VENV)/bin/mypy --no-error-summary "$$main"; done
	@for job in dataproc_jobs/*/ cloudrun/*/; do MYPYPATH=src:"$$job" $(VENV)/bin/mypy --no-error-summary "$$job"*.py; done

.PHONY: format
format: setup ## formats the code
	@$(VENV)/bin/ruff format --quiet .
	@$(VENV)/bin/ruff check --fix --quiet .

.PHONY: bench bench-historical bench-live bench-dashboard
bench: bench-historical bench-live bench-dashboard ## every benchmark

bench-historical: setup ## our batch beside DuckDB, Polars, plain Spark and the floor, on 2-million-row days
	@$(VENV)/bin/python -m tests.bench.historical

bench-live: setup $(BENCH)/.ready ## the live path: producer beside cryptofeed, catch-up, latency, memory (about 25 minutes)
	@$(VENV)/bin/python -m tests.bench.live

bench-dashboard: setup ## the dashboard beside a whole Plotly figure a tick, 200 viewers, a year of minutes (about 22 minutes)
	@$(VENV)/bin/python -m tests.bench.dashboard

# A peer, not a part: where its C code cannot be built, the plain loop is the peer.
$(BENCH)/.ready: $(VENV)/.uv tests/bench/cryptofeed.txt
	@echo "set-up of bench-live: cryptofeed ($(BENCH))"
	@$(UV) venv --quiet --clear --python $(VENV)/bin/python $(BENCH)
	@$(INSTALL) --python $(BENCH)/bin/python -r tests/bench/cryptofeed.txt && touch $@ || { echo "cryptofeed was not installed (it is built by a C compiler): the peer is the plain loop"; rm -rf $(BENCH); }

# Hashes, no addresses: a requirements file is the same wherever the packages come from.
LOCK = $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml

.PHONY: lock
lock: $(VENV)/.uv ## compiles every requirements.txt from pyproject.toml's groups (UPGRADE=--upgrade for the newest)
	@$(LOCK) $(UPGRADE) --python-version 3.11 --group bootstrap -o local/bootstrap.txt
	@$(LOCK) $(UPGRADE) --python-version 3.11 --group fetch-archive --group candles-job --group producer --group publish-live --group archive-live --group dashboard --group local --group dev -o local/requirements.txt
	@$(LOCK) $(UPGRADE) --python-version 3.13 --group bigquery-stand-in -o local/bigquery/requirements.txt
	@$(LOCK) $(UPGRADE) --python-version 3.11 --group flink -o flink/candles/requirements.txt
	@$(LOCK:pyproject.toml=tests/bench/cryptofeed.in) $(UPGRADE) --python-version 3.11 -o tests/bench/cryptofeed.txt
	@# A deployable installs exactly what was tested beside the others.
	@$(LOCK) --python-version 3.11 --group fetch-archive -c local/requirements.txt -o functions/fetch_archive/requirements.txt
	@$(LOCK) --python-version 3.11 --group candles-job -c local/requirements.txt -o dataproc_jobs/candles/requirements.txt
	@$(LOCK) --python-version 3.11 --group producer -c local/requirements.txt -o cloudrun/producer/requirements.txt
	@$(LOCK) --python-version 3.11 --group publish-live -c local/requirements.txt -o functions/publish_live/requirements.txt
	@$(LOCK) --python-version 3.11 --group archive-live -c local/requirements.txt -o functions/archive_live/requirements.txt
	@$(LOCK) --python-version 3.11 --group dashboard -c local/requirements.txt -o cloudrun/dashboard/requirements.txt

.PHONY: lock-jars
lock-jars: $(VENV)/.packages ## resolves the Maven coordinates in local/jars.toml and writes their checksums
	@$(VENV)/bin/python -m local.jars lock

.PHONY: clean
clean: ## removes what set-up and builds made; stacks' data (.pipeline) stays
	@rm -rf $(VENV) $(BIGQUERY) $(FLINK) $(BENCH) $(JARS) build dist .mypy_cache .ruff_cache .pytest_cache
