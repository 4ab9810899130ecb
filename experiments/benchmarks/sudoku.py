"""Puzzles per second, and how that compares with a new PySAT oracle for each puzzle.

    pip install -e '.[benchmarks]'
    COMBDIFF_DATA=... python -m experiments.benchmarks.sudoku

1,000 puzzles each of three levels, every solution compared with the known one. The peer is PySAT's Glucose 3 on the
usual pairwise encoding, made anew for each puzzle, as most published scripts do it.
"""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path

import numpy as np
from numpy import ndarray
from pysat.solvers import Glucose3

from combdiff.solvers import Sudoku, SudokuInstances
from experiments.benchmarks.data import data_folder
from experiments.benchmarks.timing import race

PUZZLES = 1000


def digits(path: Path) -> ndarray:
    """(puzzles, 9, 9)."""
    return np.array([list(line) for line in path.read_text().split()[:PUZZLES]], dtype=int).reshape(-1, 9, 9)


def pairwise() -> list[list[int]]:
    """The clauses of the rules: each group of nine literals holds exactly one."""
    variable = np.arange(1, 730).reshape(9, 9, 9)
    boxes = variable.reshape(3, 3, 3, 3, 9).transpose(0, 2, 4, 1, 3)
    groups = variable, variable.transpose(0, 2, 1), variable.transpose(1, 2, 0), boxes
    clauses = []
    for group in np.concatenate([some.reshape(-1, 9) for some in groups]).tolist():
        clauses += [group, *([-a, -b] for a, b in itertools.combinations(group, 2))]
    return clauses


def by_pysat(clauses: list[list[int]], puzzles: ndarray) -> ndarray:
    """The grids, each by an oracle of its own."""
    cells = np.arange(81) * 9
    grids = np.zeros((len(puzzles), 81), dtype=int)
    for row, clues in enumerate(puzzles.reshape(-1, 81)):
        with Glucose3(bootstrap_with=clauses) as oracle:
            oracle.solve(assumptions=(cells + clues)[clues > 0].tolist())
            true = np.array([literal for literal in oracle.get_model() if literal > 0]) - 1
        grids[row, true // 9] = true % 9 + 1
    return grids.reshape(-1, 9, 9)


def main() -> None:
    """Solve, check and print."""
    folder = data_folder("sudoku")
    solver, clauses = Sudoku(threads=1), pairwise()
    for level in ("kids", "easy", "medium"):
        puzzles, solutions = digits(folder / f"{level}.txt"), digits(folder / f"{level}.solutions.txt")
        theta = np.random.default_rng(0).normal(size=(len(puzzles), 729))
        found = solver.solve(theta, SudokuInstances(clues=puzzles))
        right = (found.y.reshape(-1, 9, 9, 9).argmax(-1) + 1 == solutions).all(axis=(1, 2)).sum()
        ours = partial(solver.solve, theta[:100], SudokuInstances(clues=puzzles[:100]))
        peer = partial(by_pysat, clauses, puzzles[:100])
        seconds = race({"combdiff": ours, "pysat": peer}, rounds=7, warm_up=1)
        print(
            f"{level}: {right} of {len(puzzles)} right, {100 / seconds['combdiff']:.0f} puzzles per second, "
            f"{seconds['pysat'] / seconds['combdiff']:.1f} times a PySAT oracle for each puzzle"
        )


if __name__ == "__main__":
    main()
