"""Sudoku from noisy scores: milliseconds a board against CP-SAT and toulbar2, called directly on the same boards.

    pip install -e '.[benchmarks]' pytoulbar2
    COMBDIFF_DATA=... python -m experiments.benchmarks.sudoku_noise

θ is the one-hot solution of a board plus normal noise of σ on all 729 entries: what a reader gives before it can read.
No clue is given, and the best grid of all is sought. 100 boards for each σ, one thread each, in turns, by CPU time, 1 s
a board (0.5 s from σ = 0.6 on). The peers' clocks start when their models are built, ours with the call. Without the
package `pytoulbar2` there is no row of toulbar2; its limit is in whole seconds.

CP-SAT has an exactly-one constraint for each cell, and for each digit of a row, column and box; both with its presolve
and without, which is better by far here. toulbar2 has a variable for each cell, its scores as unary costs, and a hard
difference of each two cells of a row, column or box.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from ortools.sat.python import cp_model

from combdiff.solvers import Status, Sudoku
from experiments.benchmarks.data import data_folder

SIGMAS = (0.1, 0.3, 0.45, 0.6, 0.8, 1.0)
SCALE = 10**6  # of the peers' integer costs
Row = tuple[float, bool, bool]  # milliseconds, whether there is a grid, whether it is proven


def boards(folder: Path, count: int, sigma: float) -> ndarray:
    """(count, 729) scores of the last boards of a file."""
    lines = (folder / "easy.solutions.txt").read_text().split()[-count:]
    truth = np.eye(9)[np.array([list(line) for line in lines], dtype=int) - 1].reshape(count, 729)
    return truth + sigma * np.random.default_rng(int(1000 * sigma)).normal(size=truth.shape)


def groups() -> list[list[int]]:
    """The entries of θ of which one is 1: a cell's digits, and a digit's cells in a row, a column and a box."""
    entry = np.arange(729).reshape(9, 9, 9)
    boxes = entry.reshape(3, 3, 3, 3, 9).transpose(0, 2, 4, 1, 3)
    kinds = entry, entry.transpose(0, 2, 1), entry.transpose(1, 2, 0), boxes
    return np.concatenate([kind.reshape(-1, 9) for kind in kinds]).tolist()


@lru_cache
def warm(limit: float) -> Sudoku:
    """The solver of the rows with one limit."""
    return Sudoku(threads=1, time_limit=limit)


def by_combdiff(theta: ndarray, limit: float) -> Row:
    """`Sudoku()`, a call for each board."""
    solver = warm(limit)
    began = time.process_time()
    status = solver.solve(theta[None]).status[0]
    return 1000 * (time.process_time() - began), status <= Status.FEASIBLE, status == Status.OPTIMAL


def by_cp_sat(theta: ndarray, limit: float, presolve: bool) -> Row:
    """CP-SAT; the time is that of its solve alone."""
    model = cp_model.CpModel()
    x = [model.new_bool_var("") for _ in theta]
    for group in groups():
        model.add_exactly_one([x[entry] for entry in group])
    model.maximize(cp_model.LinearExpr.weighted_sum(x, np.rint(SCALE * theta).astype(int).tolist()))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers, solver.parameters.random_seed = 1, 1
    solver.parameters.cp_model_presolve, solver.parameters.max_time_in_seconds = presolve, limit
    began = time.process_time()
    status = solver.solve(model)
    took = 1000 * (time.process_time() - began)
    return took, status in (cp_model.OPTIMAL, cp_model.FEASIBLE), status == cp_model.OPTIMAL


def by_toulbar2(theta: ndarray, limit: float) -> Row:
    """toulbar2; the time is that of its solve alone."""
    from pytoulbar2 import CFN

    costs = np.rint(SCALE * (theta.max() - theta)).astype(int).reshape(81, 9)
    problem = CFN(SCALE * 1000, verbose=-1)
    for cell in range(81):
        problem.AddVariable(f"c{cell}", range(9))
        problem.AddFunction([cell], costs[cell].tolist())
    different = (np.eye(9, dtype=int) * SCALE * 1000).reshape(-1).tolist()
    for one, two in pairs():
        problem.AddFunction([one, two], different)
    began = time.process_time()
    found = problem.Solve(timeLimit=max(1, round(limit)))
    took = 1000 * (time.process_time() - began)
    return took, found is not None, found is not None and took < 1000 * max(1, round(limit))


def pairs() -> list[tuple[int, int]]:
    """Two cells of one row, column or box."""
    row, column = np.divmod(np.arange(81), 9)
    units = row, column, row // 3 * 3 + column // 3
    return [(one, two) for one, two in combinations(range(81), 2) if any(unit[one] == unit[two] for unit in units)]


def main() -> None:
    """Solve and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--boards", type=int, default=100)
    parser.add_argument("--sigma", type=float, nargs="+", default=SIGMAS)
    options = parser.parse_args()
    folder = data_folder("sudoku")
    contestants: dict[str, Callable[[ndarray, float], Row]] = {
        "combdiff": by_combdiff,
        "CP-SAT": partial(by_cp_sat, presolve=True),
        "CP-SAT, no presolve": partial(by_cp_sat, presolve=False),
    }
    if importlib.util.find_spec("pytoulbar2"):
        contestants["toulbar2"] = by_toulbar2
    for limit in (0.5, 1.0):
        warm(limit).solve(np.zeros((1, 729)))  # compiles
    print("| σ | | median ms | max ms | with a grid | proven |\n|---|---|---|---|---|---|")
    for sigma in options.sigma:
        limit = 1.0 if sigma < 0.6 else 0.5
        rows: dict[str, list[Any]] = {name: [] for name in contestants}
        for theta in boards(folder, options.boards, sigma):
            for name, solve in contestants.items():
                rows[name].append(solve(theta, limit))
        for name, found in rows.items():
            took, has_grid, proven = (np.array(part, dtype=float) for part in zip(*found, strict=True))
            print(
                f"| {sigma} | {name} | {np.median(took):.3g} | {took.max():.3g} | {has_grid.mean():.0%} | "
                f"{proven.mean():.0%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
