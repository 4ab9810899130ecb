"""Limits: what is refused, what becomes of a row that a limit ends, and memory over many solves."""

import resource
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from combdiff.solvers import Limits, MixedInteger, Solutions, Solver, Status, wrap

pytest.importorskip("ortools")

RNG = np.random.default_rng(0)
WEIGHTS = RNG.integers(100, 999, size=(20, 150))


def hard(backend: str, **limits: Any) -> Solver:
    """A knapsack of 150 items and 20 tight dimensions: hours of work."""
    return MixedInteger(
        WEIGHTS, WEIGHTS.sum(axis=1) // 3, integrality=1, bounds=(0, 1), sense="max", backend=backend, **limits
    )


@pytest.mark.parametrize("backend", ["scip", "highs", "cp_sat"])
def test_time_limit_returns_the_incumbent(backend: str) -> None:
    theta = RNG.uniform(100, 999, size=(1, 150))
    began = time.perf_counter()
    found = hard(backend, time_limit=0.4).solve(theta)
    assert time.perf_counter() - began < 10
    assert found.status[0] == Status.FEASIBLE
    y = found.y[0]
    assert set(y.tolist()) <= {0.0, 1.0}
    assert (WEIGHTS @ y <= WEIGHTS.sum(axis=1) // 3).all()
    assert found.objective[0] == pytest.approx(theta[0] @ y)


@pytest.mark.parametrize("backend", ["scip", "cp_sat"])
def test_batch_time_limit_leaves_the_last_rows(backend: str) -> None:
    theta = RNG.uniform(100, 999, size=(4, 150))
    began = time.perf_counter()
    found = hard(backend, batch_time_limit=0.5).solve(theta)
    assert time.perf_counter() - began < 10
    assert found.status[0] == Status.FEASIBLE
    assert found.status[3] == Status.LIMIT
    assert "batch_time_limit" in found.messages[3]
    assert np.isnan(found.y[3]).all()
    assert np.isnan(found.objective[3])


@pytest.mark.parametrize("backend", ["scip", "highs", "cp_sat"])
def test_a_gap_is_kept_and_told(backend: str) -> None:
    rng = np.random.default_rng(5)
    weights = rng.integers(10, 99, size=(3, 25))
    theta = rng.uniform(10, 99, size=(6, 25))
    options: dict[str, Any] = {"integrality": 1, "bounds": (0, 1), "sense": "max", "backend": backend}
    exact = MixedInteger(weights, weights.sum(axis=1) // 3, **options).solve(theta)
    loose = MixedInteger(weights, weights.sum(axis=1) // 3, **options, relative_gap=0.05).solve(theta)
    assert (exact.status == Status.OPTIMAL).all()
    assert (loose.objective <= exact.objective * (1 + 1e-12)).all()
    assert (loose.objective >= exact.objective * 0.94).all()
    worse = loose.objective < exact.objective * (1 - 1e-9)
    assert (loose.status[worse] == Status.FEASIBLE).all(), "an unproven answer was called optimal"
    for row in np.flatnonzero(loose.status == Status.FEASIBLE):
        assert loose.messages[int(row)]


WAYS = ["relative_gap", "absolute_gap", "parameters", "parameters, absolute"]


@cache
def knapsack_of_25(backend: str, size: float, squares: bool) -> tuple[Any, list[Any], np.ndarray, Solutions]:
    """A knapsack with an offset, costs, and their exact answers."""
    mathopt = pytest.importorskip("ortools.math_opt.python.mathopt")
    rng = np.random.default_rng(5)
    weights, theta = rng.integers(10, 99, size=(3, 25)), rng.uniform(10, 99, size=(6, 25)) * size
    model = mathopt.Model()
    x = [model.add_binary_variable() for _ in range(25)]
    for row in weights.tolist():
        model.add_linear_constraint(mathopt.fast_sum(w * v for w, v in zip(row, x, strict=True)) <= sum(row) // 3)
    offset = 1000.0 * size
    model.maximize(offset + (20 * size * (x[0] * x[1] - x[2] * x[3]) if squares else 0.0))
    return model, x, theta, wrap(model, x, backend=backend).solve(theta)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [1e-6, 1e6])
@pytest.mark.parametrize(("backend", "squares"), [("scip", False), ("scip", True), ("highs", False)])
def test_a_gap_stops_the_search_and_is_told(backend: str, way: str, size: float, squares: bool) -> None:
    """A knapsack whose gap is given in the units of its objective, whatever these are."""
    mathopt = pytest.importorskip("ortools.math_opt.python.mathopt")
    model, x, theta, exact = knapsack_of_25(backend, size, squares)
    allowed = 0.2 * exact.objective.min()
    parameters = {
        "parameters": mathopt.SolveParameters(relative_gap_tolerance=0.2),
        "parameters, absolute": mathopt.SolveParameters(absolute_gap_tolerance=allowed),
    }
    options = {"relative_gap": 0.2} if way == "relative_gap" else {"absolute_gap": allowed}
    if way in parameters:
        options = {"parameters": parameters[way]}
    loose = wrap(model, x, backend=backend, **options).solve(theta)
    assert (exact.status == Status.OPTIMAL).all()
    worse = loose.objective < exact.objective * (1 - 1e-9)
    assert worse.any(), "the gap has no effect"
    assert (loose.objective >= exact.objective - allowed * 1.3).all()
    assert (loose.status[worse] == Status.FEASIBLE).all(), "an unproven answer was called optimal"
    assert all("gap" in loose.messages[int(row)] for row in np.flatnonzero(worse))


@pytest.mark.parametrize("backend", ["scip", "highs"])
def test_a_relative_gap_is_one_of_the_objective_with_its_offset(backend: str) -> None:
    """An offset that leaves an objective near zero leaves a relative gap no room."""
    mathopt = pytest.importorskip("ortools.math_opt.python.mathopt")
    rng = np.random.default_rng(5)
    weights, theta = rng.integers(10, 99, size=(3, 25)), rng.uniform(10, 99, size=(6, 25)) * 1e-3
    for prices in theta:
        model = mathopt.Model()
        x = [model.add_binary_variable() for _ in range(25)]
        for row in weights.tolist():
            model.add_linear_constraint(mathopt.fast_sum(w * v for w, v in zip(row, x, strict=True)) <= sum(row) // 3)
        best = wrap(model, x, sense="max", backend=backend).solve(prices[None]).objective[0]
        model.maximize(-best + 1e-4)
        found = wrap(model, x, backend=backend, relative_gap=0.2).solve(prices[None])
        assert found.objective[0] == pytest.approx(1e-4, rel=0.25)


def test_limits_of_the_objective_are_in_its_units() -> None:
    mathopt = pytest.importorskip("ortools.math_opt.python.mathopt")
    model = mathopt.Model()
    x = [model.add_binary_variable() for _ in range(3)]
    model.add_linear_constraint(mathopt.fast_sum(x) <= 2)
    model.maximize(mathopt.LinearSum([5.0]))
    theta = np.array([[1e-6, 2e-6, 3e-6]])  # at most 5 + 5e-6
    for cutoff, status in ((5 + 4e-6, Status.OPTIMAL), (5 + 6e-6, Status.LIMIT)):
        parameters = mathopt.SolveParameters(cutoff_limit=cutoff)
        assert wrap(model, x, backend="scip", parameters=parameters).solve(theta).status[0] == status


@pytest.mark.parametrize("backend", ["glop", "scip", "cp_sat"])
def test_warm_start_depends_on_nothing_that_was_solved_before(backend: str) -> None:
    rng = np.random.default_rng(6)
    weights = rng.integers(10, 99, size=(2, 12))
    theta = rng.integers(1, 4, size=(12, 12)).astype(float)  # many ties

    def make() -> Solver:
        return MixedInteger(
            weights,
            200,
            integrality=int(backend != "glop"),
            bounds=(0, 1),
            sense="max",
            backend=backend,
            warm_start=np.full(12, 2.0),
        )

    used, fresh = make(), make()
    for row in rng.permutation(12):
        used.solve(theta[row][None])
    np.testing.assert_array_equal(used.solve(theta[::-1]).y[::-1], fresh.solve(theta).y)
    cold = MixedInteger(weights, 200, integrality=int(backend != "glop"), bounds=(0, 1), sense="max", backend=backend)
    np.testing.assert_allclose(cold.solve(theta).objective, fresh.solve(theta).objective, rtol=1e-9)


def test_warm_start_gives_a_solution_where_the_time_is_too_short() -> None:
    """A start that is feasible for every row: no row ends without a solution."""
    typical = RNG.uniform(100, 999, size=150)
    solver = hard("scip", time_limit=0.2, warm_start=typical)
    found = solver.solve(RNG.uniform(100, 999, size=(2, 150)))
    assert (found.status == Status.FEASIBLE).all()


def resident_kib(solve: Callable[[], object], times: int) -> int:
    """By how much the peak memory grows over so many calls."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(times):
        solve()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


@pytest.mark.parametrize(("backend", "rows"), [("glop", 6000), ("cp_sat", 400), ("scip", 200), ("highs", 200)])
def test_memory_is_flat(backend: str, rows: int) -> None:
    solver = MixedInteger(
        [[3, 4, 2]], 6, integrality=int(backend != "glop"), bounds=(0, 1), sense="max", backend=backend
    )
    theta = np.random.default_rng(7).normal(size=(rows, 3))
    solver.solve(theta[: rows // 4])
    grown = resident_kib(lambda: solver.solve(theta), times=2)
    assert grown < 16 * 1024, f"{grown} KiB over {2 * rows} solves"


@pytest.mark.parametrize("seconds", [0, -1, 0.0, float("nan")])
def test_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        Limits(time_limit=seconds)
