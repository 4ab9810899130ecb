"""Memory over 100,000 re-solves of each back end: what the process holds after each fifth of them.

    pip install -e '.[benchmarks]'
    python -m experiments.benchmarks.memory

The bar is flat: the last fifth adds less than 0.1 MiB, that is 5 bytes a solve.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable

import numpy as np
from ortools.linear_solver import pywraplp
from ortools.sat.python import cp_model
from pysat.formula import CNF
from pyscipopt import Model

from combdiff.solvers import MixedInteger, Solver, wrap
from experiments.benchmarks.timing import resident_mib

SOLVES, BATCH, PARTS = 100_000, 1000, 5


def glop() -> Solver:
    """Two of five, by pywraplp."""
    model = pywraplp.Solver.CreateSolver("GLOP")
    x = [model.NumVar(0, 1, f"x{i}") for i in range(5)]
    model.Add(sum(x) == 2)
    return wrap(model, x)


def cp_sat() -> Solver:
    """Two of five, by CP-SAT."""
    model = cp_model.CpModel()
    x = [model.new_bool_var(f"x{i}") for i in range(5)]
    model.add(sum(x) == 2)
    return wrap(model, x)


def scip() -> Solver:
    """Two of five, by SCIP."""
    model = Model()
    x = [model.addVar(vtype="B") for _ in range(5)]
    model.addCons(x[0] + x[1] + x[2] + x[3] + x[4] == 2)
    return wrap(model, x)


def mixed_integer(backend: str) -> Solver:
    """Two of five, by a back end of MathOpt."""
    return MixedInteger(np.ones((1, 5)), 2, lower=2, integrality=1, bounds=(0, 1), backend=backend)


SOLVERS: dict[str, Callable[[], Solver]] = {
    "GLOP": glop,
    "CP-SAT": cp_sat,
    "SCIP": scip,
    "RC2": lambda: wrap(CNF(from_clauses=[[1, 2, 3], [-1, -2], [3, 4, 5], [-4, -5]]), [1, 2, 3, 4, 5]),
    "SCIP in OR-Tools": lambda: mixed_integer("scip"),
    "HiGHS in OR-Tools": lambda: mixed_integer("highs"),
}


def main() -> None:
    """Print each."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--solves", type=int, default=SOLVES)
    solves = arguments.parse_args().solves
    for name, make in SOLVERS.items():
        solver, rng = make(), np.random.default_rng(0)
        held = []
        for _ in range(PARTS):
            for _ in range(solves // PARTS // BATCH):
                assert solver.solve(rng.normal(size=(BATCH, 5))).solved.all()
            gc.collect()
            held.append(resident_mib())
        added = (held[-1] - held[-2]) * 2**20 / (solves / PARTS)
        print(
            f"{name:18} {' '.join(f'{mib:7.1f}' for mib in held)} MiB after each fifth of {solves:,} solves: "
            f"{added:.2f} bytes a solve in the last",
            flush=True,
        )


if __name__ == "__main__":
    main()
