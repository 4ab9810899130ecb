"""Sudoku, with a price for each digit in each cell."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from math import isqrt
from typing import TYPE_CHECKING, Literal, Unpack

import numpy as np
from jaxtyping import Bool, Int, Int64, Shaped
from numpy import ndarray

from combdiff_solvers.compute.sums import exponents, unit_rows
from combdiff_solvers.compute.threads import check_threads, for_rows
from combdiff_solvers.formulas.formula_solver import SatInstances
from combdiff_solvers.instances import ColumnInstances
from combdiff_solvers.limits import LimitOptions, Limits
from combdiff_solvers.problems.backends import check_backend
from combdiff_solvers.problems.exact_cover import ExactCover, cover_formula
from combdiff_solvers.problems.sudoku_search import Grids, SudokuSearch
from combdiff_solvers.problems.sudoku_tree_kernels import tree
from combdiff_solvers.protocol import BatchSolver, Rows, Sense, Sets, Solutions
from combdiff_solvers.rows import PerThread

if TYPE_CHECKING:
    from combdiff_solvers.formulas.unique_model import UniqueModel

Backend = Literal["auto", "kernel", "rc2", "cp_sat"]
LARGEST = 16  # the order up to which the kernel is used: 25 × 25 has 120⁵ · 5⁵ ways to fill one band with a digit
BITS = 50  # of the largest gain of a row


@dataclass(frozen=True, eq=False)
class SudokuInstances(ColumnInstances):
    """The clues of each puzzle of a batch, and where the search for it may begin.

    Args:
        clues: (b, n, n) digits 1..n, and 0 where a cell is blank.
        hint: (b, n, n) filled grids, such as the last solution of that board; zeros for none. The kernel begins with
            it, and returns it where a limit leaves nothing better. It changes no answer that is OPTIMAL. One that is
            no grid, or does not hold the clues, is left aside, and so are all by the other back ends.

    >>> len(SudokuInstances(clues=np.zeros((5, 9, 9), dtype=int)))
    5
    """

    clues: Shaped[ndarray, "b n n"] | None = None
    hint: Shaped[ndarray, "b n n"] | None = field(default=None, metadata={"beside": True})


class Sudoku(BatchSolver):
    """The filled n × n Sudoku grid of the highest (or lowest) score ⟨θ, y⟩, as one-hot digits.

    y has shape (n, n, n): y[r, c, d] is 1 where the digit d + 1 stands in row r and column c. θ scores each digit in
    each cell, as the logits of a network do. `SudokuInstances` give the clues of each row's puzzle, which must hold;
    a puzzle with one solution has that solution whatever θ, and one without any is INFEASIBLE.

    - `"kernel"` (n up to 16): branch and bound over the rows of a batch by threads. Its Lagrangian bound has a price
      for each cell, and the best placement of each digit in all rows, columns and boxes. Scores that are the one-hot
      truth and normal noise of σ, 9 × 9, no clues, milliseconds a board on one core: 0.05 at σ = 0.3, 0.4 at 0.45, 1.2
      at 0.6, 40 at 0.8, and 300 for noise alone. It is exact up to 2n² · 2⁻⁵⁰ times the widest range of a cell.
    - `"rc2"`, `"cp_sat"`: `ExactCover`'s back ends, for any n. They do not end on scores that noise rules.
    - `"auto"` (default): the kernel, for n up to 16. Where clues are given, 8 nodes are not enough, and PySAT is there,
      a warm SAT oracle tells whether they leave one solution (16 × 16 puzzles with few clues are hard for the kernel).
      For larger n it is `ExactCover`'s "auto". No clock decides.

    A limit leaves the best grid so far (FEASIBLE) with a proven bound. The kernel looks at the clock between nodes,
    some 5 ms apart for n = 9, 0.3 s for n = 16. A row that no time is left for still gets a grid by a greedy dive.

    Args:
        n: the order of the grid, a square number: 4, 9, 16, ...
        sense: "max" for scores, "min" for costs.
        backend: "auto", "kernel", "rc2" or "cp_sat"; the attribute of that name says what was chosen.
        threads: how many rows the kernel solves at a time; every core if None.
        limits: `time_limit`, `batch_time_limit`, `relative_gap` and `absolute_gap`: see `Limits`.

    Raises:
        ValueError: when n is not a square number above 1, or too large for the kernel.
        ImportError: without PySAT or OR-Tools where they are needed; the error names the extra.

    Source: the bound is M. L. Fisher's (1981), "The Lagrangian relaxation method for solving integer programming
    problems"; options are fixed by the best placement through each cell.

    >>> clues = np.zeros((1, 4, 4), dtype=int)
    >>> clues[0, 0] = [1, 2, 3, 4]
    >>> theta = np.zeros((1, 64))
    >>> theta[0, 18] = 1.0  # a 3 in row 1, column 0
    >>> grid = Sudoku(4).solve(theta, SudokuInstances(clues=clues)).y.reshape(4, 4, 4).argmax(-1) + 1
    >>> grid[0], grid[1, 0]
    (array([1, 2, 3, 4]), np.int64(3))
    """

    takes_instances = True

    def __init__(
        self,
        n: int = 9,
        sense: Sense | str = Sense.MAX,
        backend: Backend = "auto",
        threads: int | None = None,
        **limits: Unpack[LimitOptions],
    ) -> None:
        box = isqrt(max(n, 0))
        if n < 2 or box * box != n:
            raise ValueError(f"n={n} must be a square number above 1: 4, 9, 16, ...")
        check_backend(backend, Backend, limits, unlimited=())
        if backend == "kernel" and n > LARGEST:
            raise ValueError(f"backend='kernel' takes n up to {LARGEST}, but n={n}: use 'auto', 'rc2' or 'cp_sat'")
        self.n, self.shape, self.sense = n, (n, n, n), Sense(sense)
        self.threads, self.limits = check_threads(threads), Limits(**limits)
        self._cover: ExactCover | None = None
        if backend == "kernel" or (backend == "auto" and n <= LARGEST):
            self.backend: str = "kernel"
            self._trees = PerThread(partial(tree, n))
            self._oracles = PerThread(partial(_oracle, n) if backend == "auto" else _no_oracle)
        else:
            self._cover = ExactCover(_cover(n), self.sense, backend, **limits)
            self.backend = self._cover.backend

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        shape, messages = (len(theta), self.n, self.n), dict[int, str]()
        clues, hint = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        if instances is not None and len(theta):
            given = SudokuInstances.of(instances)
            clues = self._digits(given, "clues", messages, clues)
            hint = self._digits(given, "hint", messages, hint)
        if self._cover is not None:
            return self._by_cover(self._cover, theta, None if instances is None else clues, messages)
        return self._by_kernel(theta, clues, hint, messages)

    def _digits(self, given: SudokuInstances, name: str, messages: dict[int, str], blank: Grids) -> Grids:
        """A column of grids; the rows in which it is bad are noted."""
        grids = given.whole(name, (self.n, self.n), messages)
        if grids is None:
            return blank
        bad = (grids < 0) | (grids > self.n)
        for row in np.flatnonzero(bad.any(axis=(1, 2))).tolist():
            where = tuple(np.argwhere(bad[row])[0].tolist())
            kind = "clue" if name == "clues" else "hint"
            messages[row] = f"the {kind} at {where} is {grids[row][where]}: digits are 1..{self.n}, 0 is blank"
        return grids

    def _by_cover(self, cover: ExactCover, theta: Rows, clues: Grids | None, messages: dict[int, str]) -> Solutions:
        if clues is None:
            return cover.solve_checked(theta, None)
        literals = np.where(clues > 0, np.arange(self.n**2).reshape(self.n, self.n) * self.n + clues, 0)
        literals = literals.reshape(len(theta), -1)
        literals[list(messages), 0] = self.n**3 + 1  # not a variable: that row is an ERROR
        found = cover.solve_checked(theta, SatInstances(literals=literals))
        return replace(found, messages={**found.messages, **messages})

    def _by_kernel(self, theta: Rows, clues: Grids, hint: Grids, messages: dict[int, str]) -> Solutions:
        gains, exponent = self._gains(theta)
        hint = np.where(self._are_grids(hint, clues)[:, None, None], hint, 0)
        search = SudokuSearch(theta, self.sense, gains, exponent, clues, hint, self.limits, messages)

        def work(first: int, last: int) -> None:
            search.run(first, last, self._trees.get(), self._oracles.get)

        for_rows(work, len(theta), threads=self.threads, grain=4)
        return search.solutions()

    def _gains(self, theta: Rows) -> tuple[Int64[ndarray, "b k k k"], Int[ndarray, " b"]]:
        """What each digit of each cell is worth beside the best of that cell, times a power of two; its exponent."""
        scores = -self.sense.sign * unit_rows(theta).reshape(-1, self.n * self.n, self.n)
        scores -= scores.max(axis=2, keepdims=True)
        shift = BITS - exponents(scores.reshape(theta.shape))
        whole = np.rint(np.ldexp(scores, shift[:, None, None])).astype(np.int64)
        whole = np.ascontiguousarray(whole.swapaxes(1, 2)).reshape(-1, self.n, self.n, self.n)
        return whole, exponents(theta) - shift

    def _are_grids(self, hint: Grids, clues: Grids) -> Bool[ndarray, " b"]:
        box, n = isqrt(self.n), self.n
        boxes = hint.reshape(-1, box, box, box, box).swapaxes(2, 3).reshape(-1, n, n)
        full = [(np.sort(units, axis=2) == np.arange(1, n + 1)).all(axis=(1, 2))
                for units in (hint, hint.swapaxes(1, 2), boxes)]  # fmt: skip
        return np.logical_and.reduce(full) & ((clues == 0) | (clues == hint)).all(axis=(1, 2))


def _cover(n: int) -> Bool[ndarray, "o i"]:
    """The digits of cells, and which cells, rows, columns and boxes with their digits they cover."""
    box = isqrt(n)
    row, column, digit = (axis.reshape(-1) for axis in np.indices((n, n, n)))
    within = row // box * box + column // box
    matrix = np.zeros((n**3, 4 * n * n), dtype=bool)
    for kind, (one, two) in enumerate(((row, column), (row, digit), (column, digit), (within, digit))):
        matrix[np.arange(n**3), kind * n * n + one * n + two] = True
    return matrix


def _oracle(n: int) -> UniqueModel | None:
    """A warm SAT oracle of the rules; None without PySAT."""
    try:
        from combdiff_solvers.formulas.unique_model import UniqueModel
    except ImportError:
        return None
    rules = cover_formula(_cover(n))
    at_most = [(list(one.literals), one.bound) for one in rules.at_most]
    return UniqueModel(rules.hard, at_most, rules.variables, rules.variables)


def _no_oracle() -> None:
    return None
