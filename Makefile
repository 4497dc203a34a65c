# Python 3.11 and a package index are all that these need.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
INSTALLED := $(VENV)/.installed
# Small enough for a few minutes on two cores; the quotes are for the shell that runs the recipe.
QUICKSTART ?= --workdir=runs/quickstart --dataset=digits --search_fraction=0.2 \
	'--model=mobilenet_v1?width=0.25&blocks=8' --train_epochs=12 --train_batch_size=64 \
	--retrain_epochs=10 --retrain_batch_size=64 --generations=6 --population=20
TESTS ?= tests
# Tests of one file share what is slow to make, so a file stays in one process. Each process takes up to 3 GiB.
WORKERS ?= 2

.PHONY: quickstart test lint format coverage clean

quickstart: $(INSTALLED)  ## The whole pipeline on embedded data, ending with the result table.
	$(VENV)/bin/tfmeta run $(QUICKSTART)

test: $(INSTALLED)  ## The test suite, or a part: make test TESTS=tests/graph
	$(VENV)/bin/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile $(TESTS)

lint: $(INSTALLED)  ## Style, format, and types of the core that needs no TensorFlow.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

coverage: $(INSTALLED)  ## All of keras.applications against every promise; writes docs/coverage.md. Goes on where it stopped.
	PYTHONPATH=. $(VENV)/bin/python benchmarks/coverage.py

format: $(INSTALLED)  ## Puts every file into the format that `make lint` asks for.
	$(VENV)/bin/ruff check --fix --select I .
	$(VENV)/bin/ruff format .

clean:  ## Removes what the targets above made, except the results in runs/.
	rm -rf $(VENV) build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(INSTALLED): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, PYTHON=... names one")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -r requirements.txt -e .
	touch $@
