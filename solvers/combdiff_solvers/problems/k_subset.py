"""Subsets with a number of entries, exact or between bounds; the k largest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from combdiff_solvers.instances import ColumnInstances
from combdiff_solvers.protocol import BatchSolver, Rows, Sense, Sets, Solutions, Status, as_whole


@dataclass(frozen=True, eq=False)
class KSubsetInstances(ColumnInstances):
    """How many entries each row of a batch picks, and among which.

    What is None is as the solver was told.

    Instances: `KSubsetInstances`, or a sequence of mappings with its fields as keys.

    Args:
        least: (b,) integers.
        most: (b,) integers.
        allowed: (b, n), true where an entry may be picked.

    >>> KSubsetInstances(least=np.array([1, 2]), most=np.array([1, 2]))[1]
    {'least': np.int64(2), 'most': np.int64(2)}
    """

    least: Shaped[ndarray, " b"] | None = None
    most: Shaped[ndarray, " b"] | None = None
    allowed: Shaped[ndarray, "b n"] | None = None


class KSubset(BatchSolver):
    """The best subset of between `least` and `most` entries, as a 0/1 vector.

    Solves min (or max) ⟨θ, y⟩ over y ∈ {0, 1}ⁿ with least ≤ Σ y ≤ most. Only comparisons are made, so the answer is
    exact; among equal entries the first ones are taken, and an entry that changes nothing (θ = 0) only where `least`
    asks for it. `TopK` is the case of one k for all rows.

    A row whose bounds cannot be met by its `allowed` entries is INFEASIBLE, alone.

    Args:
        n: number of entries.
        least: the smallest number to pick.
        most: the largest; as `least` if None, which is a subset of exactly so many.
        sense: "max" (default, as `TopK`) or "min".

    Raises:
        ValueError: unless 0 ≤ least ≤ most ≤ n.

    >>> KSubset(4, 1, 3).solve(np.array([[0.3, 2.0, -1.0, 0.9], [-2.0, -3.0, -1.0, -4.0]])).y
    array([[1., 1., 0., 1.],
           [0., 0., 1., 0.]])
    """

    takes_instances = True

    def __init__(self, n: int, least: int, most: int | None = None, sense: Sense | str = Sense.MAX) -> None:
        least = as_whole("least", least)
        most = least if most is None else as_whole("most", most)
        if n < 1 or not 0 <= least <= most <= n:
            raise ValueError(f"least={least} and most={most} must lie in 0..n={n}, in this order")
        self.shape: tuple[int, ...] = (n,)
        self.least, self.most = least, most
        self.sense = Sense(sense)

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        batch = len(theta)
        messages: dict[int, str] = {}
        least, most, allowed = np.full(batch, self.least), np.full(batch, self.most), np.ones_like(theta, dtype=bool)
        if instances is not None and batch:
            given = KSubsetInstances.of(instances)
            own_least, own_most = (given.whole(name, (), messages) for name in ("least", "most"))
            own_allowed = given.flags("allowed", self.shape, messages)
            least = least if own_least is None else own_least
            most = most if own_most is None else own_most
            allowed = allowed if own_allowed is None else own_allowed
        cost = np.where(allowed, self.sense.sign * theta, np.inf)
        order = np.argsort(cost, axis=1, kind="stable")
        wanted = np.clip((cost < 0.0).sum(axis=1), least, most)
        y = np.zeros_like(theta)
        np.put_along_axis(y, order, (np.arange(theta.shape[1]) < wanted[:, None]).astype(np.float64), axis=1)
        impossible = (least > most) | (most < 0) | (least > allowed.sum(axis=1))
        status = np.where(impossible, Status.INFEASIBLE, Status.OPTIMAL).astype(np.uint8)
        status[list(messages)] = Status.ERROR
        return Solutions.from_y(y, theta, self.sense, status, messages)


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

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        best = np.argsort(self.sense.sign * theta, axis=1, kind="stable")[:, : self.k]
        y = np.zeros_like(theta)
        np.put_along_axis(y, best, 1.0, axis=1)
        return Solutions.from_y(y, theta, self.sense)
