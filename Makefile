# The project's commands; `make` alone lists them. Nothing is needed beforehand but Python 3.11 or newer.
#   make train ARGS="--epochs 1"     what follows ARGS goes to the script; to pytest in `make test`
#   make test PYTHON=/opt/python     names the Python to build .venv with

PYTHON ?= python3 python3.13 python3.12 python3.11
VENV := .venv
python := $(VENV)/bin/python

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help train test lint bench clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

train: $(VENV)/examples.installed ## train a DenseNet on the images that ship with the project
	$(python) examples/train_densenet.py $(ARGS)

test: export OMP_NUM_THREADS = 1
test: export OPENBLAS_NUM_THREADS = 1
test: $(VENV)/dev.installed ## run the tests
	$(python) -m pytest -n auto --maxprocesses 4 $(ARGS)

lint: $(VENV)/dev.installed ## check style and types
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy

bench: $(VENV)/dev.installed ## run the benchmarks that need no GPU
	@set -e; for file in benchmarks/[a-z]*.py; do \
	    name=benchmarks.$$(basename $$file .py); \
	    echo "$(python) -m $$name"; $(python) -m $$name; \
	done

clean: ## remove the virtual environment, builds and caches
	rm -rf $(VENV) build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so an install that broke off is done again; so is one older than pyproject.toml.
$(VENV)/%.installed: pyproject.toml
	@$(make_venv)
	@echo "Installing minidl[$*] into $(VENV): this takes a minute"
	@$(python) -m pip install -qq --disable-pip-version-check --editable '.[$*]'
	@touch $@

# Keeps a $(VENV) that is whole (pip's RECORD is written last), else makes one with the first Python that can.
define make_venv
$(python) -c 'import sys; from importlib.metadata import files; \
    assert sys.version_info >= (3, 11) and sys.prefix != sys.base_prefix and files("pip")' 2>/dev/null && exit; \
for candidate in $(PYTHON); do \
    $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
    $$candidate -c 'import ensurepip, venv' 2>/dev/null || { lacking=$$candidate; continue; }; \
    echo "Making a virtual environment in $(VENV) with $$($$candidate --version)"; \
    exec $$candidate -m venv --clear $(VENV); \
done; \
if [ "$$lacking" ]; then \
    echo "$$lacking cannot make a virtual environment: it lacks the modules venv and ensurepip."; \
    echo "On Debian and Ubuntu: sudo apt install python3-venv"; \
else \
    echo "minidl needs Python 3.11 or newer; none of these is: $(PYTHON)."; \
    echo "Install one, or name yours: make train PYTHON=/path/to/python3"; \
fi >&2; \
exit 1
endef
