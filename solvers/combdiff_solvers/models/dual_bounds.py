"""Bounds on the optimum of a linear program that hold whatever the dual solution is, errors of floating point included.

After A. Neumaier and O. Shcherbina (2004), "Safe bounds in linear and mixed-integer linear programming".
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.models.dual_bounds_kernels import dual_bounds
from combdiff_solvers.models.linear_model import LinearModel


class DualBounds:
    """Lower bounds on min ⟨c, x⟩ over row_lower ≤ A x ≤ row_upper, lower ≤ x ≤ upper."""

    def __init__(self, model: LinearModel) -> None:
        by_column = model.A.tocsc()
        sides = model.lower, model.upper, model.row_lower, model.row_upper
        self._program = *sides, by_column.indptr, by_column.indices, by_column.data

    def bounds(self, c: Float64[ndarray, "b v"], y: Float64[ndarray, "b r"]) -> Float64[ndarray, " b"]:
        """One a row, for any y; −∞ where a variable without a bound makes it so.

        A reduced cost that misses its sign by a rounding is mended by a step towards y = 0, where it is c.
        """
        found = np.empty(len(c))
        dual_bounds(0, len(c), c, y.copy(), *self._program, found)
        return found
