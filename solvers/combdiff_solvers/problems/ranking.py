"""Ranks as the solution of a linear program over the permutahedron."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from combdiff_solvers.instances import ColumnInstances
from combdiff_solvers.protocol import BatchSolver, Rows, Sense, Sets, Solutions, Status


@dataclass(frozen=True, eq=False)
class RankingInstances(ColumnInstances):
    """Which entries of each row of a batch are ranked: lists of different lengths, incomplete rankings.

    Args:
        mask: (b, n), true where an entry counts.

    >>> RankingInstances(mask=np.array([[True, True, False]]))[0]
    {'mask': array([ True,  True, False])}
    """

    mask: Shaped[ndarray, "b n"] | None = None


class Ranking(BatchSolver):
    """Ranks the entries of θ: 1 for the smallest, n for the largest (ascending, 1-based).

    Solves max ⟨θ, y⟩ over all permutations y of (1, ..., n), after Blondel et al. (2020), "Fast differentiable
    sorting and ranking", section 3. With `sense="min"` the ranks descend: 1 for the largest.
    Among equal entries the earlier one gets the smaller rank.

    Instances: `RankingInstances`; the entries that count have the ranks 1, 2, ... among themselves, the others 0.

    Args:
        n: number of entries, at least 1.
        sense: "max" for ascending ranks, "min" for descending ones.

    Raises:
        ValueError: when n < 1.

    >>> Ranking(4).solve(np.array([[0.3, 2.0, -1.0, 0.9]])).y
    array([[2., 4., 1., 3.]])
    """

    takes_instances = True

    def __init__(self, n: int, sense: Sense | str = Sense.MAX) -> None:
        if n < 1:
            raise ValueError(f"n={n} must be at least 1")
        self.shape: tuple[int, ...] = (n,)
        self.sense = Sense(sense)

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        messages: dict[int, str] = {}
        key, counted = -self.sense.sign * theta, None
        if instances is not None and len(theta):
            counted = RankingInstances.of(instances).flags("mask", self.shape, messages)
        if counted is not None:
            key = np.where(counted, key, np.inf)
        order = np.argsort(key, axis=1, kind="stable")
        y = np.empty_like(theta)
        np.put_along_axis(y, order, np.arange(1.0, theta.shape[1] + 1.0)[None, :], axis=1)
        if counted is not None:
            y *= counted
        status = np.zeros(len(theta), dtype=np.uint8)
        status[list(messages)] = Status.ERROR
        y[list(messages)] = np.nan
        return Solutions.from_y(y, theta, self.sense, status, messages)
