"""`value` of SCIP models, CP-SAT models and formulas: ⟨θ, y⟩ + h(y), h of the best completion, against enumeration."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy import ndarray

import combdiff
from combdiff_solvers.formulas.formula import Formula, Soft
from combdiff_solvers.formulas.formula_solver import SatInstances
from combdiff_solvers.protocol import Status

RNG = np.random.default_rng(0)


class Problem(NamedTuple):
    """min or max ⟨θ, y⟩ + ⟨costs, x⟩ + 2.5 over A x ≤ b, 0 ≤ x ≤ upper, whole; y are the first three of the five x."""

    A: ndarray
    b: ndarray
    upper: ndarray
    costs: ndarray
    sense: str

    @classmethod
    def random(cls, rng: np.random.Generator, sense: str) -> Problem:
        A, b = rng.integers(-3, 5, size=(3, 5)), rng.integers(0, 6, size=3)
        return cls(A, b, rng.integers(1, 3, size=5), rng.normal(size=5).round(2), sense)

    def points(self) -> ndarray:
        x = np.array(list(itertools.product(*(range(int(most) + 1) for most in self.upper))), dtype=float)
        return x[(x @ self.A.T <= self.b).all(axis=1)]

    def values(self, y: ndarray, theta: ndarray) -> ndarray:
        """By enumeration; NaN where y has no completion."""
        x = self.points()
        sign = 1.0 if self.sense == "min" else -1.0
        found = np.full(len(y), np.nan)
        for row in range(len(y)):
            h = (x @ self.costs)[(x[:, :3] == y[row]).all(axis=1)]
            if len(h):
                found[row] = theta[row] @ y[row] + sign * (sign * h).min() + 2.5
        return found


def on_scip(problem: Problem, **options: Any) -> Any:
    pyscipopt = pytest.importorskip("pyscipopt", reason="pyscipopt is not installed")
    model = pyscipopt.Model()
    x = [model.addVar(vtype="I", lb=0, ub=int(most)) for most in problem.upper]
    for row, side in zip(problem.A.tolist(), problem.b.tolist(), strict=True):
        model.addCons(pyscipopt.quicksum(a * v for a, v in zip(row, x, strict=True)) <= side)
    objective = pyscipopt.quicksum(float(c) * v for c, v in zip(problem.costs, x, strict=True)) + 2.5
    model.setObjective(objective, problem.sense + "imize")
    return combdiff.wrap(model, x[:3], **options)


def on_cp_sat(problem: Problem, **options: Any) -> Any:
    pytest.importorskip("ortools", reason="OR-Tools is not installed")
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    x = [model.new_int_var(0, int(most), f"x{i}") for i, most in enumerate(problem.upper)]
    for row, side in zip(problem.A.tolist(), problem.b.tolist(), strict=True):
        model.add(sum(a * v for a, v in zip(row, x, strict=True)) <= side)
    objective = sum(float(c) * v for c, v in zip(problem.costs, x, strict=True)) + 2.5
    getattr(model, problem.sense + "imize")(objective)
    return combdiff.wrap(model, x[:3], **options)


@pytest.mark.parametrize("sense", ["min", "max"])
@pytest.mark.parametrize("make", [on_scip, on_cp_sat])
def test_models_with_unpriced_variables_against_enumeration(make: Any, sense: str) -> None:
    rng = np.random.default_rng(0)
    missing = 0
    for _ in range(12):
        problem = Problem.random(rng, sense)
        solver = make(problem)
        theta = rng.normal(size=(12, 3))
        y = rng.integers(0, 3, size=(12, 3)).astype(float)
        expected = problem.values(y, theta)
        missing += int(np.isnan(expected).sum())
        np.testing.assert_allclose(solver.value(y, theta), expected, rtol=1e-9, atol=1e-9)
        found = solver.solve(theta)
        if found.solved.all():  # y* has the value of its own objective, and earlier completions changed nothing
            np.testing.assert_allclose(solver.value(found.y, theta), found.objective, rtol=1e-9, atol=1e-9)
            np.testing.assert_array_equal(make(problem).solve(theta).y, found.y)
    assert missing > 0


@pytest.mark.parametrize("make", [on_scip, on_cp_sat])
def test_a_gap_is_not_allowed_in_a_value(make: Any) -> None:
    problem = Problem.random(np.random.default_rng(3), "max")
    y, theta = problem.points()[::7, :3].copy(), np.zeros((len(problem.points()[::7]), 3))
    np.testing.assert_allclose(make(problem, relative_gap=0.9).value(y, theta), problem.values(y, theta), atol=1e-9)


@pytest.mark.parametrize("make", [on_scip, on_cp_sat])
def test_h_of_priced_variables_needs_no_solve(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem.random(np.random.default_rng(1), "min")
    problem.costs[3:] = 0.0
    solver = make(problem)
    monkeypatch.setattr(solver, "_engines", None)
    y, theta = np.array([[0.25, 0.5, 0.0], [np.nan, 0.0, 1.0]]), np.ones((2, 3))
    expected = y @ (problem.costs[:3] + 1) + 2.5
    np.testing.assert_allclose(solver.value(y, theta), expected)


@pytest.mark.parametrize("make", [on_scip, on_cp_sat])
def test_values_at_no_point_are_nan_and_bad_shapes_refused(make: Any) -> None:
    problem = Problem(np.ones((1, 5)).astype(int), np.array([9]), np.full(5, 1), np.arange(1.0, 6.0), "max")
    y = np.array([[0.5, 0, 0], [2, 0, 0], [np.nan, 0, 0], [1, 1, 1]])
    np.testing.assert_array_equal(np.isnan(make(problem).value(y, np.ones((4, 3)))), [True, True, True, False])
    with pytest.raises(ValueError, match=r"y has shape \(2, 3\), but theta \(4, 3\)"):
        make(problem).value(y[:2], np.ones((4, 3)))
    with pytest.raises(ValueError, match="takes no instances"):
        make(problem).value(y, np.ones((4, 3)), [None] * 4)


def test_scip_continuous_completions_with_a_bound_or_without() -> None:
    pyscipopt = pytest.importorskip("pyscipopt", reason="pyscipopt is not installed")
    model = pyscipopt.Model()
    x, z, free = model.addVar(lb=-1, ub=1), model.addVar(), model.addVar(vtype="B")
    model.addCons(z >= x * x)
    model.setObjective(2 * z)
    y = np.array([[0.5], [-1.0], [0.0], [1.5]])
    expected = np.array([0.75, 3.0, 0.0, np.nan])  # y² + 2 y²
    solver: Any = combdiff.wrap(model, [x])
    np.testing.assert_allclose(solver.value(y, y), expected, atol=1e-5)
    model.setObjective(2 * z - 3 * free, "maximize")
    solver = combdiff.wrap(model, [x])
    assert (solver.value(y[:3], y[:3]) == np.inf).all()


SOFT = (Soft((1, 4), Fraction(3)), Soft((-5, 2), Fraction(-2)), Soft((4, 5), Fraction(5, 4)), Soft((), Fraction(1, 2)))
CLAUSES = ((1, 2, -3), (-1, -4), (3, 5), (-2, -5, 4))


def formula_values(y: ndarray, theta: ndarray, sense: str, literals: ndarray | None = None) -> ndarray:
    x = np.array(list(itertools.product((0.0, 1.0), repeat=5)))
    found = np.full(len(y), np.nan)
    holds = np.array(
        [[any((row[abs(one) - 1] > 0.5) == (one > 0) for one in soft.clause) for row in x] for soft in SOFT]
    )
    weights = np.array([float(one.weight) for one in SOFT])
    h = weights @ (holds if sense == "max" else ~holds)
    for row in range(len(y)):
        units = () if literals is None else tuple((int(one),) for one in literals[row] if one)
        good = Formula(5, (*CLAUSES, *units)).satisfied(x) & (x[:, [2, 0, 1]] == y[row]).all(axis=1)
        if good.any():
            found[row] = theta[row] @ y[row] + (h[good].max() if sense == "max" else h[good].min())
    return found


@pytest.mark.parametrize("sense", ["min", "max"])
@pytest.mark.parametrize("backend", ["rc2", "cp_sat", "auto"])
def test_formulas_with_soft_clauses_over_unpriced_variables(
    backend: str, sense: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pysat", reason="python-sat is not installed")
    pytest.importorskip("ortools", reason="OR-Tools is not installed")
    monkeypatch.setattr("combdiff_solvers.formulas.formula_auto.MOST_PRICES", 2)
    solver: Any = combdiff.wrap(Formula(5, CLAUSES, (), SOFT), [3, 1, 2], sense=sense, backend=backend)
    y = np.tile(np.array(list(itertools.product((0.0, 1.0), repeat=3))), (3, 1))
    theta = RNG.normal(size=y.shape)
    np.testing.assert_allclose(solver.value(y, theta), formula_values(y, theta, sense), atol=1e-9)
    literals = RNG.integers(1, 6, size=(len(y), 2)) * RNG.choice([-1, 0, 1], size=(len(y), 2))
    given = SatInstances(literals=literals)
    expected = formula_values(y, theta, sense, literals)
    assert np.isnan(expected).any()
    np.testing.assert_allclose(solver.value(y, theta, given), expected, atol=1e-9)
    found = solver.solve(theta, given)
    solved = found.status == Status.OPTIMAL
    np.testing.assert_allclose(solver.value(found.y, theta, given)[solved], found.objective[solved], atol=1e-9)
    assert np.isnan(solver.value(found.y, theta, given)[~solved]).all()


@pytest.mark.parametrize("backend", ["rc2", "cp_sat"])
def test_formulas_whose_soft_clauses_are_priced_need_no_solve(backend: str) -> None:
    pytest.importorskip("pysat", reason="python-sat is not installed")
    pytest.importorskip("ortools", reason="OR-Tools is not installed")
    formula = Formula(3, ((1, 2),), (), (Soft((1, -2), Fraction(3)),))
    solver: Any = combdiff.wrap(formula, [1, 2], backend=backend)
    for name in ("_solve_one", "_solve_row"):
        setattr(solver, name, None)
    y = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [np.nan, 0.0]])
    np.testing.assert_allclose(solver.value(y, np.ones((4, 2))), [1.0, 4.0, np.nan, np.nan])
    hard: Any = combdiff.wrap(Formula(3, ((1, 2),)), [1, 2], backend=backend)
    np.testing.assert_allclose(hard.value(y, np.ones((4, 2))), [1.0, 1.0, 1.0, np.nan])
