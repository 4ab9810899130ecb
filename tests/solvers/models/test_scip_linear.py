"""Linear SCIP models as arrays: the same answers as by SCIP's own text, from any reader, on any back end."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import combdiff
from combdiff.solvers import MixedInteger
from combdiff_solvers.protocol import Solutions, Status

pyscipopt = pytest.importorskip("pyscipopt", reason="pyscipopt is not installed")

from combdiff_solvers.models import scip_problem  # noqa: E402
from combdiff_solvers.models.linear_model import LinearModel  # noqa: E402
from combdiff_solvers.models.scip import ScipModel  # noqa: E402
from combdiff_solvers.models.scip_problem import ScipProblem  # noqa: E402

BOUNDS = [(0, 1), (-2, 2), (1, 1), (-1, 3), (0, None), (None, 2), (None, None)]


def random_model(rng: np.random.Generator) -> tuple[Any, list[Any]]:
    """Binary, integer and continuous variables, some free or fixed; equations, ranges, empty and free rows."""
    model = pyscipopt.Model()
    model.hideOutput()
    x = []
    for _ in range(5):
        kind, (lower, upper) = rng.choice(list("BIC")), BOUNDS[rng.integers(len(BOUNDS))]
        x.append(model.addVar("twice", vtype=kind, **({} if kind == "B" else {"lb": lower, "ub": upper})))
    model.addCons(pyscipopt.quicksum(x) <= 6)
    model.addCons(pyscipopt.quicksum(x) >= -6)
    for row in rng.integers(-3, 4, size=(4, 5)) * (rng.random((4, 5)) < 0.6):
        weight = pyscipopt.quicksum(int(a) * v for a, v in zip(row, x, strict=True)) + 0.1 * x[0] * int(row[1])
        least = float(rng.integers(-4, 2))
        width = rng.choice([0.0, 1.5, 3.0, np.inf])
        model.addCons(weight >= least) if width == np.inf else model.addCons((least <= weight) <= least + width)
    model.addCons(0 * x[0] <= 1)
    h = pyscipopt.quicksum(c * v for c, v in zip(rng.normal(size=5).tolist(), x, strict=True))
    model.setObjective(h + float(rng.normal()) * 10, rng.choice(["minimize", "maximize"]))
    return model, x


def by_text(model: Any, x: list[Any]) -> ScipModel:
    """The solver of the same model by the CIP file that SCIP writes and reads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scip_problem, "_linear_rows", lambda model, variables: None)
        return solver_of(model, x)


def solver_of(model: Any, x: list[Any], **options: Any) -> ScipModel:
    solver = combdiff.wrap(model, x, **options)
    assert isinstance(solver, ScipModel)
    return solver


def assert_equal(found: Solutions, expected: Solutions) -> None:
    np.testing.assert_array_equal(found.status, expected.status)
    np.testing.assert_allclose(found.objective, expected.objective, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.bound, expected.bound, rtol=1e-9, atol=1e-9)


def test_random_models_as_arrays_and_as_text() -> None:
    rng, ends = np.random.default_rng(0), []
    for trial in range(40):
        model, x = random_model(rng)
        solver, old = solver_of(model, x), by_text(model, x)
        assert solver._problem.text is None
        assert old._problem.text is not None
        theta = rng.normal(size=(3, 5)) * 10.0 ** rng.integers(-3, 4)
        found, expected = solver.solve(theta), old.solve(theta)
        assert_equal(found, expected)
        np.testing.assert_allclose(found.y, expected.y, atol=1e-6, err_msg=f"trial {trial}")
        native = combdiff.wrap(model, x, backend="scip").solve(theta)
        np.testing.assert_array_equal(found.status, native.status)
        np.testing.assert_allclose(found.objective, native.objective, rtol=1e-7, atol=1e-7)
        if found.solved.all():
            np.testing.assert_allclose(solver.value(found.y, theta), found.objective, rtol=1e-9, atol=1e-9)
        ends += found.status.tolist()
    assert {Status.OPTIMAL, Status.INFEASIBLE, Status.UNBOUNDED} == set(ends)


def test_arrays_are_those_of_the_model_and_come_back_from_scip() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        model, _ = random_model(rng)
        own = ScipProblem.of(model).model
        again = ScipProblem.of(ScipProblem(own).build()[0]).model
        assert (own.A != again.A).nnz == 0
        for name in ("integer", "lower", "upper", "row_lower", "row_upper"):
            np.testing.assert_array_equal(getattr(own, name), getattr(again, name), err_msg=name)


def test_the_arrays_of_a_model() -> None:
    """Names may come twice, infinity is none, the model may have been solved, and 17 digits stay."""
    model = pyscipopt.Model()
    model.hideOutput()
    x, z = model.addVar("x", vtype="B"), model.addVar("x", lb=None, ub=1 / 3)
    model.addCons((x + 0.1 * z >= -2) <= 1 / 7)
    model.addCons(x - z >= -5)
    model.setObjective(2 * x - z + 1.5, "maximize")
    model.optimize()
    own = ScipProblem.of(model).model
    assert own.A.toarray().tolist() == [[1, 0.1], [1, -1]]
    assert (own.row_lower.tolist(), own.row_upper.tolist()) == ([-2, -5], [1 / 7, np.inf])
    assert (own.lower.tolist(), own.upper.tolist()) == ([0, -np.inf], [1, 1 / 3])
    assert (own.c.tolist(), own.offset, own.maximize, own.integer.tolist()) == ([2, -1], 1.5, True, [True, False])
    assert own.names == ("x", "x")


def quadratic(model: Any, x: list[Any]) -> None:
    model.addCons(x[0] * x[1] <= 0.5)


def sos(model: Any, x: list[Any]) -> None:
    model.addConsSOS1(x)


def indicator(model: Any, x: list[Any]) -> None:
    model.addConsIndicator(x[0] + x[1] <= 0, binvar=x[2])


def conjunction(model: Any, x: list[Any]) -> None:
    model.addConsAnd(x[:2], x[2])


def implied_integer(model: Any, x: list[Any]) -> None:
    model.addCons(model.addVar(vtype="M", ub=3) == x[0] + x[1])


BEYOND = (quadratic, sos, indicator, conjunction, implied_integer)


def booleans() -> tuple[Any, list[Any]]:
    model = pyscipopt.Model()
    model.hideOutput()
    x = [model.addVar(f"v{i}", vtype="B") for i in range(3)]
    model.addCons(x[0] + x[1] + x[2] <= 2)
    return model, x


@pytest.mark.parametrize("add", BEYOND)
def test_what_arrays_cannot_hold_is_text(add: Callable[[Any, list[Any]], None]) -> None:
    model, x = booleans()
    theta = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    loose = solver_of(model, x, sense="max").solve(theta).objective
    add(model, x)
    solver = solver_of(model, x, sense="max")
    assert solver._problem.text is not None
    assert not solver._problem.model.A.nnz
    found = solver.solve(theta).objective
    assert add is implied_integer or (found < loose - 0.5).any()  # the constraint is there
    with pytest.raises(ValueError, match="SCIP alone takes: leave backend out"):
        combdiff.wrap(model, x, backend="highs")


def test_a_negated_variable_is_text() -> None:
    text = (
        "STATISTICS\nOBJECTIVE\n  Sense : minimize\nVARIABLES\n  [binary] <a>: obj=1, original bounds=[0,1]\n"
        "  [binary] <b>: obj=2, original bounds=[0,1]\nCONSTRAINTS\n  [linear] <c>: <a>[B] +<~b>[B] >= 1;\nEND\n"
    )
    model = pyscipopt.Model()
    model.hideOutput()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "model.cip").write_text(text)
        model.readProblem(str(Path(folder, "model.cip")))
    solver = solver_of(model, model.getVars())
    assert solver._problem.text is not None
    np.testing.assert_array_equal(solver.solve(np.array([[0.0, 0.0], [0.0, -4.0]])).y, [[0, 0], [1, 1]])


@pytest.mark.parametrize("backend", ["highs", "scip", "cp_sat"])
def test_a_linear_model_on_another_back_end(backend: str) -> None:
    model, x = booleans()
    model.setObjective(x[0] + 2, "maximize")
    theta = np.random.default_rng(0).normal(size=(10, 3))
    found = combdiff.wrap(model, x, backend=backend, time_limit=9.0).solve(theta)
    np.testing.assert_allclose(found.objective, combdiff.wrap(model, x).solve(theta).objective)
    with pytest.raises(ValueError, match="integer variables"):
        combdiff.wrap(model, x, backend="glop")


def lp_file(folder: Path) -> Any:
    (folder / "model.lp").write_text("max\n 2 x + y + 3\nst\n -2 <= x + y <= 2\n x - y <= 1\nbounds\n y free\nend\n")
    return combdiff.wrap(folder / "model.lp")


def mps_file(folder: Path) -> Any:
    (folder / "model.mps").write_text(
        "NAME\nOBJSENSE\n MAX\nROWS\n N obj\n L cap\nCOLUMNS\n M 'MARKER' 'INTORG'\n x obj 2 cap 3\n y obj 1 cap 2\n"
        " M 'MARKER' 'INTEND'\nRHS\n rhs cap 7\nBOUNDS\n UP b x 2\n UP b y 3\nENDATA\n"
    )
    return combdiff.wrap(folder / "model.mps")


def arrays(folder: Path) -> Any:
    return MixedInteger([[3, 4], [1, 1]], [9, 2.5], integrality=[1, 0], bounds=(0, 3), h=[1, -1], sense="max")._solver


def math_opt(folder: Path) -> Any:
    from ortools.math_opt.python import mathopt

    model = mathopt.Model()
    x, y = model.add_binary_variable(), model.add_variable(lb=-1, ub=2)
    model.add_linear_constraint(x + y <= 1.5)
    model.maximize(x + 3)
    return combdiff.wrap(model, [x, y])


def pywraplp(folder: Path) -> Any:
    from ortools.linear_solver import pywraplp

    model = pywraplp.Solver.CreateSolver("SCIP")
    x, y = model.IntVar(0, 3, "x"), model.NumVar(-1, 2, "y")
    model.Add(x + 2 * y <= 3.5)
    model.Maximize(x - y)
    return combdiff.wrap(model, [x, y])


@pytest.mark.parametrize("make", [lp_file, mps_file, arrays, math_opt, pywraplp])
def test_scip_takes_the_models_of_every_reader(make: Callable[[Path], Any], tmp_path: Path) -> None:
    other = make(tmp_path)
    solver = ScipModel(ScipProblem(other._model), other._priced, other.shape, other.sense)
    theta = np.random.default_rng(2).uniform(0.1, 2, size=(8, 2))
    found, expected = pickle.loads(pickle.dumps(solver)).solve(theta), other.solve(theta)
    assert (found.status == Status.OPTIMAL).all()
    np.testing.assert_allclose(found.objective, expected.objective, rtol=1e-8)
    np.testing.assert_allclose(found.y, expected.y, atol=1e-6)


def test_bad_quadratic_arrays_are_refused() -> None:
    from ortools.math_opt.python import mathopt

    model = mathopt.Model()
    x = model.add_variable(lb=0, ub=2)
    model.minimize(x * x)
    solver: Any = combdiff.wrap(model, [x])
    with pytest.raises(ValueError, match=r"linear arrays, and the model has a quadratic objective"):
        ScipProblem(solver._model)


@pytest.mark.parametrize(("lower", "upper"), [(2.0, 1.0), (np.inf, np.inf)])
def test_crossed_bounds_are_infeasible(lower: float, upper: float) -> None:
    model = LinearModel(
        np.ones(1),
        csr_matrix([[1.0]]),
        np.zeros(1, bool),
        np.zeros(1),
        np.ones(1),
        np.full(1, lower),
        np.full(1, upper),
    )
    solver = ScipModel(ScipProblem(model), np.array([0]), (1,))
    found = solver.solve(np.ones((2, 1)))
    assert (found.status == Status.INFEASIBLE).all()
    assert "variable 0" in found.messages[1]


def test_a_relative_gap_is_of_the_objective_with_its_offset() -> None:
    """Ninety-nine hundredths of an objective near zero are little; of one without its offset they would be all."""
    rng = np.random.default_rng(0)
    weights = rng.integers(10, 99, size=(5, 30))
    model = pyscipopt.Model()
    x = [model.addVar(vtype="B") for _ in range(30)]
    for row in weights.tolist():
        model.addCons(pyscipopt.quicksum(a * v for a, v in zip(row, x, strict=True)) <= 500)
    theta = rng.uniform(10, 99, size=(3, 30))
    best = combdiff.wrap(model, x, sense="max").solve(theta).objective
    for row in range(3):
        model.setObjective(0 * x[0] - float(best[row]) + 10.0, "maximize")
        found = combdiff.wrap(model, x, relative_gap=0.9).solve(theta[row : row + 1])
        assert found.solved.all()
        assert found.objective[0] >= 0.1 * 10.0 - 1e-6
