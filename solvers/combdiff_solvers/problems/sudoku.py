"""Sudoku, with a price for each digit in each cell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isqrt
from typing import Unpack

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from combdiff_solvers.formulas.formula_solver import SatInstances
from combdiff_solvers.instances import ColumnInstances
from combdiff_solvers.limits import LimitOptions
from combdiff_solvers.problems.exact_cover import ExactCover
from combdiff_solvers.protocol import BatchSolver, Rows, Sense, Sets, Solutions


@dataclass(frozen=True, eq=False)
class SudokuInstances(ColumnInstances):
    """The clues of each puzzle of a batch.

    Args:
        clues: (b, n, n) digits 1..n, and 0 where a cell is blank.

    >>> len(SudokuInstances(clues=np.zeros((5, 9, 9), dtype=int)))
    5
    """

    clues: Shaped[ndarray, "b n n"] | None = None


class Sudoku(BatchSolver):
    """The filled n × n Sudoku grid of the highest (or lowest) score ⟨θ, y⟩, as one-hot digits.

    y has shape (n, n, n): y[r, c, d] is 1 where the digit d + 1 stands in row r and column c. θ scores each digit in
    each cell, as the logits of a network do. `SudokuInstances` give the clues of each row's puzzle, which must hold;
    a puzzle with one solution has that solution whatever θ, and one without any is INFEASIBLE.

    It is an exact cover of cells, rows, columns and boxes. Puzzles with one solution are solved by a warm SAT oracle
    (well below a millisecond each), others by weighted MaxSAT. A grid with few clues and dense random scores is a hard
    problem (the more digits are free, the harder): give it a time limit.

    Args:
        n: the order of the grid, a square number: 4, 9, 16, ...
        sense: "max" for scores, "min" for costs.
        limits: `time_limit`, `batch_time_limit`, `relative_gap` and `absolute_gap`: see `Limits`.

    Raises:
        ValueError: when n is not a square number above 1.
        ImportError: without PySAT; the error names the extra.

    >>> clues = np.zeros((1, 4, 4), dtype=int)
    >>> clues[0, 0] = [1, 2, 3, 4]
    >>> theta = np.zeros((1, 64))
    >>> theta[0, 18] = 1.0  # a 3 in row 1, column 0
    >>> grid = Sudoku(4).solve(theta, SudokuInstances(clues=clues)).y.reshape(4, 4, 4).argmax(-1) + 1
    >>> grid[0], grid[1, 0]
    (array([1, 2, 3, 4]), np.int64(3))
    """

    takes_instances = True

    def __init__(self, n: int = 9, sense: Sense | str = Sense.MAX, **limits: Unpack[LimitOptions]) -> None:
        box = isqrt(max(n, 0))
        if n < 2 or box * box != n:
            raise ValueError(f"n={n} must be a square number above 1: 4, 9, 16, ...")
        self.n = n
        self.shape: tuple[int, ...] = (n, n, n)
        row, column, digit = (axis.reshape(-1) for axis in np.indices(self.shape))
        within = row // box * box + column // box
        matrix = np.zeros((n**3, 4 * n * n), dtype=bool)
        for kind, (one, two) in enumerate(((row, column), (row, digit), (column, digit), (within, digit))):
            matrix[np.arange(n**3), kind * n * n + one * n + two] = True
        self._cover = ExactCover(matrix, sense, **limits)
        self.sense = self._cover.sense

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        if instances is None or not len(theta):
            return self._cover.solve_checked(theta, None)
        messages: dict[int, str] = {}
        given = SudokuInstances.of(instances).whole("clues", (self.n, self.n), messages)
        assert given is not None
        clues = given.reshape(len(theta), -1)
        bad = (clues < 0) | (clues > self.n)
        cells = np.arange(self.n * self.n) * self.n
        literals = np.where(clues > 0, cells + clues, 0)
        literals[bad] = self.n**3 + 1  # not a variable: that row is an ERROR
        literals[list(messages), 0] = self.n**3 + 1
        found = self._cover.solve_checked(theta, SatInstances(literals=literals))
        for puzzle in np.flatnonzero(bad.any(axis=1)).tolist():
            cell = int(bad[puzzle].argmax())
            where = divmod(cell, self.n)
            messages[puzzle] = f"the clue at {where} is {clues[puzzle, cell]}: digits are 1..{self.n}, 0 is blank"
        return replace(found, messages={**found.messages, **messages})
