"""The native models of OR-Tools: `wrap` keeps them, prices their variables, and refuses what is none of theirs."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest

import combdiff
from combdiff.solvers import Sense, Solver, wrap
from combdiff.testing import SolverContract

pytest.importorskip("ortools")

from ortools.linear_solver import pywraplp
from ortools.linear_solver.python import model_builder
from ortools.math_opt.python import mathopt
from ortools.sat.python import cp_model

PAIRS = np.array([y for y in product([0.0, 1.0], repeat=4) if sum(y) == 2])


def math_opt_pairs() -> tuple[Any, list[Any]]:
    model = mathopt.Model()
    x = [model.add_binary_variable(name=f"x{i}") for i in range(4)]
    gone = model.add_variable()  # ids get a gap
    both = model.add_binary_variable(name="both")
    model.delete_variable(gone)
    model.add_linear_constraint(sum(x) == 2)
    model.add_linear_constraint(both >= x[0] + x[1] - 1)
    model.maximize(0.5 * x[3] - 2 * both + 7)
    return model, x


def pywraplp_pairs() -> tuple[Any, list[Any]]:
    model = pywraplp.Solver.CreateSolver("SCIP")
    x = [model.BoolVar(f"x{i}") for i in range(4)]
    both = model.BoolVar("both")
    model.Add(sum(x) == 2)
    model.Add(both >= x[0] + x[1] - 1)
    model.Maximize(0.5 * x[3] - 2 * both + 7)
    return model, x


def model_builder_pairs() -> tuple[Any, list[Any]]:
    model = model_builder.Model()
    x = [model.new_bool_var(f"x{i}") for i in range(4)]
    both = model.new_bool_var("both")
    model.add(sum(x) == 2)
    model.add(both >= x[0] + x[1] - 1)
    model.maximize(0.5 * x[3] - 2 * both + 7)
    return model, x


def cp_sat_pairs(real: bool = True) -> tuple[Any, list[Any]]:
    model = cp_model.CpModel()
    x = [model.new_bool_var(f"x{i}") for i in range(4)]
    both = model.new_bool_var("both")
    model.add(sum(x) == 2)
    model.add_bool_and(x[:2]).only_enforce_if(both)
    model.add_bool_or([x[0].negated(), x[1].negated(), both])
    model.maximize(0.5 * x[3] - 2 * both + 7 if real else 3 * x[3] - 2 * both + 7)
    return model, x


MAKERS = {
    "MathOpt": math_opt_pairs,
    "pywraplp": pywraplp_pairs,
    "ModelBuilder": model_builder_pairs,
    "CpModel": cp_sat_pairs,
}


class PairsWithH(SolverContract):
    """max ⟨θ, y⟩ + 0.5 y₃ − 2 y₀y₁ + 7 over two of four, variables in the order 2, 0, 3, 1."""

    rows = 70
    maker = "MathOpt"
    options: dict[str, Any] = {}  # noqa: RUF012

    def make(self) -> Solver:
        model, x = MAKERS[self.maker]()
        return wrap(model, [x[2], x[0], x[3], x[1]], **self.options)

    def feasible_set(self, solver: Solver) -> np.ndarray:
        return PAIRS

    def value(self, solver: Solver, theta: np.ndarray, y: np.ndarray) -> np.ndarray:
        return y @ theta + 0.5 * y[:, 2] - 2 * y[:, 1] * y[:, 3] + 7

    def test_sense_is_the_models(self) -> None:
        assert self.make().sense is Sense.MAX


class TestMathOptScip(PairsWithH):
    pass


class TestMathOptHighs(PairsWithH):
    options = {"backend": "highs"}  # noqa: RUF012


class TestPywraplp(PairsWithH):
    maker = "pywraplp"


class TestModelBuilder(PairsWithH):
    maker = "ModelBuilder"


class TestMathOptOnCpSat(PairsWithH):
    options = {"backend": "cp_sat"}  # noqa: RUF012


class TestPywraplpOnCpSat(TestMathOptOnCpSat):
    maker = "pywraplp"


def test_bad_models_for_cp_sat() -> None:
    model = mathopt.Model()
    x, real = model.add_binary_variable(), model.add_variable(lb=0, ub=1)
    with pytest.raises(ValueError, match="variable 1 is continuous"):
        wrap(model, [x], backend="cp_sat")
    model.delete_variable(real)
    model.minimize(x * x)
    with pytest.raises(ValueError, match="linear objective"):
        wrap(model, [x], backend="cp_sat")
    with pytest.raises(ValueError, match=r"'gurobi' is none of 'glop', .*'cp_sat'"):
        wrap(model, [x], backend="gurobi")


class TestCpModel(PairsWithH):
    maker = "CpModel"


class TestCpModelCircuit(SolverContract):
    """Directed tours over 4 cities: any constraint of CP-SAT may stand in the model."""

    rows = 70

    def make(self) -> Solver:
        model = cp_model.CpModel()
        arcs = [(i, j) for i in range(4) for j in range(4) if i != j]
        x = [model.new_bool_var(f"{i}{j}") for i, j in arcs]
        model.add_circuit([(i, j, v) for (i, j), v in zip(arcs, x, strict=True)])
        return wrap(model, np.array(x, dtype=object).reshape(4, 3))

    def feasible_set(self, solver: Solver) -> np.ndarray:
        arcs = [(i, j) for i in range(4) for j in range(4) if i != j]
        tours = [[0, *order] for order in permutations([1, 2, 3])]
        used = [{(tour[k], tour[(k + 1) % 4]) for k in range(4)} for tour in tours]
        return np.array([[float(arc in u) for arc in arcs] for u in used])


@pytest.mark.parametrize("maker", MAKERS)
def test_the_users_model_is_never_changed_and_changes_of_it_do_nothing(maker: str) -> None:
    model, x = MAKERS[maker]()

    def text() -> str:
        if maker == "MathOpt":
            return str(model.export_model())
        if maker == "CpModel":
            return str(model.proto)
        return str(model.export_to_lp_string() if maker == "ModelBuilder" else model.ExportModelAsLpFormat(False))

    before = text()
    solver = wrap(model, x)
    theta = np.random.default_rng(0).normal(size=(5, 4))
    found = solver.solve(theta)
    assert text() == before
    late = wrap(model, x)  # its handles are built after the change below
    add = {"MathOpt": "add_linear_constraint", "pywraplp": "Add"}.get(maker, "add")
    getattr(model, add)(x[0] + x[1] + x[2] <= 1)
    np.testing.assert_array_equal(solver.solve(theta).y, found.y)
    np.testing.assert_array_equal(late.solve(theta).y, found.y)


@pytest.mark.parametrize("maker", MAKERS)
def test_bad_variables(maker: str) -> None:
    model, x = MAKERS[maker]()
    _, others = MAKERS[maker]()
    with pytest.raises(ValueError, match="not of this model"):
        wrap(model, [x[0], others[1]])
    with pytest.raises(ValueError, match=r"variables\[2\] is the same variable as variables\[0\]"):
        wrap(model, [x[0], x[1], x[0]])
    with pytest.raises(ValueError, match="empty"):
        wrap(model, [])
    for wrong in ("x0", 0, 2 * x[0]):
        with pytest.raises(TypeError, match="variable"):
            wrap(model, [x[1], wrong])
    with pytest.raises(ValueError, match="sense='min'"):
        wrap(model, x, sense="min")
    with pytest.raises(ValueError, match="time_limit=0"):
        wrap(model, x, time_limit=0)


def test_cp_sat_literals_and_parameters() -> None:
    model, x = cp_sat_pairs()
    with pytest.raises(TypeError, match="negated"):
        wrap(model, [x[0].negated()])
    with pytest.raises(ValueError, match="'speed'"):
        wrap(model, x, parameters={"speed": 3})
    assert wrap(model, x, parameters={"cp_model_presolve": False}).solve(np.zeros((1, 4))).objective[0] == 7.5
    broken = cp_model.CpModel()
    wide = [broken.new_int_var(-(2**62), 2**62, "") for _ in range(4)]
    broken.add(sum(wide) == 0)
    with pytest.raises(ValueError, match="invalid"):
        wrap(broken, wide)


def test_integer_objective_of_cp_sat_is_kept() -> None:
    model, x = cp_sat_pairs(real=False)
    found = wrap(model, x).solve(np.zeros((1, 4)))
    assert found.objective[0] == 10
    assert found.y[0][3] == 1


def test_bad_math_opt_models() -> None:
    model, x = math_opt_pairs()
    with pytest.raises(ValueError, match="empty"):
        wrap(mathopt.Model(), [])
    model.add_auxiliary_objective(priority=1)
    with pytest.raises(ValueError, match="several objectives"):
        wrap(model, x)
    with pytest.raises(ValueError, match="'glop' solves LPs"):
        wrap(*math_opt_pairs(), backend="glop")


def test_indicator_constraints_of_math_opt() -> None:
    model = mathopt.Model()
    x = [model.add_binary_variable() for _ in range(2)]
    y = model.add_variable(lb=0, ub=10)
    model.add_indicator_constraint(indicator=x[0], implied_constraint=y >= 4)
    found = wrap(model, [*x, y]).solve(np.array([[-5.0, 1.0, 1.0], [-3.0, -1.0, 1.0]]))
    np.testing.assert_allclose(found.objective, [-1.0, -1.0], atol=1e-6)


def test_warm_models_of_several_threads_answer_alike() -> None:
    for maker in MAKERS:
        solver = wrap(*MAKERS[maker]())
        theta = np.random.default_rng(1).integers(-1, 2, size=(20, 4)).astype(float)
        expected = solver.solve(theta).y
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(solver.solve, [theta] * 6))
        for answer in answers:
            np.testing.assert_array_equal(answer.y, expected)


def test_a_layer_over_a_model_has_a_gradient() -> None:
    import torch

    model, x = cp_sat_pairs()
    layer = combdiff.Perturbed(wrap(model, x), sigma=0.5, samples=8)
    theta = torch.zeros(3, 4, requires_grad=True)
    combdiff.FenchelYoungLoss(layer)(theta, torch.tensor([1.0, 0, 0, 1]).expand(3, 4)).sum().backward()
    assert theta.grad is not None
    assert bool(torch.isfinite(theta.grad).all())


def test_importing_combdiff_does_not_import_ortools_and_works_without_it() -> None:
    code = (
        "import sys; sys.modules['ortools'] = None\n"
        "import combdiff_solvers as s\n"
        "try: s.MixedInteger([[1]], 1)\n"
        "except ImportError as error: assert 'combdiff[ortools]' in str(error), error\n"
        "else: raise SystemExit('no error')\n"
        "open('model.lp', 'w').write('min\\n x\\nend')\n"
        "try: s.wrap('model.lp')\n"
        "except ImportError as error: assert 'combdiff[ortools]' in str(error), error\n"
        "else: raise SystemExit('no error')\n"
        "assert s.wrap(lambda t: t, shape=(2,)).shape == (2,)\n"
    )
    paths = [path for path in sys.path if path]
    import os
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        code = "import sys, combdiff_solvers; assert not any(m.startswith('ortools') for m in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
