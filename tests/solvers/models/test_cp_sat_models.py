"""CP-SAT and pywraplp models at the edge: no time, no values, huge bounds, names that come twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from combdiff.solvers import MixedInteger, Status, wrap

pytest.importorskip("ortools")

from ortools.linear_solver import pywraplp
from ortools.linear_solver.python import model_builder
from ortools.math_opt.python import mathopt
from ortools.sat.python import cp_model


@pytest.mark.parametrize("seconds", [1e-300, 1e-9])
def test_no_time_to_begin_is_a_limit(seconds: float) -> None:
    model = cp_model.CpModel()
    x = [model.new_int_var(0, 5, f"x{i}") for i in range(3)]
    found = wrap(model, x, time_limit=seconds).solve(np.ones((2, 3)))
    assert found.status.tolist() == [Status.LIMIT] * 2


def test_crossed_bounds_are_infeasible() -> None:
    model = cp_model.CpModel()
    x, empty = model.new_int_var(0, 3, "x"), model.new_int_var(5, 2, "empty")
    for priced in ([x], [empty, x]):
        found = wrap(model, priced).solve(np.ones((2, len(priced))))
        assert found.status.tolist() == [Status.INFEASIBLE] * 2
        assert "variable empty" in found.messages[0]
    for bounds in ((2, 1), (0.2, 0.8)):
        solver = MixedInteger([[1, 1]], 9, integrality=1, bounds=bounds, backend="cp_sat")
        assert solver.solve(np.ones((1, 2))).status[0] == Status.INFEASIBLE


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"bounds": (0, 1e19)}, r"variable 0 has bounds \[0, 1e\+19\].*2\^62"),
        ({"bounds": (-(2.0**63), 0)}, "variable 0 has bounds"),
        ({"bounds": (0, 2.0**62)}, "variable 0 has bounds"),
        ({"A": [[2.0**63, 1]]}, r"row 0 has coefficients beyond 2\^62"),
    ],
)
def test_numbers_beyond_cp_sat_are_refused(change: dict[str, Any], match: str) -> None:
    options: dict[str, Any] = {"A": [[1, 1]], "b": 1, "integrality": 1, "bounds": (0, 1), "backend": "cp_sat"}
    with pytest.raises(ValueError, match=match):
        MixedInteger(**{**options, **change})


def test_sides_beyond_64_bits_bind_nothing() -> None:
    solver = MixedInteger([[1, 1]], 2.0**70, integrality=1, bounds=(0, 1), sense="max", backend="cp_sat")
    np.testing.assert_array_equal(solver.solve(np.ones((1, 2))).y, [[1, 1]])


def same_names(kind: str) -> tuple[Any, list[Any]]:
    """At most one of the first two of three booleans, and at most two in all; each name comes twice."""
    if kind == "pywraplp":
        model = pywraplp.Solver.CreateSolver("SCIP")
        x = [model.BoolVar("x") for _ in range(3)]
        model.Add(sum(x) <= 2, "c")
        model.Add(x[0] + x[1] <= 1, "c")
    elif kind == "ModelBuilder":
        model = model_builder.Model()
        x = [model.new_bool_var("x") for _ in range(3)]
        model.add(sum(x) <= 2, "c")
        model.add(x[0] + x[1] <= 1, "c")
    else:
        model = mathopt.Model()
        x = [model.add_binary_variable(name="x") for _ in range(3)]
        model.add_linear_constraint(sum(x) <= 2, name="c")
        model.add_linear_constraint(x[0] + x[1] <= 1, name="c")
    return model, x


@pytest.mark.parametrize("kind", ["pywraplp", "ModelBuilder", "MathOpt"])
@pytest.mark.parametrize("backend", [None, "highs", "cp_sat"])
def test_names_may_come_twice(kind: str, backend: str | None) -> None:
    model, x = same_names(kind)
    found = wrap(model, x, sense="max", backend=backend).solve(np.array([[3.0, 2.0, 1.0]]))
    assert found.status[0] == Status.OPTIMAL
    np.testing.assert_array_equal(found.y, [[1, 0, 1]])
