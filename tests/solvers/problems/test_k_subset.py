"""KSubset against enumeration."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray

from combdiff.testing import SolverContract
from combdiff_solvers import KSubset, KSubsetInstances, Solver, Status, TopK

POINTS = np.array(list(product((0.0, 1.0), repeat=5)))


def between(least: int, most: int) -> Float64[ndarray, "k n"]:
    """Every subset of so many of five entries."""
    size = POINTS.sum(axis=1)
    return POINTS[(least <= size) & (size <= most)]


class TestBetween(SolverContract):
    tolerance = 1e-12

    def make(self) -> Solver:
        return KSubset(5, 1, 3)

    def feasible_set(self, solver: Solver) -> Float64[ndarray, "k n"]:
        return between(1, 3)

    def instances(self, solver: Solver, rows: int) -> KSubsetInstances:
        rng = np.random.default_rng(0)
        least = rng.integers(0, 3, rows)
        return KSubsetInstances(least, least + rng.integers(0, 3, rows), rng.random((rows, 5)) < 0.6)

    def feasible_set_of(self, solver: Solver, instance: Any) -> Float64[ndarray, "k n"]:
        points = between(instance["least"], instance["most"])
        return points[(points <= instance["allowed"]).all(axis=1)]


class TestExactly(TestBetween):
    def make(self) -> Solver:
        return KSubset(5, 2, sense="min")

    def feasible_set(self, solver: Solver) -> Float64[ndarray, "k n"]:
        return between(2, 2)


def test_top_k_is_the_case_of_one_k() -> None:
    theta = np.random.default_rng(0).integers(-2, 3, size=(100, 8)).astype(float)
    np.testing.assert_array_equal(KSubset(8, 3).solve(theta).y, TopK(8, 3).solve(theta).y)


def test_what_changes_nothing_is_left_out() -> None:
    assert KSubset(3, 0, 3).solve(np.array([[0.0, 1.0, -1.0]])).y.tolist() == [[0.0, 1.0, 0.0]]


def test_impossible_bounds_are_infeasible_alone() -> None:
    given = KSubsetInstances(least=np.array([1, 4, 2, 0]), most=np.array([1, 4, 1, -1]))
    assert (KSubset(3, 1).solve(np.ones((4, 3)), given).status == [Status.OPTIMAL, *[Status.INFEASIBLE] * 3]).all()


@pytest.mark.parametrize("bounds", [(-1, 2), (2, 1), (0, 4)])
def test_bad_bounds(bounds: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"0\.\.n=3"):
        KSubset(3, *bounds)
