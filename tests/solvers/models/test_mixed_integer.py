"""Every back end against enumeration, and against each other."""

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

from combdiff.solvers import MixedInteger, Solver, Status
from combdiff.testing import SolverContract

pytest.importorskip("ortools")

EXACT = ["scip", "highs", "cp_sat"]
BOX = np.array(list(product([-1.0, 0.0, 1.0, 2.0], repeat=4)))


def integer_program(rng: np.random.Generator) -> dict[str, Any]:
    """A random program over BOX, sometimes infeasible, with two-sided rows and an equation."""
    A = rng.integers(-3, 4, size=(3, 4)).astype(float) * rng.choice([1.0, 0.5, 0.1])
    middle = A @ BOX[rng.integers(len(BOX))]
    width = rng.integers(0, 4, size=3) * 0.5
    return {
        "A": A,
        "lower": middle - width,
        "b": middle + rng.integers(-1, 3, size=3),
        "h": rng.integers(-2, 3, size=4),
    }


def feasible(program: dict[str, Any]) -> np.ndarray:
    sums = BOX @ np.asarray(program["A"]).T
    return BOX[((sums >= program["lower"] - 1e-9) & (sums <= program["b"] + 1e-9)).all(axis=1)]


@pytest.mark.parametrize("backend", EXACT)
@pytest.mark.parametrize("sense", ["min", "max"])
def test_random_integer_programs_against_enumeration(backend: str, sense: str) -> None:
    rng = np.random.default_rng(0)
    infeasible = 0
    for trial in range(120):
        program = integer_program(rng)
        theta = rng.integers(-2, 3, size=(2, 4)).astype(float) if trial % 2 else rng.normal(size=(2, 4))
        solver = MixedInteger(**program, integrality=1, bounds=(-1, 2), sense=sense, backend=backend)
        found = solver.solve(theta)
        points = feasible(program)
        if not len(points):
            assert found.status.tolist() == [Status.INFEASIBLE] * 2
            infeasible += 1
            continue
        assert found.status.tolist() == [Status.OPTIMAL] * 2
        values = points @ (theta + program["h"]).T
        best = values.min(axis=0) if sense == "min" else values.max(axis=0)
        np.testing.assert_allclose(found.objective, best, atol=1e-9)
        for y in found.y:
            assert (points == y).all(axis=1).any()
    assert 0 < infeasible < 60


def vertices(A: np.ndarray, b: np.ndarray, upper: float) -> np.ndarray:
    """The vertices of A x ≤ b, 0 ≤ x ≤ upper, by all choices of active constraints."""
    n = A.shape[1]
    rows = np.vstack([A, np.eye(n), -np.eye(n)])
    sides = np.concatenate([b, np.full(n, upper), np.zeros(n)])
    chosen = np.array(list(combinations(range(len(rows)), n)))
    regular = np.abs(np.linalg.det(rows[chosen])) > 1e-9
    points = np.linalg.solve(rows[chosen[regular]], sides[chosen[regular]][..., None])[..., 0]
    return points[(points @ rows.T <= sides + 1e-7).all(axis=1)]


@pytest.mark.parametrize("backend", ["glop", "scip", "highs"])
def test_random_linear_programs_against_their_vertices(backend: str) -> None:
    rng = np.random.default_rng(1)
    for trial in range(200):
        A, b = rng.normal(size=(3, 4)), rng.uniform(0.2, 2.0, size=3)
        points = vertices(A, b, upper=1.5)
        sense = "min" if trial % 2 else "max"
        theta = rng.normal(size=(1, 4)) if trial % 3 else rng.integers(-1, 2, size=(1, 4)).astype(float)
        found = MixedInteger(A, b, bounds=(0, 1.5), sense=sense, backend=backend).solve(theta)
        values = points @ theta[0]
        assert found.status[0] == Status.OPTIMAL
        assert abs(found.objective[0] - (values.min() if sense == "min" else values.max())) < 1e-6
        if backend == "glop":
            assert np.abs(points - found.y[0]).max(axis=1).min() < 1e-6, "not a vertex"


def test_integer_back_ends_agree_on_larger_programs() -> None:
    rng = np.random.default_rng(2)
    for _ in range(5):
        A, b = rng.integers(1, 30, size=(4, 20)), rng.integers(60, 120, size=4)
        theta = rng.normal(size=(10, 20)) * 10.0 ** rng.integers(-6, 7, size=(10, 1))
        objectives = [
            MixedInteger(A, b, integrality=1, bounds=(0, 2), sense="max", backend=backend).solve(theta).objective
            for backend in EXACT
        ]
        np.testing.assert_allclose(objectives[0], objectives[2], rtol=1e-9)
        np.testing.assert_allclose(objectives[1], objectives[2], rtol=1e-9)


def test_linear_back_ends_agree_on_larger_programs() -> None:
    rng = np.random.default_rng(3)
    A, b = rng.uniform(0, 1, size=(15, 30)), rng.uniform(2, 5, size=15)
    theta = rng.normal(size=(50, 30))
    found = {
        backend: MixedInteger(A, b, bounds=(0, 1), sense="max", backend=backend).solve(theta)
        for backend in ("glop", "scip", "highs", "pdlp")
    }
    for backend in ("scip", "highs"):
        np.testing.assert_allclose(found[backend].objective, found["glop"].objective, rtol=1e-7)
    np.testing.assert_allclose(found["pdlp"].objective, found["glop"].objective, rtol=1e-3)
    assert (found["pdlp"].status == Status.FEASIBLE).all(), "a first-order answer is no proven vertex"
    assert "first-order" in found["pdlp"].messages[0]


class TestMixed(SolverContract):
    """Continuous and integer variables, some priced, in a shape of two axes, with an h."""

    rows = 70

    def make(self) -> Solver:
        # x0..x3 binary with Σ = 2; the continuous x4 ≥ x0 + x1 − 1 and x4 ≥ 0 costs 0.5
        A = [[1, 1, 1, 1, 0], [1, 1, 0, 0, -1]]
        return MixedInteger(
            A, [2, 1], lower=[2, -np.inf], integrality=[1, 1, 1, 1, 0], bounds=(0, [1, 1, 1, 1, 9]),
            priced=[[3, 2], [1, 0]], h=[0.25, 0, 0, 0, 0.5],
        )  # fmt: skip

    def feasible_set(self, solver: Solver) -> np.ndarray:
        return np.array([y for y in product([0.0, 1.0], repeat=4) if sum(y) == 2])

    def value(self, solver: Solver, theta: np.ndarray, y: np.ndarray) -> np.ndarray:
        return y @ theta + 0.25 * y[:, 3] + 0.5 * np.maximum(y[:, 3] + y[:, 2] - 1, 0)


class TestLinear(SolverContract):
    """An LP whose vertices are 0/1, on the route of the shortest way to GLOP."""

    tolerance = 1e-7

    def make(self) -> Solver:
        return MixedInteger(np.ones((1, 4)), 2, lower=2, bounds=(0, 1), sense="max")

    def feasible_set(self, solver: Solver) -> np.ndarray:
        return np.array([y for y in product([0.0, 1.0], repeat=4) if sum(y) == 2])


class TestLinearFromABasis(TestLinear):
    def make(self) -> Solver:
        typical = np.array([1.0, 2.0, 3.0, 4.0])
        return MixedInteger(np.ones((1, 4)), 2, lower=2, bounds=(0, 1), sense="max", warm_start=typical)


class TestCpSat(TestLinear):
    tolerance = 1e-10

    def make(self) -> Solver:
        return MixedInteger(
            np.full((1, 4), 0.1), 0.2, lower=0.2, bounds=(0, 1), integrality=1, sense="max", backend="cp_sat"
        )


@pytest.mark.parametrize("backend", ["glop", "pdlp", "scip", "highs"])
def test_infeasible_and_unbounded_rows_cost_no_other_row(backend: str) -> None:
    solver = MixedInteger([[1, 1, 0]], np.inf, lower=2, backend=backend)
    found = solver.solve(np.array([[3.0, 1, 2], [0, 0, -1], [1, 2, 0]]))
    assert (found.status <= Status.FEASIBLE).tolist() == [True, False, True]
    assert found.status[1] == Status.UNBOUNDED
    np.testing.assert_allclose(found.objective[[0, 2]], [2.0, 2.0], atol=1e-3)
    assert np.isnan(found.y[1]).all()
    # infeasible, and without a bound in the direction of the costs: infeasible it is
    solver = MixedInteger([[1, 1, 0], [1, 1, 0]], [np.inf, 1], lower=[2, -np.inf], backend=backend)
    assert solver.solve(np.array([[0.0, 0, -1], [1, 1, 1]])).status.tolist() == [Status.INFEASIBLE] * 2


@pytest.mark.parametrize("backend", ["scip", "highs"])
def test_unbounded_integers(backend: str) -> None:
    solver = MixedInteger([[1.0, -1.0]], 3, integrality=1, backend=backend)
    assert solver.solve(np.array([[-1.0, 0.0], [1.0, 1.0]])).status.tolist() == [Status.UNBOUNDED, Status.OPTIMAL]


@pytest.mark.parametrize("rows", [4, 5, 6, 10])
def test_a_batch_in_blocks_is_whole(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    solver = MixedInteger([[3, 4, 2]], 6, integrality=1, bounds=(0, 1), sense="max", h=[1, 0, 0])
    theta = np.random.default_rng(0).normal(size=(rows, 3))
    with monkeypatch.context() as patch:
        patch.setattr("combdiff_solvers.models.math_opt_model.BLOCK", 5 * 3)
        found = solver.solve(theta)
    expected = solver.solve(theta)
    np.testing.assert_array_equal(found.y, expected.y)
    np.testing.assert_array_equal(found.objective, expected.objective)


def test_scales_of_theta_do_not_matter() -> None:
    rng = np.random.default_rng(4)
    theta = rng.normal(size=(1, 8))
    for backend in ["glop", *EXACT]:
        integrality = 0 if backend == "glop" else 1
        solver = MixedInteger(rng.integers(1, 9, (2, 8)), 15, integrality=integrality, bounds=(0, 1), backend=backend)
        y = [solver.solve(theta * size).y for size in (1e-200, 1e-12, 1.0, 1e12, 1e200)]
        for other in y:
            np.testing.assert_allclose(other, y[2], atol=1e-9)


def test_costs_beyond_floating_point_tolerances_are_not_called_optimal() -> None:
    theta = np.array([[1.0, 1.1e-12, 1.0e-12]])
    for backend in ("glop", "scip", "highs"):
        solver = MixedInteger(
            [[1, 1, 1]], 1, lower=1, bounds=(0, 1), integrality=int(backend != "glop"), backend=backend
        )
        found = solver.solve(theta)
        assert found.status[0] == Status.FEASIBLE
        assert "orders of magnitude" in found.messages[0]
    exact = MixedInteger([[1, 1, 1]], 1, lower=1, bounds=(0, 1), integrality=1, backend="cp_sat").solve(theta)
    assert exact.status[0] == Status.OPTIMAL
    assert exact.y[0].tolist() == [0, 0, 1]


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("backend", ["glop", "scip", "highs"])
def test_optimal_is_within_1e_9_of_the_largest_cost(backend: str, warm: bool) -> None:
    rng = np.random.default_rng(6)
    start = np.ones(4) if warm else None
    optimal = 0
    for trial in range(60):
        A, b, lower = rng.normal(size=(3, 4)), rng.uniform(0.2, 2.0, size=3), -np.inf
        points = vertices(A, b, upper=1.0)
        if trial % 2:
            A, b, lower, points = np.ones((1, 4)), np.ones(1), 1.0, np.eye(4)
        theta = rng.normal(size=(8, 4)) * 10.0 ** rng.uniform(-8.5, 0, size=(8, 4))
        theta[0] = 5.40e-7, 1.24e-7, 3.13e-7, 1.0
        largest = np.abs(theta).max(axis=1)
        found = MixedInteger(A, b, lower=lower, bounds=(0, 1), backend=backend, warm_start=start).solve(theta)
        excess = found.objective - (theta @ points.T).min(axis=1)
        proven = found.status == Status.OPTIMAL
        assert (excess[proven] <= 1e-9 * largest[proven]).all()
        assert (excess >= -1e-6 * largest).all()
        optimal += proven.sum()
    assert optimal > 240


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": [1.0, 2.0]}, "b has shape"),
        ({"b": np.nan}, "NaN"),
        ({"A": [[np.nan, 1.0]]}, "finite"),
        ({"h": [1.0, np.inf]}, "finite"),
        ({"integrality": 2}, "integrality"),
        ({"priced": [0, 2]}, "index 2"),
        ({"priced": [1, 1]}, "same variable"),
        ({"priced": []}, "empty"),
        ({"backend": "gurobi"}, "backend='gurobi'"),
        ({"backend": "glop", "integrality": 1}, "scip"),
        ({"backend": "cp_sat", "integrality": 0}, "continuous"),
        ({"backend": "cp_sat", "integrality": 1, "bounds": (0, np.inf)}, "unbounded"),
        ({"backend": "cp_sat", "integrality": 1, "A": [[1 / 3, 1.0]]}, "row 0"),
        ({"time_limit": 0}, "time_limit=0"),
        ({"batch_time_limit": -1.0}, "batch_time_limit"),
        ({"relative_gap": np.nan}, "relative_gap"),
        ({"sense": "least"}, "sense"),
        ({"A": np.zeros((1, 0))}, "empty"),
        ({"A": np.zeros((1, 2, 2))}, "shape"),
    ],
)
def test_bad_arguments(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MixedInteger(**{"A": [[1.0, 2.0]], "b": 2.0, "bounds": (0, 1), **change})
