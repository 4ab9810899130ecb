"""No assignment is better than a row's bound, whatever limit ended the row: enumeration in exact arithmetic."""

from __future__ import annotations

import itertools
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy import ndarray

import combdiff
from combdiff_solvers.formulas.formula import AtMost, Formula, Soft, holds
from combdiff_solvers.formulas.formula_solver import SatInstances
from combdiff_solvers.protocol import Status

pytest.importorskip("pysat", reason="python-sat is not installed")

N = 9
POINTS = np.array(list(itertools.product((0.0, 1.0), repeat=N)))
ORDER = [3, 9, 1, 2, 8, 5]  # the variables that θ prices
SCALES = 10.0 ** np.arange(-9, 10, 3)


def random_formula(rng: np.random.Generator) -> Formula:
    def clause(least: int, most: int) -> tuple[int, ...]:
        picked = rng.choice(N, int(rng.integers(least, most + 1)), replace=False) + 1
        return tuple((picked * rng.choice([-1, 1], len(picked))).tolist())

    weights = [Fraction(int(rng.integers(-9, 10)), 7) * Fraction(10) ** int(rng.integers(-2, 9)) for _ in range(6)]
    wide = tuple((np.arange(1, N + 1) * rng.choice([-1, 1], N)).tolist())
    return Formula(
        N,
        tuple(clause(2, 3) for _ in range(int(rng.integers(4, 16)))),
        (AtMost(wide, 6, (1,) * N),) if rng.random() < 0.5 else (),
        tuple(Soft(clause(1, 3), weight) for weight in weights if weight),
    )


def best(formula: Formula, theta: ndarray, sense: str, literal: int) -> Fraction | None:
    """The optimum of the assignments in which the literal holds; None without any."""
    points = POINTS[formula.satisfied(POINTS) & holds((literal,), POINTS > 0.5)]
    paid = [holds(soft.clause, points > 0.5) == (sense == "max") for soft in formula.soft]
    prices = [Fraction(price) for price in theta.tolist()]
    values = [
        sum((price for price, bit in zip(prices, point[np.array(ORDER) - 1], strict=True) if bit), Fraction(0))
        + sum((soft.weight for soft, pays in zip(formula.soft, paid, strict=True) if pays[place]), Fraction(0))
        for place, point in enumerate(points)
    ]
    return (min if sense == "min" else max)(values, default=None)


class CountedClock(SimpleNamespace):
    """A clock that advances by a second whenever somebody looks at it."""

    now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


@pytest.mark.parametrize("sense", ["min", "max"])
@pytest.mark.parametrize("limit", ["time", "relative_gap", "absolute_gap"])
@pytest.mark.parametrize("backend", ["rc2", "cp_sat", "auto"])
def test_bounds_hold_under_random_limits(backend: Any, limit: str, sense: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least half of the rows are cut short; the bound of an optimum is tight."""
    if backend != "rc2":
        pytest.importorskip("ortools", reason="OR-Tools is not installed")
    monkeypatch.setattr("combdiff_solvers.formulas.formula_auto.MOST_PRICES", 6)
    rng, sign = np.random.default_rng([len(backend), len(limit), len(sense)]), 1.0 if sense == "min" else -1.0
    statuses, finite = [], 0
    for _ in range(25):
        formula, scale = random_formula(rng), float(rng.choice(SCALES))
        theta = rng.normal(size=(2, len(ORDER))) * scale
        theta[0] = np.rint(theta[0])
        options = {
            "time": {"time_limit": float(rng.integers(3, 9))},
            "relative_gap": {"relative_gap": float(rng.uniform(0.5, 5.0))},
            "absolute_gap": {"absolute_gap": float(rng.uniform(0.2, 2.0)) * (scale + 1e6)},
        }[limit]
        if limit == "time":
            clock = CountedClock()
            for module in ("sat", "rc2"):
                monkeypatch.setattr(f"combdiff_solvers.formulas.{module}.time", clock)
        solver = combdiff.wrap(formula, ORDER, sense=sense, backend=backend, **options)
        cp_sat: Any = getattr(solver, "_other", solver)
        if hasattr(cp_sat, "_model"):  # the first solution ends a search: no clock ends one on so small a formula
            own = {"cp_model_presolve": False, "linearization_level": 0, "stop_after_first_solution": True}
            cp_sat._model.parameters.update(own)
        literals = rng.integers(1, N + 1, (2, 1)) * rng.choice([-1, 1], (2, 1))
        found = solver.solve(theta, SatInstances(literals=literals))
        size = np.abs(theta).sum(axis=1) + float(sum(abs(soft.weight) for soft in formula.soft))
        for row in range(2):
            optimum = best(formula, theta[row], sense, int(literals[row, 0]))
            status, bound = found.status[row], found.bound[row]
            statuses.append(status)
            if optimum is None:
                assert status in (Status.INFEASIBLE, Status.LIMIT)
                continue
            assert not np.isnan(bound)
            if not np.isfinite(bound):
                assert bound == -sign * np.inf
                assert status == Status.LIMIT
                continue
            finite += 1
            assert sign * (Fraction(float(bound)) - optimum) <= 0, (row, status, bound, float(optimum))
            assert sign * (found.objective[row] - float(optimum)) >= -1e-13 * size[row]
            if status == Status.OPTIMAL:
                assert abs(bound - float(optimum)) <= 1e-9 * size[row]
    cut = np.isin(statuses, (Status.FEASIBLE, Status.LIMIT))
    assert finite >= 10
    assert cut.mean() >= 0.5
