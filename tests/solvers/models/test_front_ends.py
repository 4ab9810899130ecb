"""Models of other libraries: `wrap` prices them as they are, and answers as their own solvers do."""

from __future__ import annotations

import io
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from combdiff.solvers import Solver, wrap
from combdiff.testing import SolverContract
from experiments.benchmarks.front_ends import LIBRARIES, Program, agree, optima
from tests.solvers.scripts import finish, start

pytest.importorskip("ortools.math_opt.python.mathopt")

PAIRS = np.array([y for y in product([0.0, 1.0], repeat=4) if sum(y) == 2])


def pulp_pairs() -> tuple[Any, Any]:
    import pulp

    model = pulp.LpProblem("pairs", pulp.LpMaximize)
    x = {name: {k: model.add_variable(f"{name}{k}", cat="Binary") for k in range(2)} for name in "ab"}
    flat = [one for row in x.values() for one in row.values()]
    both = model.add_variable("both", 0, 1)
    model += 0.5 * flat[3] - 2 * both + 7
    model += pulp.lpSum(flat) == 2
    model += both >= flat[0] + flat[1] - 1
    return model, x


def pyomo_pairs() -> tuple[Any, Any]:
    import pyomo.environ as pyo

    model = pyo.ConcreteModel()
    model.x = pyo.Var(["a", "b"], pyo.RangeSet(0, 1), domain=pyo.Binary)
    model.off = pyo.Var(domain=pyo.NonNegativeReals)
    model.off.fix(7.0)
    model.part = pyo.Block()
    model.part.both = pyo.Var(bounds=(0, 1))
    x = list(model.x.values())
    model.cost = pyo.Objective(expr=0.5 * x[3] - 2 * model.part.both + model.off, sense=pyo.maximize)
    model.idle = pyo.Objective(expr=x[0] ** 2)
    model.idle.deactivate()
    model.two = pyo.Constraint(expr=(2, sum(x), 2))
    model.part.both_of = pyo.Constraint(expr=model.part.both >= x[0] + x[1] - 1)
    return model, model.x


def cvxpy_pairs() -> tuple[Any, Any]:
    import cvxpy as cp

    x, two = cp.Variable((2, 2), boolean=True), cp.Parameter(value=2.0)
    cost = 0.5 * x[1, 1] - 2 * cp.pos(x[0, 0] + x[0, 1] - 1) + 7
    return cp.Problem(cp.Maximize(cost), [cp.sum(x) == two]), x


def linopy_pairs() -> tuple[Any, Any]:
    import linopy

    model = linopy.Model()
    x = model.add_variables(binary=True, coords=[["a", "b"], range(2)], name="x")
    both = model.add_variables(0, 1, name="both")
    model.add_constraints(x.sum() == 2)
    model.add_constraints(both - x.loc["a", 0] - x.loc["a", 1] >= -1)
    model.add_objective(0.5 * x.loc["b", 1] - 2 * both, sense="max")
    return model, x


def gurobipy_pairs() -> tuple[Any, Any]:
    import gurobipy as gp

    model = gp.Model(env=gp.Env(params={"OutputFlag": 0}))
    x = model.addVars(["a", "b"], range(2), vtype="B")
    both = model.addVar(ub=1)
    model.addConstr(x.sum() == 2)
    model.addConstr(both >= x["a", 0] + x["a", 1] - 1)
    model.setObjective(0.5 * x["b", 1] - 2 * both + 7, gp.GRB.MAXIMIZE)
    return model, x


def highspy_pairs() -> tuple[Any, Any]:
    import highspy

    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    x = np.array([model.addBinary() for _ in range(4)], dtype=object)
    both = model.addVariable(0, 1)
    model.addConstr(sum(x) == 2)
    model.addConstr(both >= x[0] + x[1] - 1)
    model.setObjective(0.5 * x[3] - 2 * both + 7, highspy.ObjSense.kMaximize)
    return model, x.reshape(2, 2)


def cpmpy_pairs() -> tuple[Any, Any]:
    import cpmpy as cp

    x = cp.boolvar(shape=(2, 2))
    y = x.reshape(-1)
    return cp.Model(cp.sum(y) == 2, maximize=3 * y[3] - 12 * (y[0] & y[1]) + 42), x  # of six halves: see `unit`


MAKERS = {
    "pulp": pulp_pairs,
    "pyomo": pyomo_pairs,
    "cvxpy": cvxpy_pairs,
    "linopy": linopy_pairs,
    "gurobipy": gurobipy_pairs,
    "highspy": highspy_pairs,
    "cpmpy": cpmpy_pairs,
}


def made(library: str) -> tuple[Any, Any]:
    """Two of four, with an h of their own, in a library."""
    pytest.importorskip(library, reason=f"{library} is not installed")
    return MAKERS[library]()


class PairsInALibrary(SolverContract):
    """max ⟨θ, y⟩ + unit · (0.5 y₃ − 2 y₀y₁) + offset over two of four, in two rows of two."""

    rows = 12
    library = "pulp"
    offset = 7.0
    unit = 1.0
    options: dict[str, Any] = {}  # noqa: RUF012

    def make(self) -> Solver:
        return wrap(*made(self.library), **self.options)

    def feasible_set(self, solver: Solver) -> np.ndarray:
        return PAIRS

    def value(self, solver: Solver, theta: np.ndarray, y: np.ndarray) -> np.ndarray:
        return y @ theta + self.unit * (0.5 * y[:, 3] - 2 * y[:, 0] * y[:, 1]) + self.offset

    def test_shape_and_sense_are_the_models(self) -> None:
        solver = self.make()
        assert (solver.shape, solver.sense.value) == ((2, 2), "max")


class TestPulp(PairsInALibrary):
    pass


class TestPyomo(PairsInALibrary):
    library = "pyomo"


class TestCvxpy(PairsInALibrary):
    library = "cvxpy"


class TestLinopy(PairsInALibrary):
    library = "linopy"
    offset = 0.0


class TestGurobi(PairsInALibrary):
    library = "gurobipy"


class TestHighs(PairsInALibrary):
    library = "highspy"
    options = {"backend": "highs"}  # noqa: RUF012


class TestCpmpy(PairsInALibrary):
    library = "cpmpy"
    offset = 42.0
    unit = 6.0


class TestCpmpyAsProgram(TestCpmpy):
    options = {"backend": "scip"}  # noqa: RUF012


class TestCpmpyAsFormula(TestCpmpy):
    options = {"backend": "rc2"}  # noqa: RUF012

    def test_instances(self) -> None:
        pytest.skip("instances are literals of the formula, which CPMpy numbers")


MODELS = {"linopy": 3, "pyomo": 10, "cvxpy": 10}
"""random models in the tests, where the library takes long to write one (else 20); the benchmark has 200"""


@pytest.mark.parametrize("library", LIBRARIES)
def test_random_models_have_the_librarys_own_optimum(library: str) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed")
    if library == "pulp":
        pytest.importorskip("highspy", reason="PuLP's own solve here is by highspy, which is not installed")
    pairs = [optima(library, seed) for seed in range(MODELS.get(library, 20))]
    assert all(agree(*pair) for pair in pairs), pairs
    assert sum(own is not None for own, _ in pairs) >= 2


def text_of(library: str, model: Any, folder: Path) -> str:
    """All that a model holds, in words."""
    if library == "pyomo":
        out = io.StringIO()
        model.pprint(out)
        return out.getvalue()
    if library in ("gurobipy", "highspy"):
        file = folder / "model.mps"
        getattr(model, {"gurobipy": "write", "highspy": "writeModel"}[library])(str(file))
        return file.read_text()
    if library == "linopy":
        return str({name: one.to_polars() for name, one in model.constraints.items()}) + str(model.objective)
    return str(model)


def forbid(library: str, model: Any, x: Any) -> Any:
    """The model with y₀ + y₁ ≤ 0; in CVXPY, a problem is never changed."""
    if library == "pulp":
        model += x["a"][0] + x["a"][1] <= 0
    elif library == "pyomo":
        x["a", 0].fix(0)
    elif library == "gurobipy":
        model.addConstr(x["a", 0] + x["a", 1] <= 0)
    elif library == "highspy":
        model.addConstr(x[0, 0] + x[0, 1] <= 0)
    elif library == "cpmpy":
        model += x[0, 0] + x[0, 1] <= 0
    elif library == "linopy":
        model.add_constraints(x.loc["a", 0] + x.loc["a", 1] <= 0)


@pytest.mark.parametrize("library", MAKERS)
def test_the_users_model_is_never_changed_and_changes_of_it_do_nothing(library: str, tmp_path: Path) -> None:
    model, x = made(library)
    before = text_of(library, model, tmp_path)
    solver, late = wrap(model, x), wrap(model, x)  # the handles of `late` are built after the change
    theta = np.random.default_rng(0).normal([9, 9, 0, 0], 1, (3, 4))
    found = solver.solve(theta)
    assert text_of(library, model, tmp_path) == before
    forbid(library, model, x)
    np.testing.assert_array_equal(late.solve(theta).y, found.y)
    np.testing.assert_array_equal(solver.solve(theta).y, found.y)


def test_random_programs_are_not_all_alike() -> None:
    rng = np.random.default_rng(0)
    programs = [Program.random(rng) for _ in range(20)]
    assert {one.maximize for one in programs} == {True, False}
    assert any(np.isfinite(one.least).any() for one in programs)
    assert all(one.A.any(axis=1).all() for one in programs)


IMPORTS = "import importlib.util as u\nfor n in ('highspy', 'cvxpy', 'linopy'):\n    u.find_spec(n) and __import__(n)\n"
OWN = """
import highspy
model = highspy.Highs(); model.setOptionValue("output_flag", False)
x = [model.addBinary() for _ in range(3)]
model.addConstr(x[0] + x[1] + x[2] == 2)
model.minimize(3 * x[0] + x[1] + 2 * x[2])
assert model.getInfo().objective_function_value == 3.0
"""
OURS = """
import numpy as np
from ortools.math_opt.python import mathopt
from combdiff_solvers import wrap
other = mathopt.Model()
z = [other.add_binary_variable() for _ in range(3)]
other.add_linear_constraint(z[0] + z[1] + z[2] == 2)
for backend in ("highs", "scip"):
    assert wrap(other, z, backend=backend).solve(np.array([[3.0, 1.0, 2.0]])).y.tolist() == [[0, 1, 1]]
"""
PULP_FIRST = """
import pulp
from combdiff_solvers import wrap
model = pulp.LpProblem("pairs")
x = [model.add_variable(f"x{i}", cat="Binary") for i in range(3)]
model += pulp.lpSum(x) == 2
import numpy as np
assert wrap(model, x, backend="scip").solve(np.array([[3.0, 1.0, 2.0]])).y.tolist() == [[0, 1, 1]]
try:
    wrap(model, x, backend="highs")
except ValueError as error:
    assert "before pulp, or leave backend out" in str(error), error
else:
    raise SystemExit("it would crash")
"""
WRAPPED = 'assert wrap(model, x, backend="highs").solve(np.array([[0.0, 9.0, 0.0]])).y.tolist() == [[1, 0, 1]]\n'


@pytest.mark.parametrize("order", ["library first", "OR-Tools first"])
def test_every_order_of_imports_solves_on_both_sides(order: str) -> None:
    pytest.importorskip("highspy", reason="highspy is not installed")
    scripts = [IMPORTS + OWN, OURS] if order == "library first" else [OURS, IMPORTS + OWN]
    code, _, errors = finish(start("".join(scripts) + WRAPPED))
    assert code == 0, errors


def test_where_pulp_came_first_the_highs_of_or_tools_is_refused() -> None:
    for library in ("pulp", "highspy"):
        pytest.importorskip(library, reason=f"{library} is not installed")
    code, _, errors = finish(start(PULP_FIRST))
    assert code == 0, errors
    code, _, errors = finish(start(OURS.replace("import numpy", "import ortools.math_opt.python.mathopt, pulp, numpy")))
    assert code == 0, errors
