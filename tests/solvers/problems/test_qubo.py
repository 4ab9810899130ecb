"""Qubo and MaxCut against enumeration, and their two back ends against each other."""

from itertools import product
from typing import Any, ClassVar

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray

from combdiff.testing import SolverContract
from combdiff_solvers import MaxCut, Qubo, Solver, Status

BITS = np.array(list(product((0.0, 1.0), repeat=4)))
EDGES = [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2), (3, 4), (1, 1), (0, 1)]


class TestQubo(SolverContract):
    options: ClassVar[dict[str, Any]] = {}

    def make(self) -> Solver:
        return Qubo(4, **self.options)

    def feasible_set(self, solver: Solver) -> Float64[ndarray, "k n"]:
        return np.array([np.outer(x, x).ravel() for x in BITS])


class TestQuboMax(TestQubo):
    options: ClassVar[dict[str, Any]] = {"sense": "max"}


class TestQuboCpSat(TestQubo):
    options: ClassVar[dict[str, Any]] = {"backend": "cp_sat"}
    rows = 70

    @pytest.fixture(autouse=True)
    def need_cp_sat(self) -> None:
        pytest.importorskip("combdiff_solvers.models.cp_sat")


class TestQuboMaxCpSat(TestQuboCpSat):
    options: ClassVar[dict[str, Any]] = {"backend": "cp_sat", "sense": "max"}


class TestMaxCut(SolverContract):
    options: ClassVar[dict[str, Any]] = {}

    def make(self) -> Solver:
        return MaxCut(EDGES, **self.options)

    def feasible_set(self, solver: Solver) -> Float64[ndarray, "k n"]:
        sides = np.array(list(product((0.0, 1.0), repeat=5)))
        u, v = np.array(EDGES).T
        return np.unique(np.abs(sides[:, u] - sides[:, v]), axis=0)


class TestMinCut(TestMaxCut):
    options: ClassVar[dict[str, Any]] = {"sense": "min"}


class TestMaxCutCpSat(TestMaxCut):
    options: ClassVar[dict[str, Any]] = {"backend": "cp_sat"}
    rows = 70

    @pytest.fixture(autouse=True)
    def need_cp_sat(self) -> None:
        pytest.importorskip("combdiff_solvers.models.cp_sat")


@pytest.mark.parametrize("sense", ["min", "max"])
def test_back_ends_agree(sense: str) -> None:
    pytest.importorskip("combdiff_solvers.models.cp_sat")
    theta = np.random.default_rng(0).normal(size=(26, 100))
    two = Qubo(10, sense, "enumeration").solve(theta), Qubo(10, sense, "cp_sat").solve(theta)
    assert (two[1].status == Status.OPTIMAL).all()
    np.testing.assert_allclose(two[0].objective, two[1].objective, rtol=1e-9)
    edges = np.stack(np.triu_indices(12, 1), axis=1)
    theta = np.random.default_rng(1).normal(size=(26, len(edges)))
    three = MaxCut(edges, sense=sense, backend="enumeration").solve(theta)
    np.testing.assert_allclose(three.objective, MaxCut(edges, sense=sense, backend="cp_sat").solve(theta).objective)


def test_the_running_sums_do_not_drift() -> None:
    theta = np.random.default_rng(0).normal(size=(3, 256)) * 10.0 ** np.random.default_rng(1).uniform(-6, 6, (3, 256))
    found = Qubo(16, backend="enumeration").solve(theta)
    bits = np.array(list(product((0.0, 1.0), repeat=16)))
    for row in range(3):
        best = np.einsum("ki,ij,kj->k", bits, theta[row].reshape(16, 16), bits, optimize=True).min()
        assert found.objective[row] <= best + 1e-12 * np.abs(theta[row]).sum()


def test_the_two_sides_of_theta_price_the_same_product() -> None:
    theta = np.zeros((2, 3, 3))
    theta[0, 0, 2], theta[1, 2, 0] = -1.0, -1.0
    y = Qubo(3).solve(theta.reshape(2, 9)).y
    np.testing.assert_array_equal(y[0], y[1])


@pytest.mark.parametrize("backend", ["enumeration", "cp_sat"])
def test_entries_near_the_largest_double(backend: Any) -> None:
    if backend == "cp_sat":
        pytest.importorskip("combdiff_solvers.models.cp_sat")
    theta = np.array([[1e308] * 4, [-1e308] * 4, [-1e308, 1e308, 1e308, 1e308], [-1.0, 3.0, 0.0, -2.0]])
    before = theta.copy()
    found = Qubo(2, backend=backend).solve(theta)
    assert (found.status == Status.OPTIMAL).all()
    np.testing.assert_array_equal(found.y, [[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 1]])
    np.testing.assert_array_equal(theta, before)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="too many to enumerate"):
        Qubo(40, backend="enumeration")
    with pytest.raises(ValueError, match="at least 1"):
        Qubo(0)
    with pytest.raises(ValueError, match="'magic' is none of"):
        MaxCut([(0, 1)], backend="magic")  # type: ignore[arg-type]
