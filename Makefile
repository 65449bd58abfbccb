# Few verbs: demo, test, lint, package, lock. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint package lock clean

## the main job on the embedded endpoint, no account needed
demo: $(VENV)/.runtime
	$(BIN)/ci-gate demo

## every test
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto

## linter, formatter, type checker, layer contracts
lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## build the wheel and run the main job from it in an empty environment, outside the checkout
package: $(VENV)/.dev
	PYTHON="$(abspath $(BIN)/python)" sh tests/package.sh

## remake the hash-locked requirements
lock: $(VENV)/.dev
	$(BIN)/pip-compile -q --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host \
	  --no-emit-find-links --no-annotate --no-header -o requirements.txt pyproject.toml
	$(BIN)/pip-compile -q --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host \
	  --no-emit-find-links --no-annotate --no-header --all-extras -o requirements-dev.txt pyproject.toml

clean:
	rm -rf $(VENV) build dist ci-gate-reports

$(VENV)/.runtime: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	touch $@

$(VENV)/.dev: requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@ $(VENV)/.runtime
