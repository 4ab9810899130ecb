"""Formulas on RC2, CP-SAT, and the one that "auto" chooses: same instances, same answers; PySAT's formulas of atoms."""

from __future__ import annotations

import gc
import itertools
import pickle
import sys
import weakref
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy import ndarray

import combdiff
from combdiff.testing import SolverContract
from combdiff_solvers.formulas.formula import AtMost, Formula, Soft
from combdiff_solvers.formulas.formula_solver import SatInstances
from combdiff_solvers.protocol import Solver, Status

pysat = pytest.importorskip("pysat.formula", reason="python-sat is not installed")
pytest.importorskip("ortools", reason="OR-Tools is not installed")

CLAUSES = ((1, 2, -3), (-1, 4), (-2, -4, 5), (3, -5), (1, -2, 6), (-6, 2))


def choose(n: int, k: int) -> Formula:
    """Just k of n."""
    ones = (1,) * n
    return Formula(n, (), (AtMost(tuple(range(1, n + 1)), k, ones), AtMost(tuple(range(-n, 0)), n - k, ones)))


class TestInstancesOnCpSat(SolverContract):
    tolerance = 1e-9
    rows = 70
    backend = "cp_sat"

    def make(self) -> Solver:
        return combdiff.wrap(Formula(6, CLAUSES), [6, 2, 1, 4, 3], backend=self.backend)

    def feasible_set_of(self, solver: Solver, instance: Any) -> ndarray:
        y = np.array(list(itertools.product((0.0, 1.0), repeat=6)))
        formula = Formula(6, (*CLAUSES, *((int(one),) for one in (instance or {}).get("literals", ()) if one)))
        return np.unique(y[formula.satisfied(y)][:, [5, 1, 0, 3, 2]], axis=0)

    def feasible_set(self, solver: Solver) -> ndarray:
        return self.feasible_set_of(solver, None)

    def instances(self, solver: Solver, rows: int) -> Sequence[Any]:
        rng = np.random.default_rng(5)
        literals = rng.integers(1, 7, size=(rows, 2)) * rng.choice([-1, 1], size=(rows, 2))
        literals[::3, 1] = 0
        return SatInstances(literals=literals)


class TestInstancesOnRc2(TestInstancesOnCpSat):
    backend = "rc2"


class TestInstancesOnAuto(TestInstancesOnCpSat):
    backend = "auto"
    few: ClassVar[int] = 2

    @pytest.fixture(autouse=True)
    def split_the_rows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("combdiff_solvers.formulas.formula_auto.MOST_PRICES", self.few)

    def test_both_back_ends_are_chosen(self) -> None:
        solver: Any = self.make()
        assert solver.backend == "auto"
        assert "'rc2' to 2 different prices a row" in repr(solver)
        theta = np.array([[1.0, 1, 2, 2, 0], [1.0, 2, 3, 4, 5], [-1.0, 1, -1, 1, -2]])
        assert solver.chosen(theta) == ["rc2", "cp_sat", "rc2"]
        assert pickle.loads(pickle.dumps(solver)).chosen(theta) == ["rc2", "cp_sat", "rc2"]


@pytest.mark.parametrize("backend", ["rc2", "cp_sat", "auto"])
def test_bad_instances_cost_no_other_row(backend: str) -> None:
    solver = combdiff.wrap(Formula(2, ((1, 2),)), backend=backend)
    given = SatInstances(literals=np.array([[1, 0], [9, 0], [1, -1], [-1, 0]]))
    found = solver.solve(np.ones((4, 2)), given)
    assert found.status.tolist() == [Status.OPTIMAL, Status.ERROR, Status.INFEASIBLE, Status.OPTIMAL]
    assert "literal 9 must hold, but the variables are 1..2" in found.messages[1]
    with pytest.raises(ValueError, match="3 instances for 4 rows"):
        solver.solve(np.ones((4, 2)), [{"literals": np.array([1])}] * 3)


def test_what_auto_chooses() -> None:
    assert combdiff.wrap(Formula(50, ((1, 2),))).backend == "rc2"  # type: ignore[attr-defined]
    cardinality = combdiff.wrap(choose(4, 2))
    assert cardinality.backend == "cp_sat"  # type: ignore[attr-defined]
    assert "backend='cp_sat'" in repr(cardinality)
    assert combdiff.wrap(Formula(90, ((1, 2),))).backend == "auto"  # type: ignore[attr-defined]
    assert combdiff.wrap(Formula(90, ((1, 2),)), list(range(1, 11))).backend == "rc2"  # type: ignore[attr-defined]
    huge = Formula(2, (), (AtMost((1, 2), 2**70, (2**70, 2**69)),))
    assert combdiff.wrap(huge).backend == "rc2"  # type: ignore[attr-defined]
    np.testing.assert_array_equal(combdiff.wrap(huge, sense="max").solve(np.ones((1, 2))).y.sum(), 1)
    with pytest.raises(ValueError, match=r"sum to 2\^62 or more.*backend='rc2'"):
        combdiff.wrap(huge, backend="cp_sat")


def test_auto_without_ortools_is_rc2(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("formula_auto", "formula_cp_sat"):
        monkeypatch.delitem(sys.modules, f"combdiff_solvers.formulas.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    assert combdiff.wrap(choose(4, 2)).backend == "rc2"  # type: ignore[attr-defined]


def test_dense_prices_under_a_cardinality_constraint_do_not_stall() -> None:
    """RC2 needs over 3 s a row here; CP-SAT some milliseconds."""
    theta = np.random.default_rng(0).normal(size=(20, 100))
    found = combdiff.wrap(choose(100, 10), time_limit=60.0).solve(theta)
    assert (found.status == Status.OPTIMAL).all()
    np.testing.assert_allclose(found.objective, np.sort(theta)[:, :10].sum(axis=1), rtol=1e-9)


def test_back_ends_agree_on_rows_of_both_kinds() -> None:
    rng = np.random.default_rng(1)
    clauses = tuple(
        tuple(int(v + 1) * int(rng.choice([-1, 1])) for v in rng.choice(80, 3, replace=False)) for _ in range(80)
    )
    soft = tuple(Soft((int(v), -int(v) - 1), Fraction(int(v), 7)) for v in range(1, 5))
    formula = Formula(80, clauses, (), soft)
    theta = rng.normal(size=(6, 80))
    theta[::2] = np.rint(theta[::2])
    solvers: dict[str, Any] = {name: combdiff.wrap(formula, backend=name) for name in ("auto", "rc2", "cp_sat")}
    assert solvers["auto"].chosen(theta) == ["rc2", "cp_sat"] * 3
    auto = solvers["auto"].solve(theta)
    for name in ("rc2", "cp_sat"):
        np.testing.assert_allclose(auto.objective, solvers[name].solve(theta).objective, rtol=1e-9)
    np.testing.assert_array_equal(auto.y, np.concatenate([solvers["auto"].solve(row[None]).y for row in theta]))


@pytest.mark.parametrize("backend", ["rc2", "cp_sat", "auto"])
def test_solvers_that_nobody_needs_are_gone_without_the_collector(backend: str) -> None:
    gc.disable()
    try:
        solver = combdiff.wrap(Formula(90, CLAUSES), backend=backend)
        solver.solve(np.ones((2, 90)), SatInstances(literals=np.array([[1], [2]])))
        known = weakref.ref(solver)
        del solver
        assert known() is None
    finally:
        gc.enable()


def random_formula(rng: np.random.Generator, atoms: list[Any], depth: int) -> tuple[Any, Any]:
    """A formula of atoms, and a function that tells its truth from (b, atoms) booleans."""
    if depth == 0:
        place = int(rng.integers(0, len(atoms)))
        return atoms[place], lambda truth: truth[:, place]
    kind = str(rng.choice(["And", "Or", "Neg", "Implies", "Equals", "XOr", "ITE"]))
    arity = {"Neg": 1, "Implies": 2, "Equals": 2, "XOr": 2, "ITE": 3}.get(kind, int(rng.integers(2, 4)))
    parts, truths = zip(*(random_formula(rng, atoms, depth - 1) for _ in range(arity)), strict=True)
    meaning: dict[str, Any] = {
        "And": lambda *t: np.logical_and.reduce(t),
        "Or": lambda *t: np.logical_or.reduce(t),
        "Neg": np.logical_not,
        "Implies": lambda a, b: ~a | b,
        "Equals": lambda a, b: a == b,
        "XOr": lambda a, b: a != b,
        "ITE": lambda a, b, c: np.where(a, b, c),
    }
    return getattr(pysat, kind)(*parts), lambda truth: meaning[kind](*(one(truth) for one in truths))


def test_formulas_of_atoms_against_enumeration() -> None:
    rng = np.random.default_rng(0)
    pysat.Formula.cleanup()
    atoms = [pysat.Atom(name) for name in "abcd"]
    y = np.array(list(itertools.product((0.0, 1.0), repeat=4)))
    infeasible = 0
    for _ in range(80):
        formula, truth = random_formula(rng, atoms, 3)
        wanted = y[truth(y > 0.5)]
        known = set(formula.atoms())
        priced = [one for one in atoms if one in known]
        if not priced:
            continue
        theta = rng.normal(size=(3, len(priced)))
        found = combdiff.wrap(formula, priced).solve(theta)
        if not len(wanted):
            infeasible += 1
            assert (found.status == Status.INFEASIBLE).all()
            continue
        columns = wanted[:, [one in known for one in atoms]]
        np.testing.assert_allclose(found.objective, (columns @ theta.T).min(axis=0), atol=1e-12)
    assert infeasible < 40


def test_atoms_are_the_variables() -> None:
    x, y, z = (pysat.Atom(name) for name in ("x of the test", "y", "z"))
    formula = pysat.And(x, pysat.Or(y, z))
    numbers = pysat.Formula.literals([x, y])
    theta = np.array([[1.0, 2.0]])
    for variables in ([[x, y]], [numbers]):
        solver = combdiff.wrap(formula, variables, sense="max")
        assert solver.shape == (1, 2)
        np.testing.assert_array_equal(solver.solve(theta).y, [[1, 1]])
    assert combdiff.wrap(formula).shape == (3,)


def test_bad_formulas_of_atoms() -> None:
    x, y = pysat.Atom("x"), pysat.Atom("y")
    formula = pysat.Or(x, y)
    for other in (pysat.Atom("q"), ~x, 10**6, "x"):
        with pytest.raises(ValueError, match="is not an atom of the formula"):
            combdiff.wrap(formula, [other])
    with pytest.raises(ValueError, match="empty"):
        combdiff.wrap(pysat.PYSAT_TRUE)
    with pytest.raises(ValueError, match="no clauses of its own"):
        combdiff.wrap(formula, price="clauses")
