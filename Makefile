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

.PHONY: demo test lint types kernels kernels-of-solvers other-kernels unit mutants benchmarks docs study torchsort clean

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

# Compiled beside the types and on both cores, or each of pytest's processes would wait for the same ones.
kernels: kernels-of-solvers other-kernels

kernels-of-solvers: $(READY)
	$(BIN)/python -c "from combdiff.compute import classic_solvers, warm_up; warm_up(*classic_solvers())"

other-kernels: $(READY)
	$(BIN)/python -c "from combdiff.compute import warm_up_others; warm_up_others()"

# One thread each: as many of torch's as there are cores, in every process, would wait for each other.
unit: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal

# Changed signs and factors, each of which a test must see (tests/mutants).
mutants: $(READY)
	$(BIN)/python -m tests.mutants

# Every ratio that experiments/benchmarks/README.md prints; COMBDIFF_DATA names the data of satlib and sudoku.
benchmarks: $(READY) torchsort
	$(PIP) -e ".[benchmarks]"
	for name in $(BENCHMARKS); do $(BIN)/python -m experiments.benchmarks.$$name || exit 1; done

# The results of docs/study.md, its pictures and its PDF: about 20 minutes on two cores.
study: $(READY)
	$(PIP) -e ".[site]"
	$(BIN)/python -m experiments.study

# The site, in docs/_build/html; a warning is an error.
docs: $(READY)
	$(PIP) -e ".[site]"
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

# A peer of the soft operators, compiled here. Where nvcc is on the PATH but torch has no CUDA, its build would fail.
torchsort: $(READY) $(VENV)/.torchsort
	$(PIP) --no-deps $(VENV)/wheels/torchsort-*.whl

# It needs torch alone: one core compiles for a minute while the other installs the rest.
$(VENV)/.torchsort: $(VENV)/.compiler
	PATH=/usr/bin:/bin $(abspath $(BIN))/python -m pip wheel -q --no-deps --no-build-isolation -w $(VENV)/wheels torchsort==0.1.10
	@touch $@

$(VENV)/.compiler: $(VENV)/.torch
	$(PIP) setuptools wheel ninja
	@touch $@

# torch goes first and pinned: a range, or another package's wish, could bring gigabytes of GPU libraries.
$(VENV)/.torch: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "combdiff needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	@touch $@

$(READY): pyproject.toml $(VENV)/.torch
	$(PIP) -e ".[dev]"
	@touch $(READY)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache results
