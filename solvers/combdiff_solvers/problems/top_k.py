"""The k largest (or smallest) entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.protocol import BatchSolver, Sense, Solutions, as_whole


class TopK(BatchSolver):
    """Picks the `k` entries of θ with the largest sum, as a 0/1 vector.

    Solves max (or min) ⟨θ, y⟩ over y ∈ {0, 1}ⁿ with Σ y = k. Among equal entries the first ones are taken.
    With k = 1 it is the one-hot argmax.

    Args:
        n: number of entries.
        k: how many to pick, 1 ≤ k ≤ n.
        sense: "max" for the largest, "min" for the smallest.

    Raises:
        ValueError: when k is not in 1..n.

    >>> TopK(4, 2).solve(np.array([[0.3, 2.0, -1.0, 0.9]])).y
    array([[0., 1., 0., 1.]])
    """

    def __init__(self, n: int, k: int = 1, sense: Sense | str = Sense.MAX) -> None:
        if not 1 <= as_whole("k", k) <= n:
            raise ValueError(f"k={k} must lie in 1..n={n}")
        self.shape: tuple[int, ...] = (n,)
        self.k = k
        self.sense = Sense(sense)

    def solve_checked(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> Solutions:
        best = np.argsort(self.sense.sign * theta, axis=1, kind="stable")[:, : self.k]
        y = np.zeros_like(theta)
        np.put_along_axis(y, best, 1.0, axis=1)
        return Solutions.from_y(y, theta, self.sense)
