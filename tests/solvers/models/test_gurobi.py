"""Gurobi's own engine: nonlinear models, statuses, bounds, limits, threads and processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from combdiff.solvers import Parallel, Status, wrap

gp: Any = pytest.importorskip("gurobipy", reason="gurobipy is not installed")
QUIET = gp.Env(params={"OutputFlag": 0})


def knapsack(size: int = 24) -> tuple[Any, Any]:
    """A knapsack of so many items whose search takes some nodes."""
    rng = np.random.default_rng(0)
    model = gp.Model(env=QUIET)
    x = model.addMVar(size, vtype="B")
    weights = rng.integers(20, 99, (4, size))
    model.addConstr(weights @ x <= weights.sum(axis=1) // 3)
    return model, x


def test_quadratic_constraints_and_objectives_stay_gurobis() -> None:
    model = gp.Model(env=QUIET)
    x, slack = model.addVars(2, lb=-2, ub=2), model.addVar(lb=-9, ub=9)
    model.addConstr(x[0] * x[0] + x[1] * x[1] <= 1)
    model.addConstr(slack == x[0] - x[1])
    theta = np.array([[-3.0, -4.0]])
    np.testing.assert_allclose(wrap(model, x).solve(theta).y, [[0.6, 0.8]], atol=1e-4)
    with pytest.raises(ValueError, match="this one is not"):
        wrap(model, x, backend="scip")
    model.setObjective(slack * slack + 2 * x[0] + 5)
    solver: Any = wrap(model, x)
    found = solver.solve(theta)
    grid = np.linspace(-np.pi, np.pi, 20_001)
    disc = np.stack([np.cos(grid), np.sin(grid)], axis=1)
    best = (disc @ (theta[0] + [2, 0]) + (disc[:, 0] - disc[:, 1]) ** 2 + 5).min()  # −x₀ − 4 x₁: on the circle
    np.testing.assert_allclose(found.objective, best, atol=1e-5)
    assert found.bound[0] <= found.objective[0]
    np.testing.assert_allclose(solver.value(found.y, theta), found.objective, atol=1e-4)  # slack is open: completed


def test_statuses_and_bounds() -> None:
    model = gp.Model(env=QUIET)
    x = model.addMVar(2, vtype=["I", "C"], ub=[5, gp.GRB.INFINITY])
    model.addConstr(x[0] - x[1] <= 1.5)
    found = wrap(model, x).solve(np.array([[-1.0, 0.5], [1.0, -1.0], [1.0, 1.0]]))
    assert found.status.tolist() == [Status.OPTIMAL, Status.UNBOUNDED, Status.OPTIMAL]
    assert found.y[0].tolist() == [5.0, 3.5]
    assert found.bound[0] == -np.inf  # one variable has no bounds, and nothing is proven to Gurobi's tolerance
    model.addConstr(x[0] >= 6)
    assert wrap(model, x).solve(np.zeros((1, 2))).status[0] == Status.INFEASIBLE
    large = gp.Model(env=QUIET)
    found = wrap(large, large.addMVar(2500, vtype="B")).solve(np.zeros((1, 2500)))
    assert (found.status[0], "size-limited license" in found.messages[0]) == (Status.ERROR, True)
    model.setObjectiveN(x[0], 1)
    with pytest.raises(ValueError, match="several objectives"):
        wrap(model, x)


@pytest.mark.parametrize("whose", ["the option", "the model's own"])
def test_an_allowed_gap_is_no_proof(whose: str) -> None:
    model, x = knapsack(60)
    theta = np.random.default_rng(1).uniform(20, 99, (6, 60))
    exact = wrap(model, x, sense="max").solve(theta)
    if whose == "the model's own":
        model.Params.MIPGap = 0.3
    found = wrap(model, x, sense="max", **({"relative_gap": 0.3} if whose == "the option" else {})).solve(theta)
    assert (exact.status == Status.OPTIMAL).all()
    worse = found.objective < exact.objective * (1 - 1e-9)
    assert worse.any()
    assert (found.status[worse] == Status.FEASIBLE).all()
    assert (found.bound >= exact.objective * (1 - 1e-9)).all()
    model.Params.MIPGap = 1e-4
    model.Params.NodeLimit = model.Params.Heuristics = model.Params.Presolve = model.Params.Cuts = 0
    limited = wrap(model, x, sense="max").solve(theta)
    assert set(limited.status.tolist()) <= {Status.FEASIBLE, Status.LIMIT}
    assert "its node limit" in limited.messages[0]
    assert (limited.bound >= exact.objective * (1 - 1e-9)).all()


def test_threads_and_processes_answer_alike() -> None:
    model, x = knapsack()
    solver = wrap(model, x, sense="max")
    theta = np.random.default_rng(1).integers(1, 4, (6, 24)).astype(float)  # ties
    expected = solver.solve(theta).y
    with ThreadPoolExecutor(3) as pool:
        for answer in pool.map(solver.solve, [theta] * 4):
            np.testing.assert_array_equal(answer.y, expected)
    with Parallel(solver, workers=1, backend="processes", adaptive=False) as apart:
        np.testing.assert_array_equal(apart.solve(theta).y, expected)


def test_an_optimum_among_ties_does_not_depend_on_earlier_rows() -> None:
    model = gp.Model(env=QUIET)
    x = model.addMVar(8, ub=1)
    model.addConstr(x.sum() == 3)
    solver, ties = wrap(model, x), np.zeros((1, 8))
    fresh = wrap(model, x).solve(ties).y
    for row in np.random.default_rng(0).normal(size=(6, 1, 8)):  # an LP, which could begin at the last basis
        solver.solve(row)
        np.testing.assert_array_equal(solver.solve(ties).y, fresh)


def test_axes_of_grids_and_arrays() -> None:
    model = gp.Model(env=QUIET)
    arcs = [(0, 1), (1, 2), (0, 2)]
    grid, sparse, array = model.addVars(3, "ab"), model.addVars(arcs, ub=1), model.addMVar((2, 2), ub=1)
    assert [wrap(model, one).shape for one in (grid, sparse, array, array[0, 0])] == [(3, 2), (3,), (2, 2), (1,)]
    np.testing.assert_array_equal(wrap(model, array.T).solve(np.array([[1.0, -1, 1, 1]])).y, [[0, 1, 0, 0]])
    with pytest.raises(ValueError, match="not of this model"):
        wrap(model, gp.Model(env=QUIET).addVar())
    with pytest.raises(TypeError, match="not a variable of the Gurobi model"):
        wrap(model, [array[0, 0] + 1])
