"""Feasible solutions found before, and the best of them for a θ."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.compute.threads import for_rows
from combdiff_solvers.pools.solution_pool_kernels import cheapest
from combdiff_solvers.protocol import Sense, row_products


class SolutionPool:
    """Different solutions of one feasible set, each with its h(y); at most `size`, the latest found."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rest: dict[bytes, tuple[Float64[ndarray, " n"], float]] = {}
        self._stacked: tuple[Float64[ndarray, "n k"], Float64[ndarray, " k"]] | None = None

    def add(self, y: Float64[ndarray, " n"], rest: float) -> None:
        """Keep a solution; `rest` is the part h(y) of its objective that θ does not price."""
        key = y.tobytes()
        if key not in self._rest:
            self._rest[key] = (y, rest)
            self._stacked = None
            if len(self._rest) > self._size:
                del self._rest[next(iter(self._rest))]

    @property
    def y(self) -> Float64[ndarray, "k n"]:
        """All solutions, the oldest first."""
        return self._stack()[0].T.copy()

    def _stack(self) -> tuple[Float64[ndarray, "n k"], Float64[ndarray, " k"]]:
        if self._stacked is None:
            y, rest = zip(*self._rest.values(), strict=True)
            self._stacked = np.stack(y, axis=1), np.array(rest)
        return self._stacked

    def best(
        self, theta: Float64[ndarray, "b n"], sense: Sense
    ) -> tuple[Float64[ndarray, "b n"], Float64[ndarray, " b"]]:
        """For each row of θ the best solution (the oldest among equals) and its objective.

        No matrix product: BLAS adds in an order that depends on the size of the batch, and its threads may hang a
        process that forks meanwhile.
        """
        columns, rest = self._stack()
        chosen = np.zeros(len(theta), dtype=np.int64)
        for_rows(cheapest, len(theta), sense.sign * theta, columns, sense.sign * rest, chosen, threads=None, grain=64)
        y = columns.T[chosen]
        return y, row_products(theta, y) + rest[chosen]
