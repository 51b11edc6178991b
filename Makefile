# `make` lists what there is. Everything installs itself into .venv, from the locked requirements, when it is needed.
.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
CHECKOV := .venv-checkov/bin
SOURCES := app.py chalicelib sandbox scripts tests benchmarks
SHIPPED := app.py chalicelib
PORT ?= 4566
MINUTES ?= 10
RUNS ?= 1000
LOCKED := requirements requirements-oldest requirements-dev requirements-checkov
OLDEST_TESTS := tests/unit/test_botocore.py tests/unit/test_adapters.py tests/unit/test_lean_models.py
# Every version with its hashes, pip's own too; no file names where packages come from
LOCK_OPTIONS := --generate-hashes --allow-unsafe --no-strip-extras --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
export AWS_DEFAULT_REGION ?= us-east-1
# Sets are walked in one order, so that a run of Hypothesis can be repeated in another process
REPEATABLE := PYTHONHASHSEED=0

.PHONY: help demo chaos defects chaos-cloud sandbox sandbox-down test test-fast check fmt openapi lock clean bench bench-small permissions regions test-oldest

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.venv/.installed: requirements.txt requirements-dev.txt
	@echo "installing the locked requirements into .venv (a minute or two the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

.venv-checkov/.installed: requirements-checkov.txt
	@echo "installing the locked template and secret linter into .venv-checkov (half a minute the first time)"
	@$(PYTHON) -m venv .venv-checkov
	@$(CHECKOV)/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes -r requirements-checkov.txt
	@touch $@

.venv-oldest/.installed: requirements-oldest.txt .venv/.installed
	@echo "installing the oldest botocore that is tested into .venv-oldest (seconds)"
	@rm -rf .venv-oldest
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --require-hashes --target .venv-oldest -r requirements-oldest.txt
	@touch $@

demo: .venv/.installed ## the main job on a local cloud, proven against the truth; ONCE=1 ends by itself, PORT=n
	@$(BIN)/python -m sandbox.demo --port $(PORT) $(if $(ONCE),--once)

chaos-cloud: .venv/.installed ## everything changes and breaks on a local cloud, then the truth; MINUTES=10, SEED=n
	@$(BIN)/python -m sandbox.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

sandbox: .venv/.installed ## the empty stack on a local cloud, left running; PORT=n
	@$(BIN)/python -m sandbox.cloud up --port $(PORT)

sandbox-down: .venv/.installed ## stop it
	@$(BIN)/python -m sandbox.cloud down

test: .venv/.installed test-oldest ## every test, on two processes; the adapters with the oldest botocore too
	@$(REPEATABLE) $(BIN)/python -m pytest -q -n 2 --dist loadgroup

test-oldest: .venv-oldest/.installed ## the adapters with the oldest botocore that is tested
	@PYTHONPATH=.venv-oldest $(BIN)/python -m pytest -q -n 2 $(OLDEST_TESTS)

chaos: .venv/.installed ## the product against a model, in process, whatever goes wrong; RUNS=n SEED=n
	@$(REPEATABLE) CHAOS_RUNS=$(RUNS) $(BIN)/python -m pytest -q -s tests/chaos --hypothesis-seed=$(or $(SEED),$(shell date +%s))

defects: .venv/.installed ## plant defects one by one, and say which tests notice; LAYERS=unit,chaos SHARD=1/2 JOBS=n
	@$(BIN)/python -m tests.defects --layers $(or $(LAYERS),unit,chaos) --shard $(or $(SHARD),1/1) --jobs $(or $(JOBS),2)

test-fast: .venv/.installed ## unit and property tests, with coverage
	@$(BIN)/python -m pytest -q -n 2 tests/unit tests/property --cov --cov-report=term:skip-covered --cov-fail-under=90

bench: .venv/.installed ## what everything costs, as ratios; table, plots and results.json in benchmarks/out
	@$(BIN)/python -m benchmarks

bench-small: .venv/.installed ## the ratios on small fleets, within a minute
	@$(BIN)/python -m benchmarks --small

check: .venv/.installed .venv-checkov/.installed ## formats, lints, types, imports, references, templates, secrets, dependencies
	@$(BIN)/ruff format --check --quiet $(SOURCES)
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/black --check --quiet $(SOURCES)
	@$(BIN)/flake8 $(SOURCES)
	@$(BIN)/bandit --quiet -c pyproject.toml -r $(SHIPPED)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m scripts.openapi --check docs/openapi.json
	@$(BIN)/python -m scripts.scaling --check docs/scaling.md
	@$(BIN)/python -m scripts.permissions --check docs/permissions.md
	@$(BIN)/python -m scripts.regions --check chalicelib/adapters/shipped_regions.py
	@$(BIN)/python -m scripts.references
	@$(BIN)/python -m sandbox.cloud template --out build/template.yaml
	@$(BIN)/cfn-lint build/template.yaml infra/*.yaml
	@$(BIN)/python -m scripts.authorization build/template.yaml .chalice/policy-*.json .chalice/resources.yaml infra/*
	@echo "looking for weak spots in templates and for secrets"
	@$(CHECKOV)/checkov --config-file .checkov.yaml --framework cloudformation -f build/template.yaml infra/*.yaml >build/checkov.txt || { cat build/checkov.txt; exit 1; }
	@$(CHECKOV)/checkov --config-file .checkov.yaml --framework secrets -f $$(git ls-files) >build/checkov.txt || { cat build/checkov.txt; exit 1; }
	@$(BIN)/python -m scripts.audit $(if $(STRICT),--strict) requirements.txt requirements-dev.txt requirements-checkov.txt
	@echo "all checks passed"

fmt: .venv/.installed ## format and mend what can be mended
	@$(BIN)/ruff check --fix --quiet $(SOURCES) || true
	@$(BIN)/ruff format --quiet $(SOURCES)

openapi: .venv/.installed ## write docs/openapi.json from the table of operations
	@$(BIN)/python -m scripts.openapi docs/openapi.json

regions: .venv/.installed ## write the shipped regions of DRS from the locked botocore
	@$(BIN)/python -m scripts.regions chalicelib/adapters/shipped_regions.py

permissions: .venv/.installed ## write docs/permissions.md from the policies and the table of proofs
	@$(BIN)/python -m scripts.permissions docs/permissions.md

lock: .venv/.installed ## lock requirements*.in with hashes; what is locked stays, UPGRADE=1 takes the newest
	@for name in $(LOCKED); do $(BIN)/pip-compile -q $(LOCK_OPTIONS) $(if $(UPGRADE),--upgrade) -o $$name.txt $$name.in || exit 1; done

clean: ## stop the local cloud, remove what was built
	@test ! -x $(BIN)/python || $(BIN)/python -m sandbox.cloud down
	@rm -rf .venv .venv-checkov .venv-oldest build .chalice/deployments sandbox/.state .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
