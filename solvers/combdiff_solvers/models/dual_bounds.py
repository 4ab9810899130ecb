"""Bounds on the optimum of a linear program that hold whatever the dual solution is, errors of floating point included.

After A. Neumaier and O. Shcherbina (2004), "Safe bounds in linear and mixed-integer linear programming".
"""

from __future__ import annotations

import numpy as np
import scipy.sparse
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.models.dual_bounds_kernels import dual_bounds
from combdiff_solvers.models.model_proto import Columns


class DualBounds:
    """Lower bounds on min ⟨c, x⟩ over row_lower ≤ A x ≤ row_upper, lower ≤ x ≤ upper."""

    def __init__(
        self,
        columns: Columns,
        matrix: scipy.sparse.csr_matrix,
        row_lower: Float64[ndarray, " r"],
        row_upper: Float64[ndarray, " r"],
    ) -> None:
        sides = columns.lower, columns.upper, row_lower, row_upper
        by_column = matrix.tocsc()
        self._program = *sides, by_column.indptr, by_column.indices, by_column.data

    def bounds(self, c: Float64[ndarray, "b v"], y: Float64[ndarray, "b r"]) -> Float64[ndarray, " b"]:
        """One a row, for any y; −∞ where a variable without a bound makes it so.

        A reduced cost that misses its sign by a rounding is mended by a step towards y = 0, where it is c.
        """
        found = np.empty(len(c))
        dual_bounds(0, len(c), c, y.copy(), *self._program, found)
        return found
