# Few verbs: demo, test, lint, chaos, mutants, fuzz, bench, package, audit, lock, schemas. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint chaos mutants fuzz bench package audit lock schemas failure-modes pictures platforms clean

## the main job on the embedded endpoint, no account needed
demo: $(VENV)/.runtime
	$(BIN)/ci-gate demo

## every test; one worker more than there are processors, for many tests wait for deadlines
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $$($(BIN)/python -c "import os; print((os.cpu_count() or 1) + 1)")

## linter, formatter, type checker, layer contracts
lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## random worlds and faults against the law of the gate: exit 0 is a proof; EXAMPLES=5000 of them, on all cores
chaos: $(VENV)/.dev
	$(BIN)/python tests/chaos/run.py

## three deliberate bugs, each of which that law must catch
mutants: $(VENV)/.dev
	$(BIN)/python tests/chaos/mutants.py

## what outsiders control, and each renderer, mangled for minutes; `make test` does a little of it
fuzz: $(VENV)/.dev
	CI_GATE_TEST_EFFORT=20 $(BIN)/python -m pytest tests/fuzz -n 2

## the figures of speed against a plain loop over the SDK; remakes what the README says of them; six minutes on a machine at rest
bench: $(VENV)/.dev
	$(BIN)/python benchmarks/bench.py

## build the wheel and run the main job from it in an empty environment, outside the checkout
package: $(VENV)/.dev
	PYTHON="$(abspath $(BIN)/python)" sh tests/package.sh

## ask the advisory database about the locked dependencies, with a tool in an environment of its own; needs the internet
audit:
	$(PYTHON) -m venv build/audit
	build/audit/bin/pip install -q --disable-pip-version-check pip-audit==2.10.1
	build/audit/bin/pip-audit --strict --disable-pip --require-hashes -r requirements.txt -r requirements-build.txt

## remake the hash-locked requirements; -build is what builds ci-gate and those of its dependencies that come as source
LOCK := $(BIN)/pip-compile -q --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host \
  --no-emit-find-links --no-annotate --no-header
lock: $(VENV)/.dev
	$(LOCK) -o requirements.txt pyproject.toml
	$(LOCK) --all-extras -o requirements-dev.txt pyproject.toml
	printf 'hatchling\nsetuptools\n' | $(LOCK) -c requirements-dev.txt -o requirements-build.txt -

## remake the JSON Schemas that are generated from models
schemas: $(VENV)/.dev
	$(BIN)/python -c "from ci_gate.policy.language.schema import schema_text as t; print(t(), end='')" > policies/policy.schema.json
	$(BIN)/python -c "from ci_gate.emulator.world import schema_text as t; print(t(), end='')" > ci_gate/emulator/world.schema.json
	$(BIN)/python -c "from ci_gate.result_document.shapes import schema_text as t; print(t(), end='')" > ci_gate/result.schema.json

## remake the tables of docs/failure-modes.md from the rows that the tests try
failure-modes: $(VENV)/.dev
	$(BIN)/python tests/acceptance/failure_modes.py

## remake the pictures of the README; needs Chromium and npm, which nothing else does
pictures: $(VENV)/.dev
	$(BIN)/python docs/pictures/make.py

## action, pipelines and Jenkinsfile under the tools of their platforms; minutes, npm; what cannot be had is skipped, and said at the end
platforms: $(VENV)/.dev
	PYTHON="$(abspath $(BIN)/python)" sh tests/platforms/tools.sh
	CI_GATE_PLATFORMS=1 $(BIN)/python -m pytest tests/platforms -n 2 -rs

clean:
	rm -rf $(VENV) build dist ci-gate-reports

# Packages come through the environment's proxy, or, where that is dead, without it.
NO_PROXIES := env -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY -u http_proxy -u https_proxy -u all_proxy
define install
$(BIN)/pip install -q --disable-pip-version-check --retries 2 $(1) || $(NO_PROXIES) $(BIN)/pip install -q --disable-pip-version-check $(1)
endef

$(VENV)/.runtime: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(call install,--require-hashes -r requirements.txt)
	$(call install,--no-deps -e .)
	touch $@

$(VENV)/.dev: requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(call install,--require-hashes -r requirements-dev.txt)
	$(call install,--no-deps --no-build-isolation -e .)
	touch $@ $(VENV)/.runtime
