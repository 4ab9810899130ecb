"""Ranks as the solution of a linear program over the permutahedron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.protocol import BatchSolver, Sense, Solutions


class Ranking(BatchSolver):
    """Ranks the entries of θ: 1 for the smallest, n for the largest (ascending, 1-based).

    Solves max ⟨θ, y⟩ over all permutations y of (1, ..., n), after Blondel et al. (2020), "Fast differentiable
    sorting and ranking", section 3. With `sense="min"` the ranks descend: 1 for the largest.
    Among equal entries the earlier one gets the smaller rank.

    Args:
        n: number of entries, at least 1.
        sense: "max" for ascending ranks, "min" for descending ones.

    Raises:
        ValueError: when n < 1.

    >>> Ranking(4).solve(np.array([[0.3, 2.0, -1.0, 0.9]])).y
    array([[2., 4., 1., 3.]])
    """

    def __init__(self, n: int, sense: Sense | str = Sense.MAX) -> None:
        if n < 1:
            raise ValueError(f"n={n} must be at least 1")
        self.shape: tuple[int, ...] = (n,)
        self.sense = Sense(sense)

    def solve_checked(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> Solutions:
        order = np.argsort(-self.sense.sign * theta, axis=1, kind="stable")
        y = np.empty_like(theta)
        np.put_along_axis(y, order, np.arange(1.0, theta.shape[1] + 1.0)[None, :], axis=1)
        return Solutions.from_y(y, theta, self.sense)
