"""Every kind of term on every engine: solved right, or refused by name at construction."""

from itertools import product

import numpy as np
import pytest

from combdiff.solvers import Status, wrap

mathopt = pytest.importorskip("ortools.math_opt.python.mathopt")

from ortools.math_opt import model_pb2  # noqa: E402

from combdiff_solvers.models.linear_solver import linear_solver  # noqa: E402
from combdiff_solvers.models.model_proto import from_proto  # noqa: E402

BACKENDS = ("glop", "pdlp", "scip", "highs", "cp_sat")


def proto(integers: bool = False, binary: bool = False) -> model_pb2.ModelProto:
    """Over −2 ≤ x₀, x₁ ≤ 3 and 0 ≤ x₂ ≤ 1, with x₀ + x₁ ≥ −3 and h = x₀ + 1.5 x₁ + 2."""
    model = model_pb2.ModelProto()
    model.variables.ids.extend([0, 1, 2])
    model.variables.lower_bounds.extend([-2, -2, 0])
    model.variables.upper_bounds.extend([3, 3, 1])
    model.variables.integers.extend([integers, integers, integers or binary])
    model.objective.linear_coefficients.ids.extend([0, 1])
    model.objective.linear_coefficients.values.extend([1.0, 1.5])
    model.objective.offset = 2.0
    model.linear_constraints.ids.append(0)
    model.linear_constraints.lower_bounds.append(-3.0)
    model.linear_constraints.upper_bounds.append(np.inf)
    model.linear_constraint_matrix.row_ids.extend([0, 0])
    model.linear_constraint_matrix.column_ids.extend([0, 1])
    model.linear_constraint_matrix.coefficients.extend([1.0, 1.0])
    return model


def with_squares(squares: dict[tuple[int, int], float], integers: bool = False) -> model_pb2.ModelProto:
    model = proto(integers)
    terms = model.objective.quadratic_coefficients
    for (row, column), coefficient in squares.items():
        terms.row_ids.append(row)
        terms.column_ids.append(column)
        terms.coefficients.append(coefficient)
    return model


def with_disc(integers: bool = False) -> model_pb2.ModelProto:
    """x₀² + x₁² ≤ 1."""
    model = proto(integers)
    disc = model.quadratic_constraints[0]
    disc.quadratic_terms.row_ids.extend([0, 1])
    disc.quadratic_terms.column_ids.extend([0, 1])
    disc.quadratic_terms.coefficients.extend([1.0, 1.0])
    disc.lower_bound, disc.upper_bound = -np.inf, 1.0
    return model


def with_set(kind: str) -> model_pb2.ModelProto:
    """SOS over x₀, x₂, x₁ in this order."""
    model = proto()
    constraint = getattr(model, kind)[0]
    for place in (0, 2, 1):
        expression = constraint.expressions.add()
        expression.ids.append(place)
        expression.coefficients.append(1.0)
    return model


def with_cone() -> model_pb2.ModelProto:
    model = proto()
    cone = model.second_order_cone_constraints[0]
    cone.upper_bound.offset = 1.0
    for place in (0, 1):
        expression = cone.arguments_to_norm.add()
        expression.ids.append(place)
        expression.coefficients.append(1.0)
    return model


def with_indicator() -> model_pb2.ModelProto:
    """x₂ = 0 → x₁ ≥ 1."""
    model = proto(binary=True)
    constraint = model.indicator_constraints[0]
    constraint.indicator_id, constraint.activate_on_zero = 2, True
    constraint.expression.ids.append(1)
    constraint.expression.values.append(1.0)
    constraint.lower_bound, constraint.upper_bound = 1.0, np.inf
    return model


# kind: the model, the engines that take it, what the others say that it has, and the optimum for θ = (0, 1.5, 4)
KINDS: dict[str, tuple[model_pb2.ModelProto, tuple[str, ...], str, float]] = {
    "linear": (proto(), ("glop", "pdlp", "scip", "highs"), "continuous", 2 - 1 - 6),
    "integers": (proto(integers=True), ("scip", "highs", "cp_sat"), "integer variables", 2 - 1 - 6),
    # x₀ + x₀²/2, 3 x₁ + x₁²: least at (−1, −1.5)
    "convex squares": (with_squares({(0, 0): 0.5, (1, 1): 1.0}), ("pdlp", "scip"), "quadratic objective", -0.75),
    # x₀ + 3 x₁ + x₀² + x₀ x₁ + x₁²: least at (1/3, −5/3)
    "convex product": (
        with_squares({(0, 0): 1.0, (0, 1): 1.0, (1, 1): 1.0}), ("scip",), "quadratic objective", 2 - 7 / 3,
    ),
    "concave squares": (with_squares({(0, 0): -1.0, (1, 1): 1.0}), ("scip",), "quadratic objective", 2 + 3 - 9 - 2.25),
    "integer squares": (
        with_squares({(0, 0): 0.5, (1, 1): 1.0}, integers=True),
        ("scip",), "quadratic objective|integer variables", 2 - 0.5 - 2,
    ),
    "quadratic constraint": (with_disc(), ("scip",), "quadratic constraints", 2 - np.sqrt(10)),
    "integer disc": (with_disc(integers=True), ("scip",), "quadratic constraints", 2 - 3.0),
    "SOS1": (with_set("sos1_constraints"), ("scip",), "SOS", 2 - 6.0),
    "SOS2": (with_set("sos2_constraints"), ("scip",), "SOS", 2 - 6.0),
    "indicator": (with_indicator(), ("scip",), "indicator", 2 - 1 - 6 + 4.0),
    "cone": (with_cone(), (), "second-order cone", np.nan),
}  # fmt: skip


@pytest.mark.parametrize("backend", [None, *BACKENDS])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_term_is_solved_right_or_refused(kind: str, backend: str | None) -> None:
    model, able, words, best = KINDS[kind]
    theta = np.array([[0.0, 1.5, 4.0]])
    if backend not in able and (backend or not able):
        with pytest.raises(ValueError, match=words) as refusal:
            linear_solver(from_proto(model), np.arange(3), (3,), backend=backend)
        assert repr(backend) in str(refusal.value) or "no back end" in str(refusal.value)
        return
    found = linear_solver(from_proto(model), np.arange(3), (3,), backend=backend).solve(theta)
    assert found.status[0] == (Status.FEASIBLE if backend == "pdlp" else Status.OPTIMAL)
    assert found.objective[0] == pytest.approx(best, abs=1e-3 if backend == "pdlp" else 2e-6)


def test_a_square_of_an_unpriced_variable_is_not_dropped() -> None:
    model = mathopt.Model()
    x, z = (model.add_variable(lb=-5, ub=5) for _ in range(2))
    model.add_linear_constraint(x + z == 1)
    model.minimize(10 * z * z)
    found = wrap(model, [x]).solve(np.array([[1.0], [-1.0]]))
    assert found.status.tolist() == [Status.OPTIMAL] * 2
    np.testing.assert_allclose(found.objective, [0.975, -1.025], atol=1e-7)


@pytest.mark.parametrize("maximize", [False, True])
def test_a_square_of_priced_variables_is_part_of_h(maximize: bool) -> None:
    """⟨θ, y⟩ + y₀² − 2 y₀ y₁ + y₂ over y₀ + y₁ ≤ 3, all in 0..2, y₂ continuous and unpriced; mirrored for max."""
    sign = -1.0 if maximize else 1.0
    model = mathopt.Model()
    y = [model.add_integer_variable(lb=0, ub=2) for _ in range(2)]
    z = model.add_variable(lb=-1, ub=1)
    model.add_linear_constraint(y[0] + y[1] <= 3)
    model.set_objective(sign * (y[0] * y[0] - 2 * y[0] * y[1] + z), is_maximize=maximize)
    points = np.array([point for point in product(range(3), repeat=2) if sum(point) <= 3], dtype=np.float64)
    h = sign * (points[:, 0] ** 2 - 2 * points[:, 0] * points[:, 1] - 1)
    theta = np.random.default_rng(0).normal(size=(20, 2)) * 3
    values = points @ theta.T + h[:, None]
    found = wrap(model, y).solve(theta)
    assert (found.status == Status.OPTIMAL).all()
    np.testing.assert_allclose(found.objective, values.max(axis=0) if maximize else values.min(axis=0), atol=1e-6)
    np.testing.assert_array_equal(found.y, points[(sign * values).argmin(axis=0)])


def test_scales_do_not_matter_to_quadratic_models() -> None:
    model = mathopt.Model()
    x, z = (model.add_variable(lb=-5, ub=5) for _ in range(2))
    model.add_linear_constraint(x + z == 1)
    for size in (1e-9, 1.0, 1e9):
        model.minimize(size * (10 * z * z))
        found = wrap(model, [x]).solve(np.array([[size]]))
        assert found.status[0] == Status.OPTIMAL
        assert found.objective[0] == pytest.approx(0.975 * size, rel=1e-6)


@pytest.mark.parametrize(("low", "high"), [(3.0, 2.0), (np.inf, np.inf), (-np.inf, -np.inf)])
def test_bounds_that_no_number_is_between_are_infeasible(low: float, high: float) -> None:
    variable, row, square = proto(), proto(), with_disc()
    variable.variables.lower_bounds[0], variable.variables.upper_bounds[0] = low, high
    row.linear_constraints.lower_bounds[0], row.linear_constraints.upper_bounds[0] = low, high
    square.quadratic_constraints[0].lower_bound, square.quadratic_constraints[0].upper_bound = low, high
    for model, kind in ((variable, "variable"), (row, "constraint"), (square, "quadratic constraint")):
        found = linear_solver(from_proto(model), np.arange(2), (2,)).solve(np.ones((2, 2)))
        assert found.status.tolist() == [Status.INFEASIBLE] * 2
        assert found.messages[0].startswith(f"{kind} 0 ")


def test_names_that_come_twice_do_no_harm() -> None:
    model = mathopt.Model()
    x, b = model.add_variable(lb=0, ub=3), model.add_binary_variable()
    for side in (4, 9):
        model.add_quadratic_constraint(x * x <= side, name="disc")
        model.add_indicator_constraint(indicator=b, implied_constraint=x <= side, name="if b")
    found = wrap(model, [x, b], sense="max").solve(np.array([[1.0, 1.0]]))
    assert found.objective[0] == pytest.approx(3, abs=1e-5)


def test_a_square_of_free_variables_has_its_optimum() -> None:
    model = mathopt.Model()
    x, z = model.add_variable(lb=0), model.add_variable()
    model.minimize(z * z - 4 * z)
    found = wrap(model, [x]).solve(np.array([[1.0], [-1.0]]))
    assert found.status.tolist() == [Status.OPTIMAL, Status.UNBOUNDED]
    assert found.objective[0] == pytest.approx(-4, abs=1e-6)
