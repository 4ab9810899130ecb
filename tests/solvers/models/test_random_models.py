"""Random models with linear and quadratic terms have one optimum on every engine that takes them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

from combdiff.solvers import Solver, Status, wrap

mathopt = pytest.importorskip("ortools.math_opt.python.mathopt")
pytest.importorskip("pyscipopt")

BACKENDS = ("glop", "pdlp", "scip", "highs", "cp_sat")


@dataclass
class Program:
    """min or max ⟨c, x⟩ + xᵀQx over lower ≤ x ≤ upper, linear rows, and at most one quadratic row, some x integer.

    The quadratic row holds at most one continuous variable, so each choice of the integers leaves a polytope.
    """

    integer: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    c: np.ndarray
    Q: np.ndarray
    A: np.ndarray
    sides: np.ndarray  # shape: (rows, 2)
    square: tuple[np.ndarray, np.ndarray, float, float] | None  # Q, linear part, lower and upper side

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Program":
        """A program that most often is feasible."""
        counts = [(0, 2), (0, 1), (2, 0), (3, 0), (2, 1), (2, 2), (1, 2)][rng.integers(7)]
        integer = rng.permutation(np.repeat([True, False], counts))
        n = len(integer)
        lower = rng.integers(-2, 1, n) * np.where(integer, 1.0, 0.5)
        upper = lower + rng.integers(1, 4, n) * np.where(integer, 1.0, 0.75)
        point = np.where(integer, rng.integers(lower, np.floor(upper) + 1), rng.uniform(lower, upper))
        c = rng.integers(-3, 4, n) * 0.5
        Q = np.zeros((n, n))
        if rng.random() < 0.6:
            Q = np.triu(rng.integers(-2, 4, (n, n)) * 0.5) * (rng.random((n, n)) < 0.5)
            if rng.random() < 0.4:
                Q = np.diag(np.abs(np.diag(Q)))
        A = rng.integers(-3, 4, (rng.integers(0, 3), n)).astype(float)
        middle = A @ point + rng.choice([0.0, 0.0, 0.0, 4.3], len(A))
        width = (
            rng.choice([0.0, 0.4, 1.7, np.inf], (len(A), 2)) if not integer.all() else rng.uniform(0.1, 2, (len(A), 2))
        )
        sides = np.stack([middle - width[:, 0], middle + width[:, 1]], axis=1)
        square = None
        if rng.random() < 0.4:
            used = integer | (np.arange(n) == rng.permutation(np.flatnonzero(~integer))[:1].sum())
            R = np.triu(rng.integers(-2, 3, (n, n))) * 0.5 * np.outer(used, used)
            linear = rng.integers(-2, 3, n) * used * 1.0
            at = point @ R @ point + linear @ point
            least = at - rng.uniform(0.3, 2) if rng.random() < 0.3 else -np.inf
            square = (R, linear, least, at + rng.uniform(0.3, 2)) if R.any() else None
        return cls(integer, lower, upper, c, Q, A, sides, square)

    def value(self, x: np.ndarray, theta: np.ndarray) -> float:
        return float((self.c + theta) @ x + x @ self.Q @ x)

    def feasible(self, x: np.ndarray, tolerance: float = 1e-8) -> bool:
        parts = [(x, self.lower, self.upper), (self.A @ x, *self.sides.T)]
        if self.square is not None:
            R, linear, least, most = self.square
            parts.append((np.array(x @ R @ x + linear @ x), np.array(least), np.array(most)))
        return all(((v >= least - tolerance) & (v <= most + tolerance)).all() for v, least, most in parts)

    def candidates(self, theta: np.ndarray) -> Iterator[np.ndarray]:
        """Feasible points of which one is optimal: for all integers, the stationary points of all faces."""
        free = np.flatnonzero(~self.integer)
        ranges = [np.arange(low, high + 0.5) for low, high in zip(self.lower, self.upper, strict=True)]
        H = (self.Q + self.Q.T)[np.ix_(free, free)]
        for whole in product(*(r for r, i in zip(ranges, self.integer, strict=True) if i)):
            x = np.zeros(len(self.integer))
            x[self.integer] = whole
            walls = [(np.eye(len(free))[k], side[j]) for k, j in enumerate(free) for side in (self.lower, self.upper)]
            for row, sides in zip(self.A, self.sides, strict=True):
                walls += [(row[free], side - row @ x) for side in sides if np.isfinite(side)]
            walls += list(self.roots(x, free))
            g = (self.c + theta + (self.Q + self.Q.T) @ x)[free]
            for count in range(len(free) + 1):
                for chosen in combinations(walls, count):
                    B = np.array([a for a, _ in chosen]).reshape(count, len(free))
                    kkt = np.block([[H, B.T], [B, np.zeros((count, count))]])
                    if len(kkt) and abs(np.linalg.det(kkt)) < 1e-9:
                        continue
                    right = np.append(-g, [b for _, b in chosen])
                    x[free] = np.linalg.solve(kkt, right)[: len(free)]
                    if self.feasible(x):
                        yield x
            x[free] = 0.0

    def roots(self, x: np.ndarray, free: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
        """Where the quadratic row meets its sides, as values of its one continuous variable."""
        if self.square is None:
            return
        R, linear, *sides = self.square
        slopes = ((R + R.T) @ x + linear)[free]
        for k, j in enumerate(free):
            if R[j, j] or slopes[k]:
                for side in sides:
                    if np.isfinite(side):
                        roots = np.roots([R[j, j], slopes[k], x @ R @ x + linear @ x - side])
                        yield from ((np.eye(len(free))[k], root.real) for root in roots if abs(root.imag) < 1e-12)

    def best(self, theta: np.ndarray, sign: float) -> float | None:
        return min((sign * self.value(x, theta) for x in self.candidates(theta)), default=None)


def math_opt_solver(program: Program, priced: np.ndarray, maximize: bool, backend: str) -> Solver:
    model = mathopt.Model()
    x = [
        model.add_variable(lb=low, ub=high, is_integer=bool(whole))
        for low, high, whole in zip(program.lower, program.upper, program.integer, strict=True)
    ]
    for row, (low, high) in zip(program.A, program.sides, strict=True):
        model.add_linear_constraint(lb=low, ub=high, expr=mathopt.fast_sum(a * v for a, v in zip(row, x, strict=True)))
    if program.square is not None:
        R, linear, low, high = program.square
        model.add_quadratic_constraint(lb=low, ub=high, expr=quadratic(x, linear, R))
    model.set_objective(quadratic(x, program.c, program.Q), is_maximize=maximize)
    return wrap(model, [x[k] for k in priced], backend=backend)


def scip_solver(program: Program, priced: np.ndarray, maximize: bool) -> Solver:
    """The same on SCIP itself, with the quadratic objective as a variable."""
    from pyscipopt import Model

    model = Model()
    x = [
        model.addVar(lb=low, ub=high, vtype="I" if whole else "C")
        for low, high, whole in zip(program.lower, program.upper, program.integer, strict=True)
    ]
    rows: list[tuple[Any, float, float]] = []
    for row, (low, high) in zip(program.A, program.sides, strict=True):
        if row.any():
            rows.append((sum(a * v for a, v in zip(row, x, strict=True) if a), low, high))
        elif not low <= 0 <= high:
            rows.append((x[0], program.upper[0] + 1.0, np.inf))
    if program.square is not None:
        R, linear, low, high = program.square
        rows.append((quadratic(x, linear, R), low, high))
    for expression, low, high in rows:
        if low > -np.inf:
            model.addCons(expression >= low)
        if high < np.inf:
            model.addCons(expression <= high)
    objective = sum(c * v for c, v in zip(program.c, x, strict=True))
    if program.Q.any():
        z = model.addVar(lb=None)
        model.addCons(z == quadratic(x, np.zeros(len(x)), program.Q))
        objective = objective + z
    model.setObjective(objective, "maximize" if maximize else "minimize")
    return wrap(model, [x[k] for k in priced], sense="max" if maximize else "min")


def quadratic(x: list[Any], linear: np.ndarray, Q: np.ndarray) -> Any:
    terms = [c * v for c, v in zip(linear.tolist(), x, strict=True) if c]
    return sum([Q[i, j] * x[i] * x[j] for i, j in np.argwhere(Q)], sum(terms, 0.0 * x[0]))


def can_take(backend: str, program: Program, sign: float) -> bool:
    """Whether the engine takes such a program; `sign` is −1 where it is maximised."""
    linear_rows, objective = program.square is None, sign * program.Q
    convex_squares = (objective == np.diag(np.diag(objective))).all() and (objective >= 0).all()
    return {
        "glop": linear_rows and not objective.any() and not program.integer.any(),
        "pdlp": linear_rows and bool(convex_squares) and not program.integer.any(),
        "highs": linear_rows and not objective.any(),
        "cp_sat": linear_rows and not objective.any() and bool(program.integer.all()),
    }.get(backend, True)


def make(backend: str, program: Program, priced: np.ndarray, maximize: bool) -> Solver:
    if backend == "pyscipopt":
        return scip_solver(program, priced, maximize)
    return math_opt_solver(program, priced, maximize, backend)


def test_random_models_have_one_optimum_on_every_engine_that_takes_them() -> None:
    rng = np.random.default_rng(0)
    optimal = Counter[str]()
    for trial in range(500):
        program, maximize = Program.random(rng), bool(rng.integers(2))
        n = len(program.integer)
        priced = rng.permutation(n)[: rng.integers(1, n + 1)]
        theta = rng.normal(size=(1, len(priced))) if trial % 2 else rng.integers(-2, 3, (1, len(priced))) * 1.0
        everywhere = np.zeros(n)
        everywhere[priced] = theta[0]
        sign = -1.0 if maximize else 1.0
        best = program.best(everywhere, sign)
        for backend in (*BACKENDS, "pyscipopt"):
            if not can_take(backend, program, sign):
                with pytest.raises(ValueError, match=repr(backend)):
                    make(backend, program, priced, maximize)
                continue
            found = make(backend, program, priced, maximize).solve(theta)
            status, objective = Status(found.status[0]), sign * found.objective[0]
            optimal[backend] += status is Status.OPTIMAL
            where = f"trial {trial} on {backend}: {status.name} {objective}, best {best}"
            if best is None:
                assert status is Status.INFEASIBLE, where
            elif status is Status.OPTIMAL:
                assert abs(objective - best) < 1e-5, where
            else:
                assert status is Status.FEASIBLE, where
                assert objective > best - 1e-2, where
    assert optimal["scip"] > 400
    assert min(optimal[backend] for backend in BACKENDS if backend != "pdlp") > 30
