# Every target builds .venv by itself, from locks with hashes, and does nothing the second time.
# PYTHON=python3.12 make test   uses another interpreter (then run `make clean` first).

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run test test-cluster test-bolt test-chart check lint format types arrows bench locks image test-image wheel test-wheel test-pythons clean

help:  ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/run.stamp  ## Start the service, install and activate the demo model, chat with it (ARGS=--check: once, then stop)
	@$(BIN)/model-manager quickstart $(ARGS)

test: $(VENV)/dev.stamp  ## Run the whole test suite
	@$(BIN)/python -m pytest -n 3 --dist loadgroup $(ARGS)

test-cluster: $(VENV)/test-chart.stamp  ## Test on a real Kubernetes with KServe and Knative, built here the first time (needs Go)
	@$(BIN)/python -m testcluster && $(BIN)/python -m pytest -vv -n 2 --dist worksteal -m cluster tests/cluster $(ARGS)

test-bolt: $(VENV)/dev.stamp  ## Compare how BoltDB files are read with bbolt itself, and record them anew (needs Go)
	@$(BIN)/python -m tests.state.bolt.compare

test-chart: $(VENV)/test-chart.stamp  ## Render the Helm chart with Helm, and run Argo CD's health checks
	@$(BIN)/python -m pytest -m chart tests/chart tests/argocd $(ARGS)

check: lint types arrows test  ## Everything that must hold before a change lands

lint: $(VENV)/dev.stamp  ## ruff: lint and format
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: $(VENV)/dev.stamp  ## Let ruff mend what it can
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

types: $(VENV)/dev.stamp  ## mypy, strict
	@$(BIN)/mypy

arrows: $(VENV)/dev.stamp  ## import-linter: the arrows of docs/architecture.md
	@$(BIN)/lint-imports --no-cache

bench: $(VENV)/dev.stamp  ## Measure (bench/README.md says what), results into bench/results/
	@$(BIN)/python -m bench $(ARGS)

image:  ## Build the image, with and without an engine (needs docker, podman or buildah; ARGS go to its `build`)
	@sh tools/image.sh $(ARGS)

test-image: $(VENV)/test-image.stamp  ## Build the image for real and run it as a pod does (needs root, buildah, mmdebstrap and runc)
	@$(BIN)/python -m pytest -vv -m image tests/image $(ARGS)

wheel: $(VENV)/dev.stamp  ## Build dist/*.whl
	@$(BIN)/python -m hatchling build -t wheel

test-wheel: wheel  ## Install the wheel in a bare venv and let it do the whole way once
	@sh tools/test-wheel.sh $(PYTHON)

test-pythons:  ## Run the suite on each Python from 3.11 to 3.14 that is found
	@sh tools/test-pythons.sh

locks: $(VENV)/dev.stamp  ## Pin the newest versions that are a week old, with hashes (needs uv)
	@sh tools/lock.sh

clean:  ## Remove what was built here (never your state folder)
	rm -rf $(VENV) .venvs dist build .mypy_cache .ruff_cache

$(VENV)/run.stamp: requirements/run.txt pyproject.toml tools/venv.sh
	@sh tools/venv.sh "$(PYTHON)" $(VENV) requirements/run.txt && touch $@

$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml tools/venv.sh
	@sh tools/venv.sh "$(PYTHON)" $(VENV) requirements/dev.txt && touch $(VENV)/run.stamp $@

$(VENV)/test-image.stamp: requirements/test-image.txt $(VENV)/dev.stamp
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $< && touch $@

$(VENV)/test-chart.stamp: requirements/chart.txt $(VENV)/dev.stamp
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $< && touch $@
