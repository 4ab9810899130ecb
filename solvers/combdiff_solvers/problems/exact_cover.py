"""Exact cover: every item in exactly one of the chosen options."""

from __future__ import annotations

from typing import Unpack

import numpy as np
from numpy import ndarray

from combdiff_solvers.formulas.formula import AtMost, Formula
from combdiff_solvers.limits import LimitOptions, Limits
from combdiff_solvers.protocol import BatchSolver, Rows, Sense, Sets, Solutions


class ExactCover(BatchSolver):
    """Choose options at the least (or largest) price ⟨θ, y⟩ so that every item is in exactly one of them.

    y ∈ {0, 1}^options with Mᵀy = 1 for the matrix M (options, items): D. E. Knuth's "Dancing links" (2000), here by
    weighted MaxSAT (`SatModel`: exact, no rounding). A row without a cover is INFEASIBLE.

    Rows may have `SatInstances` of their own: literal i + 1 makes option i part of the cover, −(i + 1) forbids it.

    Args:
        matrix: (options, items) of 0 and 1 or booleans: which items are in each option.
        sense: "min" or "max".
        limits: `time_limit`, `batch_time_limit`, `relative_gap` and `absolute_gap`: see `Limits`.

    Raises:
        ValueError: for a matrix with no option or no item, or with other entries.
        ImportError: without PySAT; the error names the extra.

    >>> options = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 0]])
    >>> ExactCover(options).solve(np.array([[1.0, 1, 1, 1], [1.0, 0, 2, 0]])).y
    array([[1., 0., 1., 0.],
           [0., 1., 0., 1.]])
    """

    takes_instances = True

    def __init__(self, matrix: ndarray, sense: Sense | str = Sense.MIN, **limits: Unpack[LimitOptions]) -> None:
        matrix = np.asarray(matrix)
        if matrix.ndim != 2 or not matrix.size or not np.isin(matrix, (0, 1)).all():
            raise ValueError(
                f"the matrix of an exact cover is (options, items) of 0 and 1, at least one of each: got {matrix.shape}"
            )
        from combdiff_solvers.formulas.sat import SatModel

        covering = [tuple((np.flatnonzero(item) + 1).tolist()) for item in matrix.T]
        at_most = tuple(AtMost(options, 1, (1,) * len(options)) for options in covering if len(options) > 1)
        formula = Formula(len(matrix), tuple(covering), at_most)
        self.shape, self.sense = (len(matrix),), Sense(sense)
        self._model = SatModel(formula, np.arange(1, len(matrix) + 1), self.shape, self.sense, Limits(**limits))

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        return self._model.solve_checked(theta, instances)
