"""A solver that tries every point, and a feasible set for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.protocol import BatchSolver, Sense, Solutions, Status

HYPERSIMPLEX = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1], [0, 0, 1, 1]], float)


class Enumerated(BatchSolver):
    """The best of an explicit list of points, found by trying each: the reference for small problems.

    An instance is the sequence of the numbers of the points that are allowed; an empty one is INFEASIBLE.

    Args:
        points: (k, n), the feasible points.
        sense: "min" or "max".

    >>> corners = Enumerated(np.eye(3), "max")
    >>> corners.solve(np.array([[1.0, 5.0, 2.0]]), instances=[[0, 2]]).y
    array([[0., 0., 1.]])
    """

    def __init__(self, points: Float64[ndarray, "k n"], sense: Sense | str = Sense.MIN) -> None:
        self.points = points
        self.shape: tuple[int, ...] = (points.shape[1],)
        self.sense = Sense(sense)

    takes_instances = True

    def solve_checked(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> Solutions:
        """Solve every row; among equally good points the first is taken."""
        cost = np.zeros((len(theta), len(self.points)))
        for entry, column in zip(self.points.T, self.sense.sign * theta.T, strict=True):  # the same sums in any batch
            cost += column[:, None] * entry
        if instances is not None:
            for row, allowed in enumerate(instances):
                closed = np.setdiff1d(np.arange(len(self.points)), np.asarray(allowed, dtype=int))
                cost[row, closed] = np.inf
        y = self.points[cost.argmin(axis=1)]
        status = np.where(np.isinf(cost.min(axis=1)), Status.INFEASIBLE, Status.OPTIMAL).astype(np.uint8)
        y[status == Status.INFEASIBLE] = np.nan
        return Solutions.from_y(y, theta, self.sense, status)


class CutShort(Enumerated):
    """`Enumerated` that reports every solution as an incumbent, FEASIBLE, with a proven bound that is better by 2.5.

    >>> CutShort(np.eye(3)).solve(np.array([[1.0, 5.0, 2.0]])).bound
    array([-1.5])
    """

    def solve_checked(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> Solutions:
        found = super().solve_checked(theta, instances)
        status = np.where(found.solved, Status.FEASIBLE, found.status).astype(np.uint8)
        return replace(found, status=status, bound=found.objective - 2.5 * self.sense.sign)
