"""What rankings promise, of all entries or of some."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray

from combdiff.solvers import Ranking, RankingInstances, Sense, Solver, Status
from combdiff.testing import SolverContract


class TestRanking(SolverContract):
    def make(self) -> Solver:
        return Ranking(4)

    def feasible_set(self, solver: Solver) -> Float64[ndarray, "k n"]:
        return np.array(list(permutations([1.0, 2.0, 3.0, 4.0])))

    def instances(self, solver: Solver, rows: int) -> Sequence[Any] | None:
        return RankingInstances(mask=np.random.default_rng(rows).random((rows, 4)) < 0.6)

    def feasible_set_of(self, solver: Solver, instance: Any) -> Float64[ndarray, "k n"]:
        counted = np.flatnonzero(instance["mask"])
        points = []
        for ranks in permutations(range(1, len(counted) + 1)):
            point = np.zeros(4)
            point[counted] = ranks
            points.append(point)
        return np.array(points)


class TestDescending(TestRanking):
    def make(self) -> Solver:
        return Ranking(4, Sense.MIN)


def test_the_first_of_equal_entries_has_the_smaller_rank() -> None:
    assert Ranking(3).solve(np.ones((1, 3))).y.tolist() == [[1, 2, 3]]
    assert Ranking(3, "min").solve(np.ones((1, 3))).y.tolist() == [[1, 2, 3]]


def test_a_mask_that_is_no_number_is_that_rows() -> None:
    found = Ranking(2).solve(np.zeros((2, 2)), RankingInstances(mask=np.array([[1.0, 1.0], [np.nan, 1.0]])))
    assert found.status.tolist() == [Status.OPTIMAL, Status.ERROR]
    assert "mask" in found.messages[1]


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="n=0"):
        Ranking(0)
    with pytest.raises(ValueError, match=r"mask has shape \(1, 3\)"):
        Ranking(2).solve(np.zeros((1, 2)), RankingInstances(mask=np.ones((1, 3))))
