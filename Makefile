# Two commands on a fresh machine with Python 3.11+ and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install -q --no-compile -c constraints.txt

# Python keeps the bytecode of what it imports, which is a tenth of what pip would compile; without it, each of the
# many processes of tests and trainings would compile the packages again. (Empty is unset.)
export PYTHONDONTWRITEBYTECODE :=

BENCHMARKS := shortest_path lean versus_pyepo tsp parallel memory front_ends soft_sort \
	$(if $(COMBDIFF_DATA),satlib sudoku sudoku_noise)

.PHONY: demo test lint types kernels unit mutants benchmarks torchsort clean

demo: $(READY)
	$(BIN)/python -m experiments shortest-path --preset demo

test: $(READY)
	$(MAKE) -j2 lint types kernels
	$(MAKE) unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

# Compiled beside the types, or each of pytest's processes would wait for the same ones.
kernels: $(READY)
	$(BIN)/python -c "import combdiff.compute; combdiff.compute.warm_up()"

unit: $(READY)
	$(BIN)/python -m pytest -q -n auto --dist worksteal

# Changed signs and factors, each of which a test must see (tests/mutants.py).
mutants: $(READY)
	$(BIN)/python -m tests.mutants

# Every ratio that experiments/benchmarks/README.md prints; COMBDIFF_DATA names the data of satlib and sudoku.
benchmarks: $(READY) torchsort
	$(PIP) -e ".[benchmarks]"
	for name in $(BENCHMARKS); do $(BIN)/python -m experiments.benchmarks.$$name || exit 1; done

# A peer of the soft operators, compiled here. Where nvcc is on the PATH but torch has no CUDA, its build would fail.
torchsort: $(READY)
	$(PIP) setuptools wheel ninja
	PATH=/usr/bin:/bin $(abspath $(BIN))/python -m pip install -q --no-build-isolation torchsort==0.1.10

# torch goes first and pinned: a range, or another package's wish, could bring gigabytes of GPU libraries.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "combdiff needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e ".[dev]"
	@touch $(READY)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache results
