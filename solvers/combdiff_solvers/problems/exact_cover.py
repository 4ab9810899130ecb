"""Exact cover: every item in exactly one of the chosen options."""

from __future__ import annotations

from typing import Literal, Unpack

import numpy as np
from numpy import ndarray

from combdiff_solvers.formulas.formula import AtMost, Formula
from combdiff_solvers.formulas.formula_solver import FormulaSolver
from combdiff_solvers.limits import LimitOptions, Limits
from combdiff_solvers.problems.backends import check_backend
from combdiff_solvers.protocol import BatchSolver, Rows, Sense, Sets, Solutions

Backend = Literal["auto", "rc2", "cp_sat"]


class ExactCover(BatchSolver):
    """Choose options at the least (or largest) price ⟨θ, y⟩ so that every item is in exactly one of them.

    y ∈ {0, 1}^options with Mᵀy = 1 for the matrix M (options, items): D. E. Knuth's "Dancing links" (2000), here by
    solvers of formulas. A row without a cover is INFEASIBLE.

    - `"rc2"`: weighted MaxSAT (`SatModel`: exact, no rounding; slow where many prices differ and none rules).
    - `"cp_sat"`: OR-Tools (`CpSatFormula`).
    - `"auto"` (default): RC2 for rows of at most 64 different |prices|, CP-SAT for others (`AutoFormula`); RC2 for all
      without OR-Tools. A row whose instance leaves one cover needs neither: a warm SAT oracle knows.

    Rows may have `SatInstances` of their own: literal i + 1 makes option i part of the cover, −(i + 1) forbids it.

    Args:
        matrix: (options, items) of 0 and 1 or booleans: which items are in each option.
        sense: "min" or "max".
        backend: "auto", "rc2" or "cp_sat"; the attribute of that name says what was chosen.
        limits: `time_limit`, `batch_time_limit`, `relative_gap` and `absolute_gap`: see `Limits`.

    Raises:
        ValueError: for a matrix with no option or no item, or with other entries.
        ImportError: without PySAT (or OR-Tools, for "cp_sat"); the error names the extra.

    >>> options = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 0]])
    >>> ExactCover(options).solve(np.array([[1.0, 1, 1, 1], [1.0, 0, 2, 0]])).y
    array([[1., 0., 1., 0.],
           [0., 1., 0., 1.]])
    """

    takes_instances = True

    def __init__(
        self,
        matrix: ndarray,
        sense: Sense | str = Sense.MIN,
        backend: Backend = "auto",
        **limits: Unpack[LimitOptions],
    ) -> None:
        matrix = np.asarray(matrix)
        if matrix.ndim != 2 or not matrix.size or not np.isin(matrix, (0, 1)).all():
            raise ValueError(
                f"the matrix of an exact cover is (options, items) of 0 and 1, at least one of each: got {matrix.shape}"
            )
        check_backend(backend, Backend, limits, unlimited=())
        self.shape, self.sense = (len(matrix),), Sense(sense)
        literals = np.arange(1, len(matrix) + 1)
        make = _solver_class(backend)
        self._model = make(cover_formula(matrix), literals, self.shape, self.sense, Limits(**limits))
        self.backend = self._model.backend

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        return self._model.solve_checked(theta, instances)


def cover_formula(matrix: ndarray) -> Formula:
    """The formula of the exact covers of a matrix (options, items); option i is variable i + 1."""
    covering = [tuple((np.flatnonzero(item) + 1).tolist()) for item in matrix.T]
    at_most = tuple(AtMost(options, 1, (1,) * len(options)) for options in covering if len(options) > 1)
    return Formula(len(matrix), tuple(covering), at_most)


def _solver_class(backend: Backend) -> type[FormulaSolver]:
    if backend != "rc2":
        try:
            if backend == "cp_sat":
                from combdiff_solvers.formulas.formula_cp_sat import CpSatFormula

                return CpSatFormula
            from combdiff_solvers.formulas.formula_auto import AutoFormula

            return AutoFormula
        except ImportError as missing:
            if backend == "cp_sat":
                raise ImportError(
                    f"backend='cp_sat' needs OR-Tools: pip install 'combdiff[ortools]' ({missing})"
                ) from missing
    from combdiff_solvers.formulas.sat import SatModel

    return SatModel
