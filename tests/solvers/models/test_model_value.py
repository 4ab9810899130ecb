"""The value of a point: ⟨θ, y⟩ + h(y), with the best completion where h holds unpriced variables."""

import pickle
from itertools import product
from typing import Any

import numpy as np
import pytest

from combdiff.solvers import MixedInteger, Status, wrap

mathopt = pytest.importorskip("ortools.math_opt.python.mathopt")

from combdiff_solvers.protocol import value  # noqa: E402

RNG = np.random.default_rng(0)
SERVICE = RNG.integers(1, 20, size=(6, 4))  # of 6 customers by 4 facilities
OPEN = np.array(list(product([0.0, 1.0], repeat=4)))
BEST = np.array([np.nan, *(SERVICE[:, y > 0].min(axis=1).sum() for y in OPEN[1:])])  # h of each choice of facilities
BACKENDS = ["scip", "highs", "cp_sat"]


def facility_location(**options: Any) -> MixedInteger:
    """min ⟨θ, y⟩ + Σ service · x over open facilities y and assignments x of all customers to one of them."""
    customers, facilities = SERVICE.shape
    served = np.hstack([np.zeros((customers, facilities)), np.kron(np.eye(customers), np.ones(facilities))])
    only_open = np.hstack([-np.tile(np.eye(facilities), (customers, 1)), np.eye(customers * facilities)])
    return MixedInteger(
        np.vstack([served, only_open]),
        np.repeat([1.0, 0.0], [customers, customers * facilities]),
        lower=np.repeat([1.0, -np.inf], [customers, customers * facilities]),
        bounds=(0, 1),
        priced=np.arange(facilities),
        h=np.append(np.zeros(facilities), SERVICE.ravel()),
        **{"integrality": 1, **options},
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_regret_of_a_facility_location_is_never_negative(backend: str) -> None:
    solver = facility_location(backend=backend)
    predicted, true = RNG.normal(size=(2, 20, 4)) * 10
    chosen, best = solver.solve(predicted), solver.solve(true)
    regret = solver.value(chosen.y, true) - best.objective
    assert (regret >= -1e-9).all()
    assert (regret > 1e-3).any()
    np.testing.assert_allclose(solver.value(best.y, true), best.objective, atol=1e-9)
    without_h = np.einsum("bn,bn->b", true, chosen.y - best.y)
    assert (without_h < -1e-3).any(), "the prices alone would tell the same story"


@pytest.mark.parametrize("backend", BACKENDS)
def test_values_of_all_points(backend: str) -> None:
    theta = RNG.normal(size=OPEN.shape)
    expected = np.einsum("bn,bn->b", OPEN, theta) + BEST
    for solver in (facility_location(backend=backend), facility_location(backend=backend, relative_gap=0.9)):
        for one in (solver, pickle.loads(pickle.dumps(solver))):
            np.testing.assert_allclose(value(one, OPEN, theta), expected, atol=1e-9)
        found = solver.solve(theta)
        assert (found.status <= Status.FEASIBLE).all(), "the bounds of the priced variables were not given back"
    assert solver.value(OPEN[:0], theta[:0]).shape == (0,)


@pytest.mark.parametrize("backend", ["glop", "pdlp", "scip", "highs"])
def test_values_in_a_linear_program(backend: str) -> None:
    """Between facilities that are open in part, every customer takes the cheapest parts."""
    solver = facility_location(backend=backend, integrality=0)
    y, theta = RNG.uniform(0.3, 1.0, size=(5, 4)), RNG.normal(size=(5, 4))
    y[4] = 0.1  # not enough for anyone
    h = np.zeros(5)
    for row, opened in enumerate(y[:4]):
        for costs in SERVICE:
            order = costs.argsort()
            parts = np.diff(np.minimum(np.cumsum(opened[order]), 1.0), prepend=0.0)
            h[row] += costs[order] @ parts
    h[4] = np.nan
    np.testing.assert_allclose(solver.value(y, theta), np.einsum("bn,bn->b", y, theta) + h, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_points_without_a_completion_are_nan(backend: str) -> None:
    solver = facility_location(backend=backend)
    y = np.array([[0.0, 0, 0, 0], [0.5, 1, 0, 0], [2, 0, 0, 0], [np.nan, 1, 0, 0], [1, 1, 1, 1]])
    assert np.isnan(solver.value(y, np.ones((5, 4)))).tolist() == [True] * 4 + [False]


def test_values_of_a_quadratic_model() -> None:
    """max ⟨θ, y⟩ + y₀ y₁ + 2 y₀ z − z² + 3 over z in −5..5: z = y₀ completes y best."""
    model = mathopt.Model()
    y = [model.add_integer_variable(lb=-2, ub=2) for _ in range(2)]
    z = model.add_integer_variable(lb=-5, ub=5)
    model.maximize(y[0] * y[1] + 2 * y[0] * z - z * z + 3)
    points = np.array(list(product(range(-2, 3), repeat=2)), dtype=np.float64)
    theta = RNG.normal(size=points.shape)
    expected = np.einsum("bn,bn->b", points, theta) + points[:, 0] * points[:, 1] + points[:, 0] ** 2 + 3
    np.testing.assert_allclose(value(wrap(model, y), points, theta), expected, atol=1e-6)


def test_no_solve_where_h_holds_priced_variables_only(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mathopt.Model()
    y = [model.add_binary_variable() for _ in range(2)]
    z = model.add_variable(lb=0)
    model.add_linear_constraint(z >= y[0])
    model.minimize(2 * y[0] - 3 * y[0] * y[1] + 1)
    solver = wrap(model, y)
    monkeypatch.setattr("combdiff_solvers.models.mip_engines.MathOptEngine.solve", None)
    found = value(solver, np.array([[1.0, 1.0], [0.5, 0.5]]), np.array([[0.0, 1.0], [1.0, 1.0]]))
    np.testing.assert_allclose(found, [2 - 3 + 1 + 1, 1 - 0.75 + 1 + 1])


@pytest.mark.parametrize("backend", ["glop", "scip", "highs"])
def test_points_rounded_to_float32_have_a_value(backend: str) -> None:
    """y₀ + y₁ = 1, y₁ + y₂ = 1 / 3 and z ≥ 5 y₀: equations that float32 holds to 1e-8 only."""
    A = [[1, 1, 0, 0], [0, 1, 1, 0], [5, 0, 0, -1]]
    solver = MixedInteger(
        A, [1, 1 / 3, 0], lower=[1, 1 / 3, -np.inf], priced=[0, 1, 2], h=[0, 0, 0, 1], backend=backend
    )
    y = np.array([[0.9, 0.1, 1 / 3 - 0.1]]).astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(solver.value(y, np.ones((1, 3))), y.sum() + 4.5, atol=1e-5)


def test_a_completion_without_a_bound_is_infinite() -> None:
    for sense, end in (("min", -np.inf), ("max", np.inf)):
        solver = MixedInteger([[1, -1]], 0, priced=[0], h=[0, -1 if sense == "min" else 1], sense=sense)
        assert solver.value(np.array([[1.0]]), np.array([[1.0]]))[0] == end


def test_bad_values_are_refused() -> None:
    solver = facility_location()
    with pytest.raises(ValueError, match=r"y has shape \(1, 4\)"):
        solver.value(np.ones((1, 4)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="instances"):
        solver.value(np.ones((1, 4)), np.ones((1, 4)), [1])
