# What a user and CI call; `make` alone lists it. Needs a python3 from 3.9 on (with venv), git and make, nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
SETUP := $(PYTHON) -m local.setup
WORKERS ?= 2
MAINS := $(wildcard functions/*/main.py cloudrun/*/main.py dataproc_jobs/*/main.py flink/*/main.py)
PACKAGES := $(patsubst %/__init__.py,%,$(wildcard functions/*/*/__init__.py cloudrun/*/*/__init__.py dataproc_jobs/*/*/__init__.py flink/*/*/__init__.py))
NODE := $(VENV)/lib/python3.11/site-packages/playwright/driver/node

.PHONY: help
help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 26

.PHONY: setup
setup: ## installs all that the demo and the tests need, into this folder (about a minute)
	@$(SETUP) install

.PHONY: doctor
doctor: ## what this machine has, what is missing, and which targets can run
	@$(SETUP) doctor

.PHONY: demo
demo: setup ## a real minute and a real day of Bybit become candles before your eyes, then a synthetic market trades on
	@local/demo

.PHONY: unit
unit: setup test-js ## every test that starts no process; under a minute
	@$(VENV)/bin/pytest -q -n $(WORKERS) tests/unit tests/conformance/test_core.py tests/conformance/test_dashboard.py

.PHONY: test-js
test-js: setup ## the dashboard's scripts, in the node that a package of the tests brings
	@files=$$(find tests/unit -name 'test_*.mjs'); [ -n "$$files" ] || { echo "no test of a script was found"; exit 1; }; \
	$(NODE) --test --test-isolation=none --test-timeout=60000 --test-reporter=dot $$files

.PHONY: test
test: setup lint test-js ## lint, types, and every test that needs neither root nor Docker nor a browser
	@$(VENV)/bin/pytest -n $(WORKERS)

.PHONY: test-browser
test-browser: setup ## the dashboard in a real Chromium (Debian: apt-get install chromium; or CHROMIUM=/path/to/it)
	@$(VENV)/bin/pytest -m browser tests/browser

.PHONY: test-containers
test-containers: setup ## the end-to-end tests with stores, functions, producer and dashboard in containers (TESTS=...)
	@$(SETUP) compose || echo "docker compose was not installed: the printed file is run by the machine's own, if any"
	@$(VENV)/bin/python -m tests.containers $(TESTS)

.PHONY: setup-airflow
setup-airflow: setup ## installs Airflow for `pipeline up --airflow` (2.0 GB, 340 MB to download, about a minute)
	@$(SETUP) airflow

.PHONY: test-airflow
test-airflow: setup-airflow ## the DAGs on a real scheduler and triggerer, against the stand-ins; pictures need Chromium
	@$(VENV)/bin/pytest -m airflow tests/airflow

.PHONY: test-airflow-oldest
test-airflow-oldest: setup ## that the DAGs load on the oldest Airflow 3 of Composer, too
	@$(SETUP) oldest-airflow
	@AIRFLOW_ENVIRONMENT=.venv-airflow-oldest $(VENV)/bin/pytest -m airflow tests/airflow/test_integrity.py

.PHONY: setup-terraform
setup-terraform: setup ## installs what examines Terraform's files, and Terraform where the machine has none (130 MB to download)
	@$(SETUP) terraform

.PHONY: test-terraform
test-terraform: setup-terraform ## Terraform's files: form, rules, names, rights, limits (provider: the registry's, or TERRAFORM_MIRROR=FOLDER)
	@$(VENV)/bin/pytest -m terraform -n $(WORKERS) --dist loadgroup tests/terraform

.PHONY: chaos
chaos: setup ## ten minutes at 1,000 trades/s, a kill -9 every 20 s, overlapping deploys; the candles must be exact
	@CHAOS_SECONDS=600 CHAOS_RATE=1000 $(VENV)/bin/pytest -s tests/e2e/test_live_kill.py

.PHONY: chaos-backfill
chaos-backfill: setup ## 20 times two backfills at once with kills; one of 240 days with a kill -9 every 20 s; nothing twice
	@BACKFILL_ROUNDS=20 $(VENV)/bin/pytest -q tests/integration/local/test_backfills_at_once.py
	@$(VENV)/bin/python -m tests.bench.backfill_kills

.PHONY: chaos-simulated
chaos-simulated: setup ## the live feed in virtual time: thousands of minutes at random, and no false statement (MINUTES=10000)
	@$(VENV)/bin/python -m tests.support.simulated --minutes $(or $(MINUTES),10000)

.PHONY: chaos-backlog
chaos-backlog: setup ## Flink catches up with ten million trades: no candle may be final before it is whole (TRADES=1000000)
	@BACKLOG_TRADES=$(or $(TRADES),10000000) $(VENV)/bin/pytest -s tests/integration/test_flink_backlog.py

.PHONY: lint
lint: setup ## ruff, mypy, and oxlint of the dashboard's scripts
	@$(VENV)/bin/ruff format --check --quiet . || { echo "run 'make format'"; exit 1; }
	@$(VENV)/bin/ruff check --quiet .
	@found=$$($(VENV)/bin/oxlint --deny-warnings) || { echo "$$found"; exit 1; }
	@$(VENV)/bin/mypy --no-error-summary src local tests $(PACKAGES)
	@$(VENV)/bin/mypy --no-error-summary composer_dags
	@for main in $(MAINS); do $(VENV)/bin/mypy --no-error-summary "$$main"; done

.PHONY: format
format: setup ## formats the code
	@$(VENV)/bin/ruff format --quiet .
	@$(VENV)/bin/ruff check --fix --quiet .

.PHONY: bench bench-historical bench-live bench-dashboard bench-stack bench-backfill bench-images
bench: bench-backfill bench-historical bench-live bench-dashboard bench-stack ## every benchmark

bench-historical: setup ## our batch beside DuckDB, Polars, plain Spark and the floor, on 2-million-row days
	@$(VENV)/bin/python -m tests.bench.historical

bench-backfill: setup ## a backfill of years on Google Cloud, simulated in virtual time: wall time and cost (a minute)
	@$(VENV)/bin/python -m tests.bench.backfill_cloud

bench-images: setup ## size and time to start of each image, as the README's table has them; needs what test-containers needs
	@$(VENV)/bin/python -m tests.containers.table

bench-live: setup ## the live path: producer beside cryptofeed, catch-up, latency, memory (about 25 minutes)
	@$(SETUP) peer || echo "cryptofeed was not installed (it is built by a C compiler): the peer is a plain loop"
	@$(VENV)/bin/python -m tests.bench.live

bench-stack: setup ## ten times up and down: how long, and what is waited for (TIMES=50 for a soak)
	@$(VENV)/bin/python -m tests.bench.stack --times $(or $(TIMES),10)

bench-dashboard: setup ## the dashboard beside a whole Plotly figure a tick, 1,000 viewers, a year of minutes (about 22 minutes)
	@$(VENV)/bin/python -m tests.bench.dashboard

.PHONY: lock
lock: ## compiles every requirements.txt from pyproject.toml's groups (UPGRADE=--upgrade for the newest)
	@$(SETUP) lock $(UPGRADE)

.PHONY: lock-jars
lock-jars: setup ## resolves the Maven coordinates in local/java/jars.toml and writes their checksums
	@$(VENV)/bin/python -m local.java.jars lock

.PHONY: outdated
outdated: ## the pins that are behind, and known advisories: to look at once a month
	@$(SETUP) outdated

.PHONY: build
build: setup ## every artifact that ships, in dist/: the same commit gives the same bytes
	@$(SETUP) machine-packages
	@$(VENV)/bin/python -m local.build

.PHONY: sbom
sbom: ## the bill of materials of each image's packages (CycloneDX), in dist/ beside its context; needs no network
	@$(SETUP) sbom

# Deploying to Google Cloud: PROJECT=my-project REGION=europe-west1 ENV=history|small|full; YES=1 answers the question.
ENV ?= small
REGION ?= europe-west1
DEPLOY = $(VENV)/bin/python -m local.deploy --project "$(PROJECT)" --region "$(REGION)" --environment "$(ENV)" $(if $(YES),--yes) $(if $(VALUES),--values "$(VALUES)")

.PHONY: bootstrap
bootstrap: setup ## an empty Google Cloud project gets its APIs, buckets of state and artifacts, registry (PROJECT=, REGION=)
	@$(DEPLOY) bootstrap

.PHONY: publish
publish: build ## stores the artifacts of `make build` in the project (PROJECT=, REGION=)
	@$(DEPLOY) publish

.PHONY: deploy
deploy: setup ## Terraform applies an environment; a second time it changes nothing (PROJECT=, REGION=, ENV=history|small|full)
	@$(DEPLOY) deploy

.PHONY: clean
clean: ## removes what set-up and builds made; stacks' data (.pipeline) stays
	@rm -rf .venv .venv-* .jars .flink-packages .uv_cache .setup.lock build dist .mypy_cache .ruff_cache .pytest_cache
