"""Propositional formulas as a Solver: exact weighted MaxSAT, with real weights and no rounding."""

from __future__ import annotations

import time
from collections.abc import Iterable
from fractions import Fraction
from functools import partial

import numpy as np

from combdiff_solvers.formulas.at_most_encoding import clauses_of
from combdiff_solvers.formulas.exact_weights import ExactWeights
from combdiff_solvers.formulas.formula_solver import FormulaSolver
from combdiff_solvers.formulas.rc2 import minimise
from combdiff_solvers.formulas.unique_model import UniqueModel
from combdiff_solvers.protocol import Row, Status
from combdiff_solvers.rows import Answer, PerThread


class SatModel(FormulaSolver):
    """A `FormulaSolver` by RC2. Users make it by `combdiff.wrap(formula, variables)`.

    Each row is a weighted MaxSAT problem: a coefficient that is negative (for "min") rewards its literal, one that is
    positive rewards the opposite literal, and zero adds no clause. It is solved by RC2 (core-guided, stratified;
    plain RC2 did not end within 3 s on rows that this takes 2 ms for). Doubles are dyadic rationals, and RC2 adds
    Python's integers, so the weights are exact: *no rounding* at all, whatever the spread of θ, and an OPTIMAL row is
    the optimum.

    Every row starts a new search, whose phases are set from θ, so the answer depends on that row alone, ties included.
    Rows with `instances` first ask a warm oracle whether the formula has only one model left: that one needs no search.

    The search can take long where θ holds many different prices and the formula leaves much open, above all with
    cardinality constraints: see `backend` of `wrap_formula`. A row without a model is INFEASIBLE. A limit leaves the
    best model so far (FEASIBLE, with the bound of the cores that were found) or none (LIMIT); the clock is looked at
    about ten times a second.

    Args:
        formula, literals, shape, sense, limits: see `FormulaSolver`.

    Raises:
        ValueError: as `FormulaSolver`, and for a pseudo-Boolean constraint that is too large to become clauses.

    >>> from combdiff_solvers.formulas.formula import Formula
    >>> either = Formula(3, hard=((1, 2), (-1, -2), (2, 3)))
    >>> SatModel(either, [1, 2, 3]).solve(np.array([[1.0, 3.0, 1.0], [1.0, 2.0, 3.0], [-1.0, 2.0, -3.0]])).y
    array([[1., 0., 1.],
           [0., 1., 0.],
           [1., 0., 1.]])
    """

    backend = "rc2"

    def _prepare(self) -> None:
        formula = self.formula
        hard = list(formula.hard)
        native: list[tuple[list[int], int]] = []
        free = formula.variables + 1
        for one in formula.at_most:
            if one.is_cardinality and 0 <= one.bound < len(one.literals):
                native.append((list(one.literals), one.bound))
            else:
                more, free = clauses_of(one, free)
                hard += more
        rewards: list[tuple[int, Fraction]] = []
        for clause, weight in formula.soft:
            literal = clause[0] if len(clause) == 1 else free
            if len(clause) != 1:
                hard.append((*clause, -free))
                if weight < 0:
                    hard += [(free, -one) for one in clause]
                free += 1
            rewards.append((literal, weight) if weight > 0 else (-literal, -weight))
        self._clauses, self._native, self._variables = hard, native, free - 1
        self._weights = ExactWeights(self.literals, rewards)
        build = partial(UniqueModel, hard, native, self._variables, formula.variables)  # no self: that is a cycle
        self._warm: PerThread[UniqueModel] = PerThread(build)

    def solve_row(self, theta: Row, units: list[int] | None, seconds: float | None) -> Answer:
        only = None if units is None else self._warm.get().find(units)
        if only is None:
            return self.search(theta, units or [], seconds)
        return self._answer(theta, only) if only else Answer(Status.INFEASIBLE)

    def search(self, theta: Row, units: list[int], seconds: float | None) -> Answer:
        """Find the best of the models in which the units hold."""
        deadline = None if seconds is None else time.monotonic() + seconds
        costs, exponent, divisor = self._weights.of(self.sense.sign * theta)
        unit = Fraction(2) ** exponent / divisor
        base = sum(min(cost, 0) for cost in costs.values())

        def close(lower: int, upper: int) -> bool:
            gap = float((upper - lower) * unit)
            return gap <= max(self.limits.absolute_gap, self.limits.relative_gap * abs(float((upper + base) * unit)))

        hard = [*self._clauses, *((unit,) for unit in units)]
        exact = self.limits.exact
        found = minimise(hard, self._native, self._variables, costs, deadline, None if exact else close)
        if not found.status.has_solution:
            return Answer(found.status)
        return self._answer(theta, found.true, found.status, float((found.upper - found.lower) * unit))

    def _answer(self, theta: Row, true: Iterable[int], status: Status = Status.OPTIMAL, gap: float = 0.0) -> Answer:
        """The answer of a model that no other one beats by more than the gap."""
        truth = self.truth(true)
        y = (truth[np.abs(self.literals) - 1] == (self.literals > 0)).astype(np.float64)
        objective = float(theta @ y) + self.soft_price(truth)
        message = f"another solution could be better by {gap:.3g} at most: that much is not proven"
        bound = objective - self.sense.sign * gap
        return Answer(status, y, objective, message if status is Status.FEASIBLE else None, bound)
