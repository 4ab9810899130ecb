"""SCIP models as solvers: enumeration, h, nonlinear constraints, parameters, limits, statuses, bad input."""

from __future__ import annotations

import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy import ndarray

import combdiff
from combdiff.solvers import MixedInteger
from combdiff.testing import SolverContract
from combdiff_solvers.protocol import Sense, Solver, Status

pyscipopt = pytest.importorskip("pyscipopt", reason="pyscipopt is not installed")

from combdiff_solvers.models.scip import ScipModel  # noqa: E402

WEIGHTS = np.array([3, 2, 4, 1])
OWN = np.array([0.5, 0.0, -1.0, 0.25])


def knapsack(sense: str = "maximize") -> tuple[Any, list[Any]]:
    """Three booleans and an integer 0..2 of total weight 1..6; objective OWN · x + 2."""
    model = pyscipopt.Model()
    model.hideOutput()
    x = [model.addVar(vtype="B") for _ in range(3)] + [model.addVar(vtype="I", lb=0, ub=2)]
    weight = pyscipopt.quicksum(int(w) * v for w, v in zip(WEIGHTS, x, strict=True))
    model.addCons(weight <= 6)
    model.addCons(weight >= 1)
    model.setObjective(pyscipopt.quicksum(float(c) * v for c, v in zip(OWN, x, strict=True)) + 2, sense)
    return model, x


def knapsack_points() -> ndarray:
    points = np.array(list(itertools.product((0, 1), (0, 1), (0, 1), (0, 1, 2))), dtype=float)
    return points[(points @ WEIGHTS <= 6) & (points @ WEIGHTS >= 1)]


class TestKnapsack(SolverContract):
    tolerance = 1e-8

    def make(self) -> Solver:
        model, x = knapsack()
        return combdiff.wrap(model, x)

    def feasible_set(self, solver: Solver) -> ndarray:
        return knapsack_points()

    def value(self, solver: Solver, theta: ndarray, y: ndarray) -> ndarray:
        return y @ (theta + OWN) + 2


class TestNonlinear(SolverContract):
    """Integers in a disc that avoid a hyperbola; some variables priced only."""

    tolerance = 1e-8

    def make(self) -> Solver:
        model = pyscipopt.Model()
        model.hideOutput()
        x, y, z = (model.addVar(vtype="I", lb=-3, ub=3) for _ in range(3))
        model.addCons(x * x + y * y <= 8)
        model.addCons(x * y >= -2)
        model.addCons(z == x + y)
        return combdiff.wrap(model, np.array([[y, x]], dtype=object), sense="min")

    def feasible_set(self, solver: Solver) -> ndarray:
        assert solver.shape == (1, 2)
        points = np.array(list(itertools.product(range(-3, 4), repeat=2)), dtype=float)
        keep = ((points**2).sum(1) <= 8) & (points.prod(1) >= -2) & (np.abs(points.sum(1)) <= 3)
        return points[keep]


@pytest.mark.parametrize("sense", ["min", "max"])
def test_random_models_against_enumeration(sense: str) -> None:
    rng = np.random.default_rng(0)
    points = np.array(list(itertools.product((0.0, 1.0), repeat=6)))
    infeasible = 0
    for trial in range(100):
        rows, sides = rng.integers(-4, 5, size=(3, 6)), rng.integers(-3, 4, size=3)
        model = pyscipopt.Model()
        x = model.addMatrixVar((2, 3), vtype="B")
        for row, side in zip(rows, sides, strict=True):
            model.addCons(
                pyscipopt.quicksum(int(a) * v for a, v in zip(row, np.asarray(x).reshape(-1), strict=True)) <= int(side)
            )
        solver = combdiff.wrap(model, x, sense=sense)
        assert solver.shape == (2, 3)
        theta = rng.normal(size=(3, 6)) if trial % 2 else rng.integers(-2, 3, size=(3, 6)).astype(float)
        found = solver.solve(theta)
        good = points[(points @ rows.T <= sides).all(axis=1)]
        if not len(good):
            infeasible += 1
            assert (found.status == Status.INFEASIBLE).all()
            continue
        assert (found.status == Status.OPTIMAL).all()
        values = good @ theta.T
        best = values.min(0) if sense == "min" else values.max(0)
        np.testing.assert_allclose(found.objective, best, atol=1e-9)
        assert all((good == y).all(axis=1).any() for y in found.y)
    assert 0 < infeasible < 60


def test_agrees_with_cp_sat_on_larger_programs() -> None:
    pytest.importorskip("ortools")
    rng = np.random.default_rng(5)
    for _ in range(5):
        A, b = rng.integers(1, 30, size=(4, 20)), rng.integers(60, 120, size=4)
        model = pyscipopt.Model()
        x = [model.addVar(vtype="I", ub=2) for _ in range(20)]
        for row, most in zip(A.tolist(), b.tolist(), strict=True):
            model.addCons(pyscipopt.quicksum(a * v for a, v in zip(row, x, strict=True)) <= most)
        theta = rng.normal(size=(10, 20)) * 10.0 ** rng.integers(-6, 7, size=(10, 1))
        found = combdiff.wrap(model, x, sense="max").solve(theta)
        expected = MixedInteger(A, b, integrality=1, bounds=(0, 2), sense="max", backend="cp_sat").solve(theta)
        assert (found.status == Status.OPTIMAL).all()
        np.testing.assert_allclose(found.objective, expected.objective, rtol=1e-9)


def test_earlier_rows_change_nothing() -> None:
    model, x = knapsack()
    warm = combdiff.wrap(model, x)
    rng = np.random.default_rng(1)
    theta = np.concatenate([rng.integers(-1, 2, size=(30, 4)) - OWN, -np.tile(OWN, (1, 1))])
    warm.solve(rng.normal(size=(50, 4)))
    for row in theta:
        fresh = combdiff.wrap(*knapsack())
        np.testing.assert_array_equal(warm.solve(row[None]).y, fresh.solve(row[None]).y)
        warm.solve(-row[None])


@pytest.mark.parametrize("power", [-40, -10, 30, 60])
def test_scale_of_theta_changes_nothing(power: int) -> None:
    model, x = knapsack()
    model.setObjective(0.0, "maximize")
    solver = combdiff.wrap(model, x, sense="max")
    theta = np.random.default_rng(2).normal(size=(20, 4))
    np.testing.assert_array_equal(solver.solve(theta * 2.0**power).y, solver.solve(theta).y)


def test_spread_over_twelve_orders_is_within_the_documented_bound() -> None:
    model, x = knapsack()
    model.setObjective(0.0, "maximize")
    solver = combdiff.wrap(model, x, sense="max")
    rng = np.random.default_rng(3)
    theta = rng.normal(size=(200, 4)) * 10.0 ** rng.integers(-6, 7, size=(200, 4))
    found = solver.solve(theta)
    best = (theta @ knapsack_points().T).max(axis=1)
    allowed = 1e-9 * np.maximum(np.abs(best), np.abs(theta).max(axis=1))
    assert (found.status == Status.OPTIMAL).all()
    assert (best - found.objective <= allowed).all()


def test_the_users_model_is_left_alone_and_its_parameters_are_kept() -> None:
    model, x = knapsack()
    model.setParam("limits/nodes", 12345)
    model.optimize()
    before = (
        model.getObjVal(),
        model.getStatus(),
        [v.name for v in model.getVars(transformed=False)],
        model.getStage(),
    )
    solver = combdiff.wrap(model, x)
    solver.solve(np.ones((2, 4)))
    after = (model.getObjVal(), model.getStatus(), [v.name for v in model.getVars(transformed=False)], model.getStage())
    assert after == before
    assert isinstance(solver, ScipModel)
    assert solver._problem.parameters["limits/nodes"] == 12345
    assert solver.sense is Sense.MAX
    model.freeTransform()
    model.addCons(x[0] <= 0)
    theta = np.array([[9.0, 0, 0, 0]])
    assert solver.solve(theta).y[0, 0] == 1  # later changes of the user's model do not reach the solver


def test_order_of_variables_is_the_users() -> None:
    model, x = knapsack()
    mixed = [
        model.addVar(vtype="C", ub=1.5),
        model.addVar(vtype="B"),
        model.addVar(vtype="I", ub=3),
        model.addVar(ub=0.5),
    ]
    solver = combdiff.wrap(model, [mixed[0], x[3], mixed[2], mixed[3], mixed[1]])
    np.testing.assert_allclose(solver.solve(np.ones((1, 5)) * 10).y, [[1.5, 2, 3, 0.5, 1]])


def hard_knapsack(**options: Any) -> Solver:
    rng = np.random.default_rng(0)
    model = pyscipopt.Model()
    x = [model.addVar(vtype="B") for _ in range(60)]
    for _ in range(25):
        model.addCons(pyscipopt.quicksum(int(a) * v for a, v in zip(rng.integers(10, 99, 60), x, strict=True)) <= 1500)
    return combdiff.wrap(model, x, sense="max", **options)


def test_time_limit_leaves_the_incumbent() -> None:
    solver = hard_knapsack(time_limit=0.05)
    theta = 50 + np.random.default_rng(1).normal(size=(2, 60))
    found = solver.solve(theta)
    assert (found.status == Status.FEASIBLE).all()
    np.testing.assert_allclose(found.objective, (theta * found.y).sum(1))
    assert "timelimit" in found.messages[0]


def test_gap_limit_is_feasible_and_within_the_gap() -> None:
    theta = 50 + np.random.default_rng(1).normal(size=(2, 60))
    wide = hard_knapsack(relative_gap=0.2).solve(theta)
    assert (wide.status == Status.FEASIBLE).all()
    assert "gaplimit" in wide.messages[0]


def test_limit_without_a_solution() -> None:
    model, x = knapsack()
    model.setParam("limits/solutions", -1)
    model.setParam("limits/nodes", 0)
    model.setParam("presolving/maxrounds", 0)
    model.setHeuristics(pyscipopt.SCIP_PARAMSETTING.OFF)
    found = combdiff.wrap(model, x).solve(np.array([[0.3, 0.7, 0.9, 0.4]]))
    assert found.status[0] == Status.LIMIT
    assert "nodelimit" in found.messages[0]
    assert np.isnan(found.y).all()


def test_unbounded_and_infeasible_rows_cost_no_other() -> None:
    model = pyscipopt.Model()
    x, y = model.addVar(lb=0, ub=None), model.addVar(vtype="I", lb=0, ub=None)
    model.addCons(x - y <= 1)
    solver = combdiff.wrap(model, [x, y])
    found = solver.solve(np.array([[1.0, 1.0], [-1.0, -1.0], [-1.0, 2.0]]))
    assert found.status.tolist() == [Status.OPTIMAL, Status.UNBOUNDED, Status.OPTIMAL]
    model.addCons(x + y <= -1)
    found = combdiff.wrap(model, [x, y]).solve(np.array([[1.0, 1.0], [-1.0, -1.0]]))
    assert (found.status == Status.INFEASIBLE).all()


def test_copies_and_threads_agree() -> None:
    model, x = knapsack()
    solver = combdiff.wrap(model, x)
    theta = np.random.default_rng(4).normal(size=(40, 4))
    expected = solver.solve(theta).y
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(solver)).solve(theta).y, expected)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(solver.solve, np.split(theta, 4)))
    np.testing.assert_array_equal(np.concatenate([part.y for part in parts]), expected)


def test_bad_input() -> None:
    model, x = knapsack()
    other, z = knapsack()
    with pytest.raises(ValueError, match="not of this model"):
        combdiff.wrap(model, [x[0], z[1]])
    with pytest.raises(ValueError, match=r"variables\[2\] is the same variable as variables\[0\]"):
        combdiff.wrap(model, [x[0], x[1], x[0]])
    with pytest.raises(TypeError, match="linear"):
        combdiff.wrap(model, [x[0] * x[1]])
    with pytest.raises(TypeError, match="int"):
        combdiff.wrap(model, [0, 1])
    with pytest.raises(ValueError, match="empty"):
        combdiff.wrap(model, [])
    with pytest.raises(ValueError, match="empty"):
        combdiff.wrap(pyscipopt.Model(), x)
    with pytest.raises(ValueError, match="time_limit=0"):
        combdiff.wrap(model, x, time_limit=0)
    with pytest.raises(ValueError, match="sense"):
        combdiff.wrap(model, x, sense="min")
    assert other.getNVars() == 4


def test_an_answer_of_a_layer() -> None:
    torch = pytest.importorskip("torch")
    layer = combdiff.Perturbed(combdiff.wrap(*knapsack()), sigma=0.5, samples=4)
    theta = torch.ones(2, 4, requires_grad=True)
    layer(theta).sum().backward()
    assert torch.isfinite(theta.grad).all()
