"""Propositional formulas as a Solver: exact weighted MaxSAT, with real weights and no rounding."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int64, Shaped
from numpy import ndarray

from combdiff_solvers.formulas.at_most_encoding import clauses_of
from combdiff_solvers.formulas.exact_weights import ExactWeights
from combdiff_solvers.formulas.formula import Formula, holds
from combdiff_solvers.instances import ColumnInstances
from combdiff_solvers.limits import Limits
from combdiff_solvers.protocol import BatchSolver, Instances, Sense, Solutions, Status, check_count
from combdiff_solvers.rows import WHOLE, Answer, PerThread, h_of, solve_rows, value_rows

if TYPE_CHECKING:
    from combdiff_solvers.formulas.rc2 import Found
    from combdiff_solvers.formulas.unique_model import UniqueModel

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

    @classmethod
    def units(cls, instances: Instances | None, rows: int, variables: int) -> Callable[[int], list[int]] | None:
        """For each row, the literals that must hold in it; None without instances.

        The function raises ValueError for a row with a literal that is not of the formula.
        """
        if instances is None:
            return None
        check_count(instances, rows)
        given, bad = cls.of(instances) if rows else cls(), dict[int, str]()
        literals = None if given.literals is None else given.whole("literals", given.literals.shape[1:], bad)

        def of_row(row: int) -> list[int]:
            if row in bad:
                raise ValueError(bad[row])
            units = [] if literals is None else [int(literal) for literal in literals[row] if literal]
            for unit in units:
                if abs(unit) > variables:
                    raise ValueError(f"literal {unit} must hold, but the variables are 1..{variables}")
            return units

        return of_row


class SatModel(BatchSolver):
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

    The search can take long where θ holds many different prices and the formula leaves much open, above all with
    cardinality constraints: see `backend` of `wrap_formula`. A row without a model is INFEASIBLE. A limit leaves the
    best model so far (FEASIBLE, and the message says how much better another could be) or none (LIMIT); the clock is
    looked at about ten times a second.

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

    backend = "rc2"

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
        oracle = (self._hard, self._native, self._variables, formula.variables)
        self._warm: PerThread[UniqueModel] = PerThread(partial(_unique_model, *oracle))  # no self: that is a cycle

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

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, sense={self.sense.value!r}, backend={self.backend!r})"

    def __getstate__(self) -> dict[str, Any]:
        kept = ("formula", "_literals", "shape", "sense", "limits")
        return {name: vars(self)[name] for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["formula"], state["_literals"], state["shape"], state["sense"], state["limits"])

    takes_instances = True

    def solve_checked(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> Solutions:
        units = SatInstances.units(instances, len(theta), self.formula.variables)

        def solve_row(row: int, seconds: float | None) -> Answer:
            return self._solve_row(theta[row], None if units is None else units(row), seconds, self.limits)

        return solve_rows(theta, self.limits.start(), solve_row, self.sense)

    def value_checked(
        self, y: Float64[ndarray, "b n"], theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None
    ) -> Float64[ndarray, " b"]:
        """⟨θ, y⟩ + h(y) of every row, h from the soft clauses; shape (b,).

        Where soft clauses hold variables without a price, h is that of the best completion: the formula is solved with
        y fixed, to the proof, for at most `time_limit` seconds a row. NaN where y has no such completion (or none was
        proven the best in that time), and where h needs a y of 0 and 1 and has another.

        >>> from combdiff_solvers.formulas.formula import Soft
        >>> formula = Formula(2, hard=((1, 2),), soft=(Soft((-2,), Fraction(3)),))
        >>> SatModel(formula, [1]).value(np.array([[0.0], [1.0]]), np.array([[0.5], [0.5]]))
        array([3. , 0.5])
        """
        units = SatInstances.units(instances, len(theta), self.formula.variables)
        known = own_price(self.formula, self._literals, self.sense)
        exact = replace(self.limits, relative_gap=0.0, absolute_gap=0.0)

        def h(row: int) -> float:
            fixed = held_by(self._literals, y[row])
            if fixed is None:
                return float("nan")
            more = [] if units is None else units(row)
            return h_of(self._solve_row(np.zeros(len(y[row])), [*fixed, *more], exact.time_limit, exact), self.sense)

        return value_rows(theta, y, (lambda row: known(y[row])) if known is not None else h)

    def _solve_row(
        self, theta: Float64[ndarray, " n"], units: list[int] | None, seconds: float | None, limits: Limits
    ) -> Answer:
        from combdiff_solvers.formulas.rc2 import Found

        if units is not None:
            only = self._warm.get().find(units)
            if only is not None:
                return self._answer(theta, Found(Status.OPTIMAL, only) if only else Found(Status.INFEASIBLE), 0.0)
        return self._search(theta, units or [], seconds, limits)

    def _search(self, theta: Float64[ndarray, " n"], units: list[int], seconds: float | None, limits: Limits) -> Answer:
        """Find the best of the models in which the units hold."""
        from combdiff_solvers.formulas.rc2 import minimise

        deadline = None if seconds is None else time.monotonic() + seconds
        costs, unit_exponent, divisor = self._weights.of(self.sense.sign * theta)

        def real(cost: int) -> float:
            return float(Fraction(cost, divisor) * Fraction(2) ** unit_exponent)

        base = sum(min(cost, 0) for cost in costs.values())

        def close(lower: int, upper: int) -> bool:
            gap = real(upper - lower)
            return gap <= limits.absolute_gap or gap <= limits.relative_gap * abs(real(upper + base))

        hard = [*self._hard, *((unit,) for unit in units)]
        found = minimise(hard, self._native, self._variables, costs, deadline, None if limits.exact else close)
        return self._answer(theta, found, real(found.upper - found.lower))

    def _answer(self, theta: Float64[ndarray, " n"], found: Found, gap: float) -> Answer:
        if not found.status.has_solution:
            return Answer(found.status)
        truth = np.zeros(self.formula.variables, dtype=bool)
        truth[[variable - 1 for variable in found.true if variable <= self.formula.variables]] = True
        y = (truth[np.abs(self._literals) - 1] == (self._literals > 0)).astype(np.float64)
        objective = float(theta @ y) + soft_price(self.formula, truth, self.sense)
        message = None
        if found.status is Status.FEASIBLE:
            message = f"another solution could be better by {gap:.3g} at most: that much is not proven"
        return Answer(found.status, y, objective, message)


def soft_price(formula: Formula, truth: ndarray, sense: Sense) -> float:
    """h of an assignment, (variables,) booleans: the weights of the soft clauses that are false (min) or hold (max)."""
    paid = sense is Sense.MAX
    weights = [one.weight for one in formula.soft if bool(holds(one.clause, truth[None])[0]) == paid]
    return float(sum(weights, Fraction(0)))


def held_by(literals: Int64[ndarray, " n"], y: Float64[ndarray, " n"]) -> list[int] | None:
    """The literals that hold at y; None where an entry is neither 0 nor 1, or two of them contradict each other."""
    if (np.minimum(np.abs(y), np.abs(y - 1)) > WHOLE).any():
        return None
    held = np.where(y > 0.5, literals, -literals)
    return None if np.isin(held, -held).any() else held.tolist()


def own_price(
    formula: Formula, literals: Int64[ndarray, " n"], sense: Sense
) -> Callable[[Float64[ndarray, " n"]], float] | None:
    """h as a function of y, where the priced literals determine all soft clauses; else None."""
    if not formula.soft:
        return lambda y: 0.0
    if not {abs(literal) for one in formula.soft for literal in one.clause} <= set(np.abs(literals).tolist()):
        return None

    def h(y: Float64[ndarray, " n"]) -> float:
        held = held_by(literals, y)
        if held is None:
            return float("nan")
        truth = np.zeros(formula.variables, dtype=bool)
        truth[[literal - 1 for literal in held if literal > 0]] = True
        return soft_price(formula, truth, sense)

    return h


def _unique_model(*description: Any) -> UniqueModel:
    from combdiff_solvers.formulas.unique_model import UniqueModel

    return UniqueModel(*description)


def _check_installed() -> None:
    try:
        import pysat.solvers  # noqa: F401
    except ImportError as error:
        raise ImportError(f"solving formulas needs PySAT: pip install 'combdiff[sat]' ({error})") from error
