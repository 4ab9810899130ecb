"""Bounds on the optimum of a linear program that hold whatever the dual solution is, errors of floating point included.

After A. Neumaier and O. Shcherbina (2004), "Safe bounds in linear and mixed-integer linear programming".
"""

from __future__ import annotations

import numpy as np
import scipy.sparse
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.models.model_proto import Columns

ULP = 2.0**-52


class DualBounds:
    """Lower bounds on min ⟨c, x⟩ over row_lower ≤ A x ≤ row_upper, lower ≤ x ≤ upper."""

    def __init__(
        self,
        columns: Columns,
        matrix: scipy.sparse.csr_matrix,
        row_lower: Float64[ndarray, " r"],
        row_upper: Float64[ndarray, " r"],
    ) -> None:
        self._lower, self._upper = columns.lower, columns.upper
        self._row_lower, self._row_upper = row_lower, row_upper
        self._matrix, self._sizes = matrix.T.tocsr(), abs(matrix).T.tocsr()
        self._terms = int(np.diff(self._matrix.indptr).max(initial=0)) + 4

    def bounds(self, c: Float64[ndarray, "b v"], y: Float64[ndarray, "b r"]) -> Float64[ndarray, " b"]:
        """One a row, for any y; −∞ where a variable without a bound makes it so.

        A reduced cost that misses its sign by a rounding is mended by a step towards y = 0, where it is c.
        """
        c, y = c.T, y.T
        y = np.where(
            ((y > 0) & (self._row_lower == -np.inf)[:, None]) | ((y < 0) & (self._row_upper == np.inf)[:, None]), 0.0, y
        )
        low, high = self._reduced(c, y)
        with np.errstate(all="ignore"):
            misses = np.maximum(
                np.where((self._upper == np.inf)[:, None] & (low < 0), low / (low - c), 0.0),
                np.where((self._lower == -np.inf)[:, None] & (high > 0), high / (high - c), 0.0),
            )
            step = np.where(misses < 1e-6, 2 * misses, 0.0).max(axis=0, initial=0.0)
            if step.any():
                y = y * (1 - step)
                low, high = self._reduced(c, y)
            sides = np.where(y > 0, self._row_lower[:, None], self._row_upper[:, None])
            rows = np.where(y == 0, 0.0, y * sides)
            ends = [r * side[:, None] for r in (low, high) for side in (self._lower, self._upper)]
            box = np.minimum.reduce([np.where(np.isnan(end), 0.0, end) for end in ends])
            terms = np.concatenate([rows, box])
            total = terms.sum(axis=0)
            found: Float64[ndarray, " b"] = total - (len(terms) + 4) * ULP * np.abs(terms).sum(axis=0)
        return np.where(np.isfinite(found), found, -np.inf)

    def _reduced(
        self, c: Float64[ndarray, "v b"], y: Float64[ndarray, "r b"]
    ) -> tuple[Float64[ndarray, "v b"], Float64[ndarray, "v b"]]:
        """Intervals that hold the reduced costs c − Aᵀ y, the rounding of c = θ + h included."""
        reduced = c - self._matrix @ y
        error = self._terms * ULP * (np.abs(c) + self._sizes @ np.abs(y))
        return reduced - error, reduced + error
