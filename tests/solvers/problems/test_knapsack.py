"""Knapsack against enumeration, and its two back ends against each other."""

from itertools import product
from typing import Any, ClassVar

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray

from combdiff.testing import SolverContract
from combdiff_solvers import Knapsack, KnapsackInstances, Solver, Status

POINTS = np.array(list(product((0.0, 1.0), repeat=8)))
WEIGHTS = np.array([[3, 4, 2, 0, 5, 1, 9, 3], [1, 1, 6, 0, 2, 0, 1, 3]]) / 10
CAPACITY = np.array([0.9, 0.6])


def fitting(weights: ndarray, capacity: ndarray) -> Float64[ndarray, "k n"]:
    """Every set of items that fits."""
    return POINTS[(capacity * (1 + 1e-9) >= POINTS @ weights.T).all(axis=1)]


class TestMax(SolverContract):
    options: ClassVar[dict[str, Any]] = {"backend": "kernel"}

    def make(self) -> Solver:
        return Knapsack(WEIGHTS, CAPACITY, **self.options)

    def feasible_set(self, solver: Solver) -> Float64[ndarray, "k n"]:
        return fitting(WEIGHTS, CAPACITY)

    def instances(self, solver: Solver, rows: int) -> KnapsackInstances:
        rng = np.random.default_rng(0)
        return KnapsackInstances(rng.integers(0, 9, (rows, 2, 8)) / 10, rng.integers(0, 25, (rows, 2)) / 10)

    def feasible_set_of(self, solver: Solver, instance: Any) -> Float64[ndarray, "k n"]:
        return fitting(instance["weights"], instance["capacity"])


class TestMin(TestMax):
    options: ClassVar[dict[str, Any]] = {"sense": "min"}


class TestMip(TestMax):
    options: ClassVar[dict[str, Any]] = {"backend": "mip"}
    rows = 70

    @pytest.fixture(autouse=True)
    def need_ortools(self) -> None:
        pytest.importorskip("ortools")


class TestMipMin(TestMip):
    options: ClassVar[dict[str, Any]] = {"backend": "mip", "sense": "min"}


@pytest.mark.parametrize("dimensions", [1, 3])
def test_back_ends_agree(dimensions: int) -> None:
    pytest.importorskip("ortools")
    rng = np.random.default_rng(dimensions)
    weights, values = rng.integers(300, 800, (dimensions, 40)) / 100, np.ceil(rng.normal(10, 4, (30, 40)))
    capacity = weights.sum(axis=1) / 3
    kernel = Knapsack(weights, capacity, backend="kernel", nodes=10**7).solve(values)
    mip = Knapsack(weights, capacity, backend="mip").solve(values)
    assert (kernel.status == Status.OPTIMAL).all()
    assert (mip.status == Status.OPTIMAL).all()
    np.testing.assert_allclose(kernel.objective, mip.objective, rtol=1e-9)


def test_one_dimension_against_dynamic_programming() -> None:
    rng = np.random.default_rng(0)
    weights, values = rng.integers(1, 50, 60), rng.integers(1, 100, (50, 60))
    found = Knapsack(weights, 500, backend="kernel", nodes=10**7).solve(values.astype(float))
    best = np.zeros((50, 501), dtype=int)
    for item, weight in enumerate(weights):
        best[:, weight:] = np.maximum(best[:, weight:], best[:, : 501 - weight] + values[:, item : item + 1])
    np.testing.assert_array_equal(found.objective, best[:, -1])


def test_a_row_that_is_not_proven_says_so() -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(1000, 2000, (5, 40))
    solver = Knapsack(weights, weights.sum(axis=1) // 2, backend="kernel", nodes=50)
    found = solver.solve(weights.sum(axis=0)[None] + 10.0)
    assert found.status[0] == Status.FEASIBLE
    assert "raise nodes" in found.messages[0]
    assert (weights @ found.y[0] <= solver.capacity).all()
    assert found.objective[0] > 0


def test_auto_proves_what_the_kernel_did_not() -> None:
    pytest.importorskip("ortools")
    rng = np.random.default_rng(0)
    weights, values = rng.integers(300, 800, (3, 30)) / 100, rng.normal(10, 4, (5, 30))
    options: tuple[Any, ...] = (weights, weights.sum(axis=1) / 3)
    auto = Knapsack(*options, nodes=2).solve(values)
    assert (auto.status == Status.OPTIMAL).all()
    np.testing.assert_allclose(auto.objective, Knapsack(*options, backend="kernel").solve(values).objective)


def test_a_capacity_near_zero_holds_what_weighs_nothing() -> None:
    pytest.importorskip("ortools")
    for capacity in (0.0, 1e-310):
        found = Knapsack([1e9, 0.0, 3.0], capacity, backend="mip").solve(np.ones((1, 3)))
        np.testing.assert_array_equal(found.y, [[0, 1, 0]])


@pytest.mark.parametrize("limits", [{"absolute_gap": 30.0}, {"relative_gap": 0.5}, {"batch_time_limit": 1e-9}])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_limits_leave_feasible_rows_within_the_gap(limits: dict[str, float], scale: float) -> None:
    pytest.importorskip("ortools")
    rng = np.random.default_rng(0)
    weights, values = rng.integers(300, 800, (3, 30)) / 100, scale * rng.normal(10, 4, (5, 30))
    limits = {name: value * scale if name == "absolute_gap" else value for name, value in limits.items()}
    capacity = weights.sum(axis=1) / 3
    best = Knapsack(weights, capacity, backend="kernel").solve(values)
    for given in (None, KnapsackInstances(capacity=np.repeat(capacity[None], 5, axis=0))):
        found = Knapsack(weights, capacity, nodes=2, **limits).solve(values, given)  # type: ignore[arg-type]
        assert (found.status == Status.FEASIBLE).any()
        assert (found.status <= Status.FEASIBLE).all()
        assert (weights @ found.y.T <= capacity[:, None] * (1 + 1e-9)).all()
        if "batch_time_limit" not in limits:
            gap = limits.get("absolute_gap", 0.0) + limits.get("relative_gap", 0.0) * np.abs(best.objective)
            assert (found.objective >= best.objective - gap - 1e-9).all()
    with pytest.raises(ValueError, match="cannot obey"):
        Knapsack(weights, capacity, backend="kernel", **limits)  # type: ignore[arg-type]


def test_alike_items_are_no_trouble() -> None:
    found = Knapsack(np.full(40, 3.0), 62.0, backend="kernel").solve(np.full((1, 40), 7.0))
    assert (found.status[0], found.objective[0]) == (Status.OPTIMAL, 140.0)


def test_a_row_with_bad_weights_is_an_error_alone() -> None:
    weights = np.ones((3, 1, 2))
    weights[1, 0, 0] = -1.0
    found = Knapsack([1.0, 1.0], 1.0).solve(np.ones((3, 2)), KnapsackInstances(weights=weights))
    assert found.status.tolist() == [Status.OPTIMAL, Status.ERROR, Status.OPTIMAL]
    assert "weights of this row" in found.messages[1]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (([[1.0, 2.0]], [1.0, 2.0]), "capacity for each dimension"),
        (([-1.0], 1.0), "weights hold -1.0"),
        (([1.0], np.inf), "capacity hold inf"),
        (([1.0], 1.0, "max", "magic"), "'magic' is none of"),
        (([1.0], 1.0, "max", "kernel", 0), "nodes=0"),
    ],
)
def test_bad_arguments(arguments: tuple[Any, ...], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Knapsack(*arguments)
