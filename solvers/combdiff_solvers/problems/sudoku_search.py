"""The rows of a batch of Sudokus in the kernel: their limits, their hints, and what came of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int, Int64
from numpy import ndarray

from combdiff_solvers.compute.sums import rounding, row_products
from combdiff_solvers.limits import Limits
from combdiff_solvers.problems.placement_kernels import LOW
from combdiff_solvers.problems.sudoku_kernels import sudokus
from combdiff_solvers.problems.sudoku_tree_kernels import DEPTH, FRESH, NODES, TIED, Tree
from combdiff_solvers.protocol import Rows, Sense, Solutions, Status

if TYPE_CHECKING:
    from combdiff_solvers.formulas.unique_model import UniqueModel

Grids = Int64[ndarray, "b k k"]
LOOK = 8  # nodes before the SAT oracle is asked, and between two looks at the clock (1 where a node takes long)
FOREVER = 2**60


@dataclass
class SudokuSearch:
    """A batch in the kernel.

    Args:
        theta, sense: of the batch.
        gains: (b, digit, n, n) integers, 0 to −2^50: θ, to be maximised, less a constant for each cell.
        exponent: (b,): a unit of the gains is 2^exponent of θ.
        clues, hints: (b, n, n), 0 for blank; hints are grids that hold the clues.
        limits: of time and gaps.
        messages: of the rows that are an ERROR, to which those of other rows are added.
    """

    theta: Rows
    sense: Sense
    gains: Int64[ndarray, "b k k k"]
    exponent: Int[ndarray, " b"]
    clues: Grids
    hints: Grids
    limits: Limits
    messages: dict[int, str]
    grids: Grids = field(init=False)

    def __post_init__(self) -> None:
        rows = len(self.theta)
        self.grids = np.zeros_like(self.clues)
        self.values, self.bounds = np.full(rows, LOW), np.full(rows, LOW)
        self.status = np.full(rows, Status.FEASIBLE, dtype=np.uint8)
        self.status[list(self.messages)] = Status.ERROR
        self._clock, self._limited = self.limits.start(), self.limits != Limits()

    def run(self, first: int, last: int, tree: Tree, oracle: Callable[[], UniqueModel | None]) -> None:
        """Solve the rows first..last−1. `oracle` makes a SAT oracle of the rules for rows with clues, or None."""
        row = first
        while row < last:
            tree.state[DEPTH], tree.state[TIED] = FRESH, 0
            row = self._advance(row, last, 0 if self._limited else LOOK, tree)
            if row < last:
                self._finish(row, tree, oracle)
                row += 1

    def _advance(self, first: int, last: int, nodes: int, tree: Tree) -> int:
        arrays = self.grids, self.values, self.bounds, self.status
        return int(sudokus(first, last, nodes, self.gains, self.clues, self.hints, tree, *arrays))

    def _finish(self, row: int, tree: Tree, oracle: Callable[[], UniqueModel | None]) -> None:
        """Go on with a row that the kernel has begun, to the end or to a limit."""
        seconds = self._clock.seconds()
        end = math.inf if seconds is None else monotonic() + seconds
        nodes = FOREVER if not self._limited else LOOK if self.clues.shape[1] <= 9 else 1
        asked = not self.clues[row].any()
        while self.status[row] == Status.FEASIBLE and monotonic() < end and not self._close(row):
            if not asked and tree.state[NODES] >= LOOK:
                asked = True
                self._ask(row, oracle())
            else:
                self._advance(row, row + 1, nodes, tree)

    def _ask(self, row: int, oracle: UniqueModel | None) -> None:
        """Take the only grid that holds the clues, if there is only one."""
        n = self.clues.shape[1]
        cells, clues = np.arange(n * n) * n, self.clues[row].reshape(-1)
        only = None if oracle is None else oracle.find((cells + clues)[clues > 0].tolist())
        if only is None:
            return
        self.status[row] = Status.OPTIMAL if only else Status.INFEASIBLE
        if only:
            cell, digit = np.divmod(np.array(sorted(only)) - 1, n)
            self.grids[row].reshape(-1)[cell] = digit
            self.values[row] = self.bounds[row] = self._value(row, self.grids[row])

    def _value(self, row: int, grid: Int64[ndarray, "k k"]) -> int:
        return int(np.take_along_axis(self.gains[row], grid[None], axis=0).sum())

    def _close(self, row: int) -> bool:
        """Whether the gaps allow an end."""
        if self.limits.exact or self.values[row] == LOW:
            return False
        gap = math.ldexp(float(self.bounds[row] - self.values[row]), int(self.exponent[row]))
        objective = row_products(self.theta[row : row + 1], self._one_hot(np.array([row])))[0]
        return bool(gap <= max(self.limits.absolute_gap, self.limits.relative_gap * abs(objective)))

    def _one_hot(self, rows: Int64[ndarray, " rows"]) -> Rows:
        n = self.clues.shape[1]
        return (self.grids[rows][..., None] == np.arange(n)).reshape(len(rows), n**3).astype(np.float64)

    def solutions(self) -> Solutions:
        """What came of the rows."""
        n, sign = self.clues.shape[1], self.sense.sign
        for row in np.flatnonzero((self.status == Status.FEASIBLE) & self.hints.any(axis=(1, 2))).tolist():
            value = self._value(row, self.hints[row] - 1)
            if value > self.values[row]:  # the search began anew without the hint, and a limit struck
                self.grids[row], self.values[row] = self.hints[row] - 1, value
        self.status[(self.status == Status.FEASIBLE) & (self.values == LOW)] = Status.LIMIT
        y = self._one_hot(np.arange(len(self.theta)))
        solved = self.status <= Status.FEASIBLE
        y[~solved] = np.nan
        objective = row_products(self.theta, y)
        left = np.where(solved, self.bounds, 0) - np.where(solved, self.values, 0)
        with np.errstate(over="ignore", invalid="ignore"):
            gap = np.ldexp(left.astype(np.float64), self.exponent)
            bound = objective - sign * (gap + np.ldexp(float(n * n), self.exponent) + rounding(self.theta))
        for row in np.flatnonzero(self.status == Status.FEASIBLE).tolist():
            self.messages[row] = f"another solution could be better by {gap[row]:.3g} at most: that much is not proven"
        for row in np.flatnonzero(self.status == Status.INFEASIBLE).tolist():
            self.messages[row] = "no grid holds these clues"
        bound = np.where(np.isfinite(bound), bound, -sign * np.inf)
        return Solutions(y, objective, bound=bound, status=self.status, messages=self.messages)
