"""Formulas as solvers: enumeration, exact weights, both back ends, limits and bad input."""

from __future__ import annotations

import itertools
import pickle
import time
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy import ndarray

import combdiff
from combdiff.testing import SolverContract
from combdiff_solvers.formulas.formula import AtMost, Formula
from combdiff_solvers.formulas.formula_solver import SatInstances
from combdiff_solvers.formulas.sat import SatModel
from combdiff_solvers.protocol import Solver, Status

pysat = pytest.importorskip("pysat.formula", reason="python-sat is not installed")


def assignments(n: int) -> ndarray:
    return np.array(list(itertools.product((0.0, 1.0), repeat=n)))


def clauses_hold(clauses: Sequence[Sequence[int]], y: ndarray) -> ndarray:
    """(k, clauses): which clauses hold under assignments (k, n)."""
    columns = [[any((row[abs(one) - 1] > 0.5) == (one > 0) for one in clause) for row in y] for clause in clauses]
    return np.array(columns, dtype=bool).reshape(len(clauses), len(y)).T


def random_clauses(rng: np.random.Generator, n: int, count: int, least: int = 1) -> list[list[int]]:
    return [
        [int(v + 1) * int(rng.choice([-1, 1])) for v in rng.choice(n, size=int(rng.integers(least, 4)), replace=False)]
        for _ in range(count)
    ]


CLAUSES = [[1, 2, -3], [-1, 4], [-2, -4, 5], [3, -5], [1, -2, 6], [-6, 2]]
SOFT = [[1, 5], [-4], [2, 3, 6], [-1, -6]]
PRICES: list[Any] = [2, 1, Decimal("1.25"), -3]


class TestCnf(SolverContract):
    tolerance = 1e-14

    def make(self) -> Solver:
        return combdiff.wrap(pysat.CNF(from_clauses=CLAUSES))

    def feasible_set(self, solver: Solver) -> ndarray:
        y = assignments(6)
        return y[clauses_hold(CLAUSES, y).all(axis=1)]

    def instances(self, solver: Solver, rows: int) -> Sequence[Any]:
        rng = np.random.default_rng(5)
        literals = rng.integers(1, 7, size=(rows, 2)) * rng.choice([-1, 1], size=(rows, 2))
        literals[::3, 1] = 0
        return SatInstances(literals=literals)

    def feasible_set_of(self, solver: Solver, instance: Any) -> ndarray:
        y = self.feasible_set(solver)
        return y[clauses_hold([[int(one)] for one in instance["literals"] if one], y).all(axis=1)]


class TestWcnfThatIsMaximised(SolverContract):
    """θ is added to the soft clauses; only some variables are priced, in an order and a shape of the user's."""

    ORDER = ((6, 2), (1, 3))

    def make(self) -> Solver:
        formula = pysat.WCNF()
        formula.extend(CLAUSES)
        for clause, weight in zip(SOFT, PRICES, strict=True):
            formula.append(clause, weight=weight)
        return combdiff.wrap(formula, self.ORDER, sense="max")

    def models(self) -> ndarray:
        y = assignments(6)
        return y[clauses_hold(CLAUSES, y).all(axis=1)]

    def feasible_set(self, solver: Solver) -> ndarray:
        return np.unique(self.models()[:, np.array(self.ORDER).reshape(-1) - 1], axis=0)

    def value(self, solver: Solver, theta: ndarray, y: ndarray) -> ndarray:
        models = self.models()
        shown = models[:, np.array(self.ORDER).reshape(-1) - 1]
        h = clauses_hold(SOFT, models) @ np.array([float(w) for w in PRICES])
        return np.array([one @ theta + h[(shown == one).all(axis=1)].max() for one in y])

    def instances(self, solver: Solver, rows: int) -> Sequence[Any]:
        return [{"literals": np.array([2])}] * rows

    def feasible_set_of(self, solver: Solver, instance: Any) -> ndarray:
        points = self.feasible_set(solver)
        return points[points[:, 1] == 1]


@pytest.mark.parametrize("backend", ["rc2", "cp_sat"])
@pytest.mark.parametrize("sense", ["min", "max"])
def test_random_formulas_against_enumeration(backend: Any, sense: str) -> None:
    """Clauses, weighted and plain at-most constraints, soft clauses of both signs; normal, tied and zero θ."""
    rng = np.random.default_rng(0)
    n, y = 7, assignments(7)
    infeasible = 0
    for trial in range(200 if backend == "rc2" else 60):
        hard = random_clauses(rng, n, int(rng.integers(0, 14)))
        soft = random_clauses(rng, n, int(rng.integers(0, 5)))
        prices = rng.integers(-3, 4, size=len(soft)).tolist()
        formula = pysat.WCNFPlus()
        formula.nv = n
        formula.extend(hard)
        for clause, weight in zip(soft, prices, strict=True):
            formula.soft.append(clause)
            formula.wght.append(weight)
        good = clauses_hold(hard, y).all(axis=1)
        for _ in range(int(rng.integers(0, 3))):
            literals = [int(v + 1) * int(rng.choice([-1, 1])) for v in rng.choice(n, size=5, replace=False)]
            weights = [1] * 5 if rng.random() < 0.5 else rng.integers(1, 6, size=5).tolist()
            bound = int(rng.integers(-1, sum(weights) + 1)) if rng.random() < 0.3 else sum(weights) // 2
            formula.append([literals, bound, weights] if max(weights) > 1 else [literals, bound], is_atmost=True)
            good &= clauses_hold([[one] for one in literals], y) @ np.array(weights) <= bound
        theta = [rng.normal(size=(2, n)), rng.integers(-2, 3, size=(2, n)).astype(float)][trial % 2]
        theta[0, rng.random(n) < 0.2] = 0
        found = combdiff.wrap(formula, sense=sense, backend=backend).solve(theta)
        if not good.any():
            infeasible += 1
            assert (found.status == Status.INFEASIBLE).all()
            continue
        assert (found.status == Status.OPTIMAL).all()
        holding = clauses_hold(soft, y[good]) == (sense == "max")
        values = y[good] @ theta.T + (holding @ np.array(prices, dtype=float))[:, None]
        best = values.min(0) if sense == "min" else values.max(0)
        np.testing.assert_allclose(found.objective, best, atol=1e-12)
        for row, answer in enumerate(found.y):
            place = (y[good] == answer).all(axis=1)
            assert place.sum() == 1
            np.testing.assert_allclose(values[place, row], best[row], atol=1e-12)
    assert infeasible > 5


@pytest.mark.parametrize("backend", ["rc2", "cp_sat"])
@pytest.mark.parametrize("sense", ["min", "max"])
def test_theta_as_weights_of_clauses(backend: Any, sense: str) -> None:
    rng = np.random.default_rng(1)
    y = assignments(6)
    for trial in range(120 if backend == "rc2" else 40):
        hard, soft = random_clauses(rng, 6, 4, least=2), random_clauses(rng, 6, 8)
        soft += [soft[0], [1], [1], [-1], [2, -2]][: int(rng.integers(0, 6))]
        formula = pysat.WCNF()
        formula.extend(hard)
        for clause in soft:
            formula.append(clause, weight=1)
        formula.nv = 6
        theta = [rng.normal(size=(1, len(soft))), rng.integers(-2, 3, size=(1, len(soft))).astype(float)][trial % 2]
        found = combdiff.wrap(formula, price="clauses", sense=sense, backend=backend).solve(theta)
        patterns = clauses_hold(soft, y[clauses_hold(hard, y).all(axis=1)])
        if not len(patterns):
            assert found.status[0] == Status.INFEASIBLE
            continue
        values = patterns @ theta[0]
        assert found.status[0] == Status.OPTIMAL
        assert (patterns == found.y[0]).all(axis=1).any()
        np.testing.assert_allclose(found.objective[0], values.min() if sense == "min" else values.max(), atol=1e-12)


def test_cnf_clauses_are_soft_when_they_are_priced_and_max_is_the_default() -> None:
    solver = combdiff.wrap(pysat.CNF(from_clauses=[[1], [-1, 2], [-2]]), price="clauses")
    assert solver.sense is combdiff.Sense.MAX
    np.testing.assert_array_equal(solver.solve(np.array([[1.0, 2.0, 3.0]])).y, [[0.0, 1.0, 1.0]])


def random_3sat(rng: np.random.Generator, n: int, ratio: float) -> list[list[int]]:
    variables = np.argsort(rng.random((int(n * ratio), n)), axis=1)[:, :3] + 1
    clauses: list[list[int]] = (variables * rng.choice([-1, 1], size=variables.shape)).tolist()
    return clauses


def test_back_ends_agree_on_larger_formulas() -> None:
    pytest.importorskip("ortools", reason="OR-Tools is not installed")
    rng = np.random.default_rng(2)
    solved = 0
    for _ in range(60):
        formula = pysat.CNFPlus()
        formula.extend(random_3sat(rng, 40, 3.2))
        formula.append([list(range(1, 21)), 12], is_atmost=True)
        theta = rng.normal(size=(1, 40))
        one = combdiff.wrap(formula).solve(theta)
        two = combdiff.wrap(formula, backend="cp_sat").solve(theta)
        assert one.status[0] == two.status[0]
        assert one.status[0] in (Status.OPTIMAL, Status.INFEASIBLE)
        if one.status[0] == Status.OPTIMAL:
            solved += 1
            np.testing.assert_allclose(one.objective, two.objective, rtol=1e-10)
    assert solved >= 50


def exact(theta: ndarray, y: ndarray) -> Fraction:
    return sum((Fraction(float(a)) for a, b in zip(theta, y, strict=True) if b), Fraction(0))


@pytest.mark.parametrize("kind", ["orders", "gaps", "extremes"])
def test_weights_are_exact(kind: str) -> None:
    """The optimum in exact arithmetic, where float64 sums cannot even tell the candidates apart."""
    rng = np.random.default_rng(3)
    y = assignments(6)
    points = y[clauses_hold(CLAUSES, y).all(axis=1)]
    solver = combdiff.wrap(pysat.CNF(from_clauses=CLAUSES))
    theta = {
        "orders": rng.normal(size=(60, 6)) * 10.0 ** rng.integers(-12, 13, size=(60, 6)),
        "gaps": 1.0 + rng.integers(-3, 4, size=(60, 6)) * 2.0**-52,
        "extremes": rng.choice([5e-324, -5e-324, 1e307, -1e307, 1.0, -1e-300], size=(60, 6)),
    }[kind]
    found = solver.solve(theta)
    assert (found.status == Status.OPTIMAL).all()
    for row, answer in zip(theta, found.y, strict=True):
        assert exact(row, answer) == min(exact(row, point) for point in points)


def test_earlier_rows_change_nothing() -> None:
    rng = np.random.default_rng(4)
    formula = pysat.CNF(from_clauses=random_3sat(rng, 30, 2.0))
    warm = combdiff.wrap(formula)
    theta = rng.integers(-1, 2, size=(20, 30)).astype(float)
    literals = np.where(rng.random((20, 2)) < 0.7, rng.integers(1, 31, size=(20, 2)), 0)
    warm.solve(rng.normal(size=(20, 30)), SatInstances(literals=-literals))
    for row in range(20):
        fresh = combdiff.wrap(formula)
        np.testing.assert_array_equal(warm.solve(theta[row : row + 1]).y, fresh.solve(theta[row : row + 1]).y)
        given = SatInstances(literals=literals[row : row + 1])
        np.testing.assert_array_equal(
            warm.solve(theta[row : row + 1], given).y, fresh.solve(theta[row : row + 1], given).y
        )


def test_memory_stays_flat_over_many_solves() -> None:
    resource = pytest.importorskip("resource")
    solver = combdiff.wrap(pysat.CNF(from_clauses=CLAUSES))
    theta = np.random.default_rng(5).normal(size=(100, 6))
    literals = SatInstances(literals=np.ones((100, 1), dtype=int))
    solver.solve(theta)
    solver.solve(theta, literals)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        solver.solve(theta)
        solver.solve(theta, literals)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096  # KiB


def hard_problem() -> tuple[Any, ndarray]:
    rng = np.random.default_rng(6)
    return pysat.CNF(from_clauses=random_3sat(rng, 150, 2.5)), rng.normal(size=(2, 150))


def test_time_limit_leaves_the_incumbent() -> None:
    formula, theta = hard_problem()
    solver = combdiff.wrap(formula, time_limit=0.3)
    began = time.monotonic()
    found = solver.solve(theta)
    assert time.monotonic() - began < 5
    assert (found.status == Status.FEASIBLE).all()
    assert Formula(150, tuple(map(tuple, formula.clauses))).satisfied(found.y).all()
    np.testing.assert_allclose(found.objective, (theta * found.y).sum(axis=1))
    assert "better by" in found.messages[0]


def test_batch_limit_and_no_incumbent_are_limit() -> None:
    formula, theta = hard_problem()
    found = combdiff.wrap(formula, time_limit=1e-9).solve(theta)
    assert (found.status == Status.LIMIT).all()
    assert np.isnan(found.y).all()


def test_gap_is_kept() -> None:
    rng = np.random.default_rng(7)
    formula = pysat.CNF(from_clauses=random_3sat(rng, 40, 2.5))
    theta = rng.normal(size=(10, 40))
    best = combdiff.wrap(formula).solve(theta)
    near = combdiff.wrap(formula, absolute_gap=3.0).solve(theta)
    assert (best.status == Status.OPTIMAL).all()
    assert (near.status <= Status.FEASIBLE).all()
    assert (near.status == Status.FEASIBLE).any()
    assert (near.objective <= best.objective + 3.0 + 1e-12).all()
    assert (near.objective >= best.objective - 1e-12).all()


def test_copies_agree_and_the_formula_is_left_alone() -> None:
    formula = pysat.WCNF()
    formula.extend(CLAUSES)
    for clause in SOFT:
        formula.append(clause, weight=2)
    before = (repr(formula.hard), repr(formula.soft), repr(formula.wght), formula.nv)
    solver = combdiff.wrap(formula)
    theta = np.random.default_rng(8).normal(size=(20, 6))
    expected = solver.solve(theta)
    assert (repr(formula.hard), repr(formula.soft), repr(formula.wght), formula.nv) == before
    formula.append([1])
    formula.append([-1])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(solver)).solve(theta).y, expected.y)
    np.testing.assert_array_equal(solver.solve(theta).y, expected.y)


def test_one_bad_instance_costs_no_other_row() -> None:
    solver = combdiff.wrap(pysat.CNF(from_clauses=[[1, 2], [-1, -2]]))
    found = solver.solve(np.zeros((4, 2)), SatInstances(literals=np.array([[1, 0], [9, 0], [1, 2], [-1, 0]])))
    assert found.status.tolist() == [Status.OPTIMAL, Status.ERROR, Status.INFEASIBLE, Status.OPTIMAL]
    assert "literal 9" in found.messages[1]
    np.testing.assert_array_equal(found.y[[0, 3]], [[1, 0], [0, 1]])


def test_unsatisfiable_formulas() -> None:
    for clauses in ([[1], [-1]], [[1, 2], []]):
        formula = pysat.CNF()
        formula.nv, formula.clauses = 2, clauses
        assert combdiff.wrap(formula).solve(np.ones((1, 2))).status[0] == Status.INFEASIBLE
        literals = SatInstances(literals=np.array([[2]]))
        assert combdiff.wrap(formula).solve(np.ones((1, 2)), literals).status[0] == Status.INFEASIBLE


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"variables": [1, 7]}, ValueError, r"1\.\.6"),
        ({"variables": [0]}, ValueError, r"1\.\.6"),
        ({"variables": [-2]}, ValueError, "negation"),
        ({"variables": [2, 3, 2]}, ValueError, "same variable"),
        ({"variables": []}, ValueError, "empty"),
        ({"variables": [1.5]}, TypeError, "positive integer"),
        ({"variables": [True]}, TypeError, "positive integer"),
        ({"variables": [1], "price": "clauses"}, ValueError, "leave variables out"),
        ({"price": "both"}, ValueError, "'variables', 'clauses'"),
        ({"backend": "z3"}, ValueError, "'rc2', 'cp_sat'"),
        ({"sense": "up"}, ValueError, "neither"),
        ({"time_limit": 0}, ValueError, "time_limit=0"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        combdiff.wrap(pysat.CNF(from_clauses=CLAUSES), **options)


def test_bad_formulas_are_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        combdiff.wrap(pysat.CNF())
    with pytest.raises(ValueError, match=r"variables are 1\.\.2"):
        Formula(2, hard=((1, 3),))
    with pytest.raises(ValueError, match="shape"):
        SatModel(Formula(2), [1, 2], (3,))
    wide = tuple(range(1, 61))
    bound = AtMost(wide, 2**59, tuple(2**i + 1 for i in wide))
    with pytest.raises(ValueError, match="cp_sat"):
        SatModel(Formula(60, at_most=(bound,)), [1])


def test_a_layer_over_a_formula() -> None:
    torch = pytest.importorskip("torch")
    layer = combdiff.Perturbed(combdiff.wrap(pysat.CNF(from_clauses=CLAUSES), [1, 2, 3]), sigma=0.5, samples=8)
    theta = torch.zeros(2, 3, requires_grad=True)
    layer(theta)[:, 0].sum().backward()
    assert theta.grad is not None
    assert torch.isfinite(theta.grad).all()
