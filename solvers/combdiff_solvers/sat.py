"""Propositional formulas as a Solver: exact weighted MaxSAT, with real weights and no rounding."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Shaped
from numpy import ndarray

from combdiff_solvers._at_most_encoding import clauses_of
from combdiff_solvers._exact_weights import ExactWeights
from combdiff_solvers._row_loop import Answer, PerThread, solve_rows
from combdiff_solvers.formula import Formula, holds
from combdiff_solvers.instances import ColumnInstances
from combdiff_solvers.limits import Limits
from combdiff_solvers.protocol import Described, Instances, Sense, Solutions, Status, as_rows, check_count

if TYPE_CHECKING:
    from combdiff_solvers._rc2 import Found
    from combdiff_solvers._unique_model import UniqueModel

__all__ = ["SatInstances", "SatModel"]


@dataclass(frozen=True, eq=False)
class SatInstances(ColumnInstances):
    """Literals that must be true in each row of a batch.

    Args:
        literals: (b, k) integers: a variable, or minus a variable; 0 fills up shorter rows.

    >>> SatInstances(literals=np.array([[1, -3], [2, 0]]))[1]
    {'literals': array([2, 0])}
    """

    literals: Shaped[ndarray, "b k"] | None = None


class SatModel(Described):
    """min (or max) ⟨θ, y⟩ + h over the satisfying assignments of a formula, where y are some of its literals.

    y is 1 where its literal is true, else 0. h is the price of the formula's soft clauses: for "min" the weights of
    those that are false, for "max" the weights of those that hold. Users make it by `combdiff.wrap(formula,
    variables)`.

    Each row is a weighted MaxSAT problem: a coefficient that is negative (for "min") rewards its literal, one that is
    positive rewards the opposite literal, and zero adds no clause. It is solved by RC2 (core-guided, stratified;
    plain RC2 did not end within 3 s on rows that this takes 2 ms for). Doubles are dyadic rationals, and RC2 adds
    Python's integers, so the weights are exact: *no rounding* at all, whatever the spread of θ, and an OPTIMAL row is
    the optimum.

    Every row starts a new search, whose phases are set from θ, so the answer depends on that row alone, ties included.
    Rows with `instances` first ask a warm oracle whether the formula has only one model left: that one needs no search.

    A row without a model is INFEASIBLE. A limit leaves the best model so far (FEASIBLE, and the message says how much
    better another could be) or none (LIMIT); the clock is looked at about ten times a second.

    Args:
        formula: the formula.
        literals: what θ prices, one literal for each entry.
        shape: of one θ and one y; (number of literals,) if None.
        sense: "min" or "max".
        limits: of time and gaps.

    Raises:
        ValueError: for a literal that is not of the formula, or a shape of another size.

    >>> either = Formula(3, hard=((1, 2), (-1, -2), (2, 3)))
    >>> SatModel(either, [1, 2, 3]).solve(np.array([[1.0, 3.0, 1.0], [1.0, 2.0, 3.0], [-1.0, 2.0, -3.0]])).y
    array([[1., 0., 1.],
           [0., 1., 0.],
           [1., 0., 1.]])
    """

    def __init__(
        self,
        formula: Formula,
        literals: Sequence[int] | ndarray,
        shape: tuple[int, ...] | None = None,
        sense: Sense | str = Sense.MIN,
        limits: Limits | None = None,
    ) -> None:
        self._literals = np.array(literals, dtype=np.int64).reshape(-1)
        self.shape = (len(self._literals),) if shape is None else tuple(shape)
        if math.prod(self.shape) != len(self._literals) or not len(self._literals):
            raise ValueError(f"shape={self.shape} is not that of {len(self._literals)} priced literals")
        for literal in self._literals:
            if not 1 <= abs(literal) <= formula.variables:
                raise ValueError(f"theta prices literal {literal}, but the variables are 1..{formula.variables}")
        _check_installed()
        self.formula = formula
        self.sense = Sense(sense)
        self.limits = limits or Limits()
        self._prepare()
        self._warm: PerThread[UniqueModel] = PerThread(self._oracle)

    def _prepare(self) -> None:
        """The formula as RC2 wants it: clauses, native cardinality constraints, a literal for each soft clause."""
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
        self._hard, self._native, self._variables = hard, native, free - 1
        self._weights = ExactWeights(self._literals, rewards)

    def _oracle(self) -> UniqueModel:
        from combdiff_solvers._unique_model import UniqueModel

        return UniqueModel(self._hard, self._native, self._variables, self.formula.variables)

    def __getstate__(self) -> dict[str, Any]:
        kept = ("formula", "_literals", "shape", "sense", "limits")
        return {name: vars(self)[name] for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["formula"], state["_literals"], state["shape"], state["sense"], state["limits"])

    def solve(self, theta: Float64[ndarray, "b n"], instances: Instances | None = None) -> Solutions:
        """Solve every row of θ, (b, n).

        Args:
            theta: a price for each literal.
            instances: literals that must be true in each row: `SatInstances`, or a sequence of mappings with its field
                as the key.
        """
        theta = as_rows(theta, self.shape)
        given: SatInstances | None = None
        if instances is not None:
            check_count(instances, len(theta))
            given = SatInstances.of(instances) if len(theta) else None
        bad: dict[int, str] = {}
        forced: ndarray | None = None
        if given is not None and given.literals is not None:
            forced = given.whole("literals", given.literals.shape[1:], bad)

        def solve_row(row: int, seconds: float | None) -> Answer:
            deadline = None if seconds is None else time.monotonic() + seconds
            if row in bad:
                return Answer(Status.ERROR, message=bad[row])
            return self._solve_row(theta[row], None if forced is None else forced[row], deadline)

        return solve_rows(theta, self.limits.start(), solve_row)

    def _solve_row(self, theta: Float64[ndarray, " n"], literals: ndarray | None, deadline: float | None) -> Answer:
        from combdiff_solvers._rc2 import Found, minimise

        units: list[int] = []
        if literals is not None:
            units = [int(literal) for literal in literals if literal]
            for unit in units:
                if abs(unit) > self.formula.variables:
                    raise ValueError(f"literal {unit} must hold, but the variables are 1..{self.formula.variables}")
            only = self._warm.get().find(units)
            if only is not None:
                return self._answer(theta, Found(Status.OPTIMAL, only) if only else Found(Status.INFEASIBLE), 0.0)
        costs, unit_exponent, divisor = self._weights.of(self.sense.sign * theta)

        def real(cost: int) -> float:
            return float(Fraction(cost, divisor) * Fraction(2) ** unit_exponent)

        base = sum(min(cost, 0) for cost in costs.values())

        def close(lower: int, upper: int) -> bool:
            gap = real(upper - lower)
            return gap <= self.limits.absolute_gap or gap <= self.limits.relative_gap * abs(real(upper + base))

        hard = [*self._hard, *((unit,) for unit in units)]
        found = minimise(hard, self._native, self._variables, costs, deadline, None if self.limits.exact else close)
        return self._answer(theta, found, real(found.upper - found.lower))

    def _answer(self, theta: Float64[ndarray, " n"], found: Found, gap: float) -> Answer:
        if not found.status.has_solution:
            return Answer(found.status)
        truth = np.zeros(self.formula.variables, dtype=bool)
        truth[[variable - 1 for variable in found.true if variable <= self.formula.variables]] = True
        y = (truth[np.abs(self._literals) - 1] == (self._literals > 0)).astype(np.float64)
        objective = float(theta @ y) + self._own(truth)
        message = None
        if found.status is Status.FEASIBLE:
            message = f"another solution could be better by {gap:.3g} at most: that much is not proven"
        return Answer(found.status, y, objective, message)

    def _own(self, truth: ndarray) -> float:
        """h, of the formula's own soft clauses."""
        paid = self.sense is Sense.MAX
        weights = [one.weight for one in self.formula.soft if bool(holds(one.clause, truth[None])[0]) == paid]
        return float(sum(weights, Fraction(0)))


def _check_installed() -> None:
    try:
        import pysat.solvers  # noqa: F401
    except ImportError as error:
        raise ImportError(f"solving formulas needs PySAT: pip install 'combdiff[sat]' ({error})") from error
