"""What models of other libraries may hold: shapes are kept, and what is not linear is refused by its name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from combdiff.solvers import wrap

pytest.importorskip("ortools.math_opt.python.mathopt")


def refused(model: Any, variables: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        wrap(model, variables)


def test_pyomo_shapes_and_what_is_refused() -> None:
    pyo: Any = pytest.importorskip("pyomo.environ", reason="pyomo is not installed")
    model = pyo.ConcreteModel()
    model.arcs = pyo.Set(initialize=[(0, 1), (1, 2), (0, 2)])
    model.x = pyo.Var(model.arcs, bounds=(0, 3))
    model.z = pyo.Var(range(2), range(3), range(2), domain=pyo.NonNegativeIntegers)
    model.s = pyo.Var(bounds=(-1, 1))
    assert wrap(model, model.x).shape == (3,)
    assert wrap(model, model.z).shape == (2, 3, 2)
    assert wrap(model, model.s).shape == (1,)
    assert wrap(model, [[model.x[0, 1], model.s]]).solve(np.array([[1.0, 1.0]])).y.tolist() == [[0.0, -1.0]]
    other = pyo.ConcreteModel()
    other.x = pyo.Var()
    refused(model, other.x, ValueError, "variable x is not of this model")
    refused(model, [model.s + 1], TypeError, "not a variable of the Pyomo model")
    model.curve = pyo.Constraint(expr=model.s * model.x[0, 1] + model.x[1, 2] <= 3)
    refused(model, model.x, ValueError, r"the constraint curve is not linear: .* of s, x\[0,1\]")
    model.curve.deactivate()
    model.sets = pyo.SOSConstraint(var=model.x, sos=1)
    refused(model, model.x, ValueError, "sets, a SOSConstraint, is not linear")
    model.sets.deactivate()
    model.gaps = pyo.Var(domain=pyo.Set(initialize=[0, 1, 5]))
    refused(model, model.x, ValueError, "variable gaps")
    model.gaps.fix(5)
    model.one, model.two = pyo.Objective(expr=model.s), pyo.Objective(expr=-model.s)
    refused(model, model.x, ValueError, r"several active objectives \(one, two\)")


def test_pulp_shapes_and_what_is_refused() -> None:
    pulp: Any = pytest.importorskip("pulp", reason="pulp is not installed")
    model = pulp.LpProblem("model")
    x = [[model.add_variable(f"x{i}{j}", 0, 2) for j in range(3)] for i in range(2)]
    model += x[0][0] + x[0][1] >= 1
    solver = wrap(model, x)  # PuLP does not know of the variables without a row
    assert solver.shape == (2, 3)
    assert solver.solve(np.array([[1.0, 2.0, -1.0, 3.0, -2.0, 0.5]])).y.tolist() == [[1.0, 0.0, 2.0, 0.0, 2.0, 0.0]]
    assert wrap(model, {i: dict(enumerate(row)) for i, row in enumerate(x)}).shape == (2, 3)
    refused(model, [pulp.LpProblem("other").add_variable("x00")], ValueError, "variable x00 is not of this model")
    refused(model, [x[0][0] + 1], TypeError, "not a variable of the PuLP model")
    model.sos1["pick"] = {x[0][0]: 1, x[0][1]: 2}
    refused(model, x, ValueError, "the sos1 constraint 'pick' is not linear")


def test_cvxpy_prices_what_is_affine_and_refuses_the_rest() -> None:
    cp: Any = pytest.importorskip("cvxpy", reason="cvxpy is not installed")
    s, x = cp.Variable((2, 2), symmetric=True), cp.Variable((2, 3), integer=True)
    k = cp.Parameter()
    problem = cp.Problem(cp.Minimize(cp.norm(s - k, "inf")), [cp.abs(x) <= 2, s >= -1, s <= 1, cp.sum(x) >= 3])
    refused(problem, s, cp.error.ParameterError, "unspecified parameters")
    k.value = 0.5
    found = wrap(problem, s).solve(np.array([[0.0, 3.0, -4.0, 0.0]]))  # the symmetric one: 3 - 4 on one entry
    np.testing.assert_allclose(found.y[0, 1:3], [1.0, 1.0])
    np.testing.assert_allclose(found.objective, [-0.5], atol=1e-7)
    both = wrap(problem, [x[:, 0] + 1, x[1, 2]])
    theta = np.array([[1.0, 2.0, -1.0]])
    assert both.shape == (3,)
    np.testing.assert_allclose(both.solve(theta).y, [[-1.0, -1.0, 2.0]], atol=1e-7)
    refused(problem, cp.square(x), TypeError, "not a variable of the CVXPY problem or affine")
    refused(problem, [cp.Variable(name="other")], ValueError, "variable other is not of this problem")
    refused(problem, [], ValueError, "empty")
    curved = cp.Problem(cp.Minimize(cp.sum(x)), [cp.sum_squares(s) <= 1, x >= 0])
    refused(
        curved, x, ValueError, r"the constraint quad_over_lin\(.*is not linear: it holds a nonlinear function of var"
    )
    refused(cp.Problem(cp.Minimize(0), [cp.abs(x) >= 1]), x, ValueError, "it is not convex")


def test_linopy_shapes_scaling_and_what_is_refused() -> None:
    linopy: Any = pytest.importorskip("linopy", reason="linopy is not installed")
    model = linopy.Model()
    x = model.add_variables(lower=0, upper=4, coords=[range(2), range(3)], name="x")
    z = model.add_variables(lower=0, upper=4, coords=[range(2)], mask=np.array([True, False]), name="z")
    model.add_constraints(x.sum() + z.sum() >= 3)
    assert wrap(model, x).shape == (2, 3)
    assert wrap(model, {"x": x}).shape == (6,)
    refused(model, z, ValueError, "masked")
    refused(model, "x", TypeError, "not a variable of the linopy model")
    refused(model, linopy.Model().add_variables(name="y"), ValueError, "variable y is not of this model")
    model.add_objective((x * x).sum())
    refused(model, x, ValueError, "the objective is not linear: it is quadratic")


def test_highspy_matrices_by_rows_and_what_is_refused() -> None:
    highspy: Any = pytest.importorskip("highspy", reason="highspy is not installed")
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    x = model.addVariables(3, lb=0, ub=5)
    model.addConstr(x[0] + 2 * x[1] >= 3)
    model.ensureRowwise()
    assert wrap(model, [0, 1]).solve(np.array([[1.0, 4.0]])).y.tolist() == [[3.0, 0.0]]
    refused(model, [3], ValueError, "variable 3 is not of this model")
    refused(model, [highspy.Highs().addVariable()], ValueError, "not of this model")
    model.changeColIntegrality(2, highspy.HighsVarType.kSemiContinuous)
    refused(model, [0], ValueError, "column 2 is not linear: its type is kSemiContinuous")
