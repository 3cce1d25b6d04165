# The commands of this project. Everything is installed into .venv with Python's own venv and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test test-slow test-all lint openapi client bench constraints clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[training]' --group dev
	touch $(STAMP)

demo: install
	$(BIN)/tfclip demo

test: install
	$(BIN)/python -m pytest -m "not slow"

# Killed processes, fuzzing: minutes more.
test-slow: install
	$(BIN)/python -m pytest -m slow

test-all: install
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m service.store.check
	$(BIN)/python -m service.openapi | cmp - docs/openapi.json || { echo "run: make openapi"; exit 1; }
	$(BIN)/python -m tools.asynchronous_client --check

# The description of the HTTP interface, as it is committed.
openapi: install
	$(BIN)/python -m service.openapi > docs/openapi.json

# The asynchronous client, which is generated from the synchronous one.
client: install
	$(BIN)/python -m tools.asynchronous_client

bench: install
	$(BIN)/python -m benchmarks

# The versions that are known to work together, names and versions only.
constraints: install
	$(BIN)/python -m pip freeze --exclude-editable --all | grep -E '^[A-Za-z0-9_.-]+==' > constraints.txt

clean:
	rm -rf $(VENV) *.egg-info build dist .pytest_cache .mypy_cache .ruff_cache
