"""Assignment against enumeration and SciPy."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

from combdiff.testing import SolverContract
from combdiff_solvers import Assignment, AssignmentInstances, Solver, Status


def assignments(rows: int, cols: int) -> Float64[ndarray, "k n"]:
    """Every assignment, flat."""
    if rows > cols:
        return assignments(cols, rows).reshape(-1, cols, rows).swapaxes(1, 2).reshape(-1, rows * cols)
    return np.array([np.eye(cols)[list(picked)].ravel() for picked in permutations(range(cols), rows)])


class TestSquare(SolverContract):
    sense, size = "min", (4, 4)

    def make(self) -> Solver:
        return Assignment(*self.size, sense=self.sense)

    def feasible_set(self, solver: Solver) -> Float64[ndarray, "k n"]:
        return assignments(*self.size)

    def instances(self, solver: Solver, rows: int) -> AssignmentInstances:
        return AssignmentInstances(allowed=np.random.default_rng(0).random((rows, *self.size)) < 0.5)

    def feasible_set_of(self, solver: Solver, instance: Any) -> Float64[ndarray, "k n"]:
        points = assignments(*self.size)
        return points[(points <= instance["allowed"].ravel()).all(axis=1)]


class TestWide(TestSquare):
    sense, size = "max", (2, 5)


class TestTall(TestSquare):
    size = (4, 2)


@pytest.mark.parametrize("sense", ["min", "max"])
@pytest.mark.parametrize("size", [(20, 20), (15, 30), (30, 15)])
def test_agrees_with_scipy(sense: str, size: tuple[int, int]) -> None:
    theta = np.random.default_rng(0).normal(size=(20, *size)).round(1)
    found = Assignment(*size, sense=sense).solve(theta.reshape(20, -1))
    expected = [matrix[linear_sum_assignment(matrix, maximize=sense == "max")].sum() for matrix in theta]
    np.testing.assert_allclose(found.objective, expected, atol=1e-9)


def test_impossible_rows_are_infeasible_alone() -> None:
    allowed = np.ones((3, 3, 3), dtype=bool)
    allowed[1, :, 0] = False
    found = Assignment(3).solve(np.ones((3, 9)), AssignmentInstances(allowed=allowed))
    assert found.status.tolist() == [Status.OPTIMAL, Status.INFEASIBLE, Status.OPTIMAL]


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        Assignment(0)
    with pytest.raises(ValueError, match="allowed has shape"):
        Assignment(2).solve(np.zeros((1, 4)), AssignmentInstances(allowed=np.ones((1, 3, 2))))
