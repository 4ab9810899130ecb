import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import pytest

import combdiff
from combdiff.solvers import (
    Assignment,
    Cached,
    FunctionSolver,
    Knapsack,
    Limits,
    Parallel,
    Sense,
    ShortestPath,
    Solutions,
    Solver,
    Status,
    TopK,
    wrap,
)
from combdiff.testing import SolverContract
from combdiff_solvers.protocol import BatchSolver


def two_smallest(theta: np.ndarray, allowed: Any = None) -> np.ndarray | None:
    """A 0/1 vector of the two smallest entries, of those allowed."""
    cost = theta if allowed is None else np.where(allowed, theta, np.inf)
    if np.isinf(cost).sum() > len(theta) - 2:
        return None
    y = np.zeros(len(theta))
    y[np.argsort(cost, kind="stable")[:2]] = 1.0
    return y


def two_largest_of_each(theta: np.ndarray) -> np.ndarray:
    best = np.argsort(-theta.reshape(len(theta), -1), axis=1, kind="stable")[:, :2]
    y = np.zeros((len(theta), 4))
    np.put_along_axis(y, best, 1.0, axis=1)
    return y.reshape(theta.shape)


PAIRS = np.array([[float(i in chosen) for i in range(4)] for chosen in combinations(range(4), 2)])


class TestOneRowAtATime(SolverContract):
    def make(self) -> Solver:
        return wrap(two_smallest, shape=(4,))

    def feasible_set(self, solver: Solver) -> np.ndarray:
        return PAIRS

    def instances(self, solver: Solver, rows: int) -> Sequence[Any]:
        return list(np.random.default_rng(0).random((rows, 4)) < 0.7)

    def feasible_set_of(self, solver: Solver, instance: Any) -> np.ndarray:
        return PAIRS[(instance >= PAIRS).all(axis=1)]


class TestBatched(SolverContract):
    def make(self) -> Solver:
        return wrap(two_largest_of_each, shape=(2, 2), sense="max", batched=True)

    def feasible_set(self, solver: Solver) -> np.ndarray:
        return PAIRS


def fee(y: np.ndarray, allowed: Any = None) -> float:
    """A price for the first two entries together, and one for what is forbidden."""
    return 3.0 * y[0] * y[1] - (0.0 if allowed is None else float((~allowed).sum()))


def two_best_with_fee(theta: np.ndarray, allowed: Any = None) -> np.ndarray | None:
    points = PAIRS if allowed is None else PAIRS[(allowed >= PAIRS).all(axis=1)]
    return points[np.argmin([theta @ y + fee(y) for y in points])] if len(points) else None


class TestFunctionWithItsOwnObjective(TestOneRowAtATime):
    def make(self) -> Solver:
        return wrap(two_best_with_fee, shape=4, h=fee)

    def check(self, solver: Solver, theta: np.ndarray, found: Solutions, instances: Any = None) -> None:
        free = (
            np.zeros(len(theta)) if instances is None else np.array([float((~allowed).sum()) for allowed in instances])
        )
        super().check(solver, theta, replace(found, objective=found.objective + free), instances)

    def value(self, solver: Solver, theta: np.ndarray, y: np.ndarray) -> np.ndarray:
        return y @ theta + np.array([fee(point) for point in y])


def fails_on_negative(theta: np.ndarray) -> np.ndarray:
    if theta.min() < 0:
        raise RuntimeError(f"negative: {theta.min():g}")
    return np.sign(theta)


@pytest.mark.parametrize("batched", [False, True])
def test_an_exception_costs_its_row_only(batched: bool) -> None:
    solver = wrap(fails_on_negative, shape=(2,), batched=batched)
    found = solver.solve(np.array([[1.0, 0.0], [-2.0, 1.0], [1.0, 1.0]]))
    assert found.status.tolist() == [Status.OPTIMAL, Status.ERROR, Status.OPTIMAL]
    assert found.messages == {1: "RuntimeError: negative: -2"}
    assert np.isnan(found.y[1]).all()
    assert found.y[[0, 2]].tolist() == [[1, 0], [1, 1]]
    assert found.objective[[0, 2]].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize(
    ("answer", "reason"), [([1.0], "shape"), ([np.nan, 1.0], "NaN"), ("ab", "ValueError"), ([np.inf, 0.0], "inf")]
)
def test_an_answer_that_is_none_is_refused(batched: bool, answer: Any, reason: str) -> None:
    answer = [answer] if batched else answer
    found = FunctionSolver(lambda theta: answer, shape=(2,), batched=batched).solve(np.ones((1, 2)))
    assert found.status.tolist() == [Status.ERROR]
    assert reason in found.messages[0]


def test_the_function_may_write_into_its_argument() -> None:
    def spoil(theta: np.ndarray) -> np.ndarray:
        theta[:] = 7.0
        return np.ones_like(theta)

    assert wrap(spoil, shape=(2,)).solve(np.array([[1.0, 2.0]])).objective.tolist() == [3.0]


def test_interrupts_are_not_swallowed() -> None:
    def interrupted(theta: np.ndarray) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wrap(interrupted, shape=(2,)).solve(np.ones((1, 2)))


def test_other_types_can_be_registered() -> None:
    class Model:
        n = 5

    with pytest.raises(TypeError, match="cannot wrap a Model"):
        wrap(Model())
    wrap.register(Model, lambda model, k: TopK(model.n, k))
    assert wrap(Model(), 2).shape == (5,)
    with pytest.raises(TypeError, match=r"one of .*a Model;"):
        wrap(3)


@pytest.mark.parametrize("model", [None, 3, object(), [1, 2], np.eye(2)])
def test_a_bad_model_is_refused_with_what_can_be_wrapped(model: Any) -> None:
    with pytest.raises(TypeError, match=f"cannot wrap a {type(model).__name__}: give a function") as caught:
        wrap(model)
    message = str(caught.value)
    for known in ("shape=", "model file", "OR-Tools", "pyscipopt", "Pyomo", "CVXPY", "PySAT"):
        assert known in message
    assert "builtins" not in message
    assert "PathLike" not in message


def test_a_clash_of_libraries_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def clash(name: str) -> None:
        raise ImportError("/site-packages/ortools/.libs/libortools.so.9: undefined symbol: _Z19setLocalOptionValue")

    other = type("Highs", (), {"__module__": "highspy.highs"})
    monkeypatch.setattr(importlib, "import_module", clash)
    with pytest.raises(ImportError, match=r"highspy 1\.16 or newer; or write the model to an \.mps file"):
        wrap(other(), [0])


def test_a_solver_or_a_function_without_shape_is_refused() -> None:
    with pytest.raises(TypeError, match="TopK is a Solver already: use it as it is"):
        wrap(TopK(3))
    with pytest.raises(TypeError, match=r"wrap\(function\) needs the shape"):
        wrap(two_smallest)


@pytest.mark.parametrize("shape", [(), 0, (0,), (3, -1), 2.5, (2.5,), "34", None, float("nan")])
def test_bad_shapes_are_refused_with_the_fix(shape: Any) -> None:
    with pytest.raises(ValueError, match=r"shape=.* must be a whole number of at least 1, or a tuple of such"):
        wrap(two_smallest, shape=shape)


def test_a_number_is_the_shape_of_a_vector() -> None:
    for shape in (4, np.int64(4), [4], np.array([4])):
        solver = wrap(two_smallest, shape=shape)
        assert solver.shape == (4,)
        assert type(solver.shape[0]) is int


def test_h_of_a_batched_function_is_asked_row_by_row_and_in_the_shape() -> None:
    solver = FunctionSolver(two_largest_of_each, shape=(2, 2), sense="max", batched=True, h=lambda y: 10.0 * y[1, 1])
    theta = np.array([[1.0, 2.0, 0.0, 3.0], [3.0, 2.0, 0.0, 1.0]])
    found = solver.solve(theta)
    assert found.objective.tolist() == [15.0, 5.0]
    assert solver.value(found.y, theta).tolist() == [15.0, 5.0]
    assert np.isnan(solver.value(np.full((1, 4), np.nan), theta[:1])).all()


def test_a_bad_h_costs_its_row_only() -> None:
    def bad(y: np.ndarray) -> float:
        if y[0]:
            raise RuntimeError("no price")
        return np.inf if y[1] else 1.0

    found = wrap(np.sign, shape=3, h=bad).solve(np.eye(3))
    assert found.status.tolist() == [Status.ERROR, Status.ERROR, Status.OPTIMAL]
    assert found.messages == {0: "h: RuntimeError: no price", 1: "h returned inf, but must return a finite number"}
    assert np.isnan(found.y[:2]).all()
    assert np.isnan(found.objective[:2]).all()
    assert found.objective[2] == 2.0
    with pytest.raises(TypeError, match="h=3 must be a function"):
        wrap(np.sign, shape=3, h=3)


def test_instances_of_a_function_that_takes_none_are_refused() -> None:
    for function in (two_largest_of_each, lambda theta: theta, lambda *, theta=1: theta):
        with pytest.raises(
            ValueError, match="takes no instances: leave them out, or give the function a second argument"
        ):
            wrap(function, shape=4).solve(np.zeros((2, 4)), instances=[1, 2])
    for other in (lambda theta, instance: theta, lambda *both: both[0], lambda theta, k=2: theta):
        assert wrap(other, shape=2).solve(np.ones((2, 2)), instances=[1, 2]).solved.all()


def test_the_type_checker_knows_what_wrap_takes() -> None:
    assert_type(wrap(two_smallest, shape=(4,)), Solver)
    assert_type(wrap(two_smallest, (4,), sense="max", h=fee), Solver)


@pytest.mark.parametrize(
    ("options", "module", "function"),
    [
        ("ModelOptions", "models.pywraplp", "wrap_pywraplp"),
        ("ModelOptions", "models.pywraplp", "wrap_model_builder"),
        ("ModelOptions", "models.math_opt", "wrap_math_opt"),
        ("CpSatOptions", "models.cp_sat", "wrap_cp_sat"),
        ("ScipOptions", "models.scip", "wrap_scip"),
        ("ModelOptions", "models.front_ends.pyomo", "wrap_pyomo"),
        ("ModelOptions", "models.front_ends.pulp", "wrap_pulp"),
        ("ModelOptions", "models.front_ends.cvxpy", "wrap_cvxpy"),
        ("ModelOptions", "models.front_ends.linopy", "wrap_linopy"),
        ("ModelOptions", "models.front_ends.highs", "wrap_highs"),
        ("GurobiOptions", "models.front_ends.gurobi", "wrap_gurobi"),
        ("CpmpyOptions", "formulas.cpmpy", "wrap_cpmpy"),
        ("FormulaOptions", "formulas.formula_model", "wrap_formula"),
        ("FileOptions", "models.model_files", "wrap_model_file"),
        ("FileOptions", "formulas.formula_files", "wrap_formula_file"),
    ],
)
def test_the_completion_names_the_options_of_each_kind(options: str, module: str, function: str) -> None:
    for library in ("ortools", "pysat", "pyscipopt"):
        pytest.importorskip(library)
    if "front_ends" in module or "cpmpy" in module:
        pytest.importorskip({"highs": "highspy", "gurobi": "gurobipy"}.get(name := module.split(".")[-1], name))
    shown = importlib.import_module("combdiff_solvers.wrap_overloads")
    wrapper = getattr(importlib.import_module(f"combdiff_solvers.{module}"), function)
    taken = {name for name, it in inspect.signature(wrapper).parameters.items() if it.kind is it.KEYWORD_ONLY}
    of_one_kind_of_file = {"price", "warm_start", "parameters"} if options == "FileOptions" else set()
    assert taken <= set(getattr(shown, options).__annotations__) <= taken | of_one_kind_of_file


def native(kind: str, folder: Path) -> tuple[Any, ...]:
    """A model of two booleans, and its variables, as `wrap` takes them."""
    for library in ("ortools", "pysat", "pyscipopt"):
        pytest.importorskip(library)
    if kind == "function":
        return np.sign, 2
    if kind == "MathOpt":
        from ortools.math_opt.python import mathopt

        model: Any = mathopt.Model()
        return model, [model.add_binary_variable() for _ in range(2)]
    if kind == "pywraplp":
        from ortools.linear_solver import pywraplp

        model = pywraplp.Solver.CreateSolver("GLOP")
        return model, [model.BoolVar("") for _ in range(2)]
    if kind == "CP-SAT":
        from ortools.sat.python import cp_model

        model = cp_model.CpModel()
        return model, [model.new_bool_var("") for _ in range(2)]
    if kind == "SCIP":
        import pyscipopt

        model = pyscipopt.Model()
        return model, [model.addVar(vtype="B") for _ in range(2)]
    if kind == "PySAT":
        from pysat.formula import CNF

        return CNF(from_clauses=[[1, 2]]), [1, 2]
    path = folder / f"model.{kind}"
    path.write_text("min\n 0 x + 0 y\nend\n" if kind == "lp" else "p cnf 2 1\n1 2 0\n")
    return (path,)


KINDS = ("function", "MathOpt", "pywraplp", "CP-SAT", "SCIP", "PySAT", "lp", "cnf")


@pytest.mark.parametrize("kind", KINDS)
def test_a_misspelt_option_is_refused_with_the_nearest(kind: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="'sence' is no option here: did you mean 'sense'"):
        wrap(*native(kind, tmp_path), sence="max")
    if kind != "function":
        with pytest.raises(TypeError, match=r"'time_limits' .* mean 'time_limit' or 'batch_time_limit'"):
            wrap(*native(kind, tmp_path), time_limits=3.0)
    with pytest.raises(TypeError, match=r"'qqqq' is no option here\. The options are .*sense"):
        wrap(*native(kind, tmp_path), qqqq=1)
    assert wrap(*native(kind, tmp_path), sense="max").sense is Sense.MAX


def test_the_limits_of_a_wrapped_model_are_those_that_are_given(tmp_path: Path) -> None:
    given = {"time_limit": 3.0, "batch_time_limit": 4.0, "relative_gap": 0.5, "absolute_gap": 0.25}
    for kind in KINDS[1:]:
        solver: Any = wrap(*native(kind, tmp_path), **given)
        assert solver.limits == Limits(**given), kind


def test_the_completion_costs_no_import() -> None:
    check = "import combdiff_solvers, sys; sys.exit('combdiff_solvers.wrap_overloads' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "solvers")}
    assert subprocess.run([sys.executable, "-c", check], env=environment, check=False).returncode == 0


@pytest.mark.parametrize(
    ("solver", "text"),
    [
        (TopK(4, 2), "TopK(k=2, shape=(4,), sense='max')"),
        (ShortestPath.grid(12, negative="clamp"), "ShortestPath(negative='clamp', shape=(12, 12), sense='min')"),
        (Assignment(2, 3, sense="max"), "Assignment(shape=(2, 3), sense='max')"),
        (Parallel(Cached(TopK(4)), workers=2), None),
        (Knapsack([[1.0, 2]], 3.0), "Knapsack(weights=array(1, 2), capacity=array(1,), shape=(2,), sense='max')"),
        (wrap(two_smallest, shape=4), "FunctionSolver(function=two_smallest, shape=(4,), sense='min')"),
    ],
)
def test_a_solver_prints_what_it_was_made_with(solver: Solver, text: str | None) -> None:
    if text is not None:
        assert repr(solver) == text
    assert str(solver.shape) in repr(solver)


def test_solvers_in_solvers_print_both() -> None:
    assert repr(Cached(TopK(4))) == "Cached(solver=TopK(shape=(4,), sense='max'), shape=(4,), sense='max')"


def test_every_solver_class_prints_itself() -> None:
    classes = [it for it in vars(combdiff.solvers).values() if isinstance(it, type) and hasattr(it, "solve")]
    assert len(classes) > 15
    for kind in classes:
        assert kind is Solver or issubclass(kind, BatchSolver), kind


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="'most'"):
        wrap(two_smallest, shape=(4,), sense="most")
    assert wrap(two_smallest, shape=(4,), sense=Sense.MAX).sense is Sense.MAX
