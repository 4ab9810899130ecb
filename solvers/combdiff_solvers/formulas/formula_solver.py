"""The base of solvers of formulas: what θ prices, what must hold in a row, what h is worth, what is proven."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped
from numpy import ndarray

from combdiff_solvers.compute.sums import rounding
from combdiff_solvers.formulas.formula import Formula, holds
from combdiff_solvers.instances import ColumnInstances
from combdiff_solvers.limits import Limits
from combdiff_solvers.protocol import BatchSolver, PerRow, Row, Rows, Sense, Sets, Solutions
from combdiff_solvers.rows import WHOLE, Answer, h_of, solve_rows, value_rows


@dataclass(frozen=True, eq=False)
class SatInstances(ColumnInstances):
    """Literals that must be true in each row of a batch.

    Args:
        literals: (b, k) integers: a variable, or minus a variable; 0 fills up shorter rows.

    >>> SatInstances(literals=np.array([[1, -3], [2, 0]]))[1]
    {'literals': array([2, 0])}
    """

    literals: Shaped[ndarray, "b k"] | None = None


class FormulaSolver(BatchSolver):
    """min (or max) ⟨θ, y⟩ + h over the satisfying assignments of a formula, where y are some of its literals.

    y is 1 where its literal is true, else 0. h is the price of the formula's soft clauses: for "min" the weights of
    those that are false, for "max" the weights of those that hold.

    Args:
        formula: the formula.
        literals: what θ prices, one literal for each entry.
        shape: of one θ and one y; (number of literals,) if None.
        sense: "min" or "max".
        limits: of time and gaps.

    Raises:
        ValueError: for a literal that is not of the formula, or a shape of another size.
    """

    backend: str
    takes_instances = True

    def __init__(
        self,
        formula: Formula,
        literals: Sequence[int] | ndarray,
        shape: tuple[int, ...] | None = None,
        sense: Sense | str = Sense.MIN,
        limits: Limits | None = None,
    ) -> None:
        self.literals = np.array(literals, dtype=np.int64).reshape(-1)
        self.shape = (len(self.literals),) if shape is None else tuple(shape)
        if math.prod(self.shape) != len(self.literals) or not len(self.literals):
            raise ValueError(f"shape={self.shape} is not that of {len(self.literals)} priced literals")
        for literal in self.literals:
            if not 1 <= abs(literal) <= formula.variables:
                raise ValueError(f"theta prices literal {literal}, but the variables are 1..{formula.variables}")
        self.formula, self.sense, self.limits = formula, Sense(sense), limits or Limits()
        self._prepare()

    @abstractmethod
    def _prepare(self) -> None:
        """Make the model of the back end."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, sense={self.sense.value!r}, backend={self.backend!r})"

    @abstractmethod
    def solve_row(self, theta: Row, units: list[int] | None, seconds: float | None) -> Answer:
        """Solve one row, in which the literals `units` hold; its bound holds but for the rounding of float64."""

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        units = self._units(instances, len(theta))

        def solve_row(row: int, seconds: float | None) -> Answer:
            return self.solve_row(theta[row], units(row), seconds)

        found, sign = solve_rows(theta, self.limits.start(), solve_row, self.sense), self.sense.sign
        weights = sum((abs(one.weight) for one in self.formula.soft), Fraction(0))
        with np.errstate(over="ignore", invalid="ignore"):
            lost = 2.0 * rounding(theta) + (float(weights) if weights < 2**1000 else math.inf) * 2.0**-49
            bound = np.where(np.isfinite(found.objective), found.bound, -sign * np.inf) - sign * lost
        return replace(found, bound=bound)

    def value_checked(self, y: Rows, theta: Rows, instances: Sets) -> PerRow:
        """⟨θ, y⟩ + h(y) of every row, h from the soft clauses; shape (b,).

        Where soft clauses hold variables without a price, h is that of the best completion: the formula is solved with
        y fixed, to the proof, for at most `time_limit` seconds a row. NaN where y has no such completion (or none was
        proven the best in that time), and where h needs a y of 0 and 1 and has another.

        >>> from combdiff_solvers.formulas.formula import Soft
        >>> from combdiff_solvers.formulas.sat import SatModel
        >>> formula = Formula(2, hard=((1, 2),), soft=(Soft((-2,), Fraction(3)),))
        >>> SatModel(formula, [1]).value(np.array([[0.0], [1.0]]), np.array([[0.5], [0.5]]))
        array([3. , 0.5])
        """
        units, soft, exact = self._units(instances, len(theta)), self.formula.soft, self
        known = {abs(literal) for one in soft for literal in one.clause} <= set(np.abs(self.literals).tolist())
        if not (known or self.limits.exact):
            limits = replace(self.limits, relative_gap=0.0, absolute_gap=0.0)
            exact = type(self)(self.formula, self.literals, self.shape, self.sense, limits)

        def h(row: int) -> float:
            if not soft:
                return 0.0
            held = np.where(y[row] > 0.5, self.literals, -self.literals)
            if (np.minimum(np.abs(y[row]), np.abs(y[row] - 1)) > WHOLE).any() or np.isin(held, -held).any():
                return float("nan")
            if known:
                return self.soft_price(self.truth(literal for literal in held.tolist() if literal > 0))
            given = [*held.tolist(), *(units(row) or ())]
            return h_of(exact.solve_row(np.zeros(len(held)), given, self.limits.time_limit), self.sense)

        return value_rows(theta, y, h)

    def truth(self, true: Any) -> Bool[ndarray, " v"]:
        """The assignment with these true variables; what is not of the formula is left out."""
        truth = np.zeros(self.formula.variables, dtype=bool)
        truth[[variable - 1 for variable in true if variable <= self.formula.variables]] = True
        return truth

    def soft_price(self, truth: Bool[ndarray, " v"]) -> float:
        """h of an assignment."""
        paid = self.sense is Sense.MAX
        weights = (one.weight for one in self.formula.soft if bool(holds(one.clause, truth[None])[0]) == paid)
        return float(sum(weights, Fraction(0)))

    def _units(self, instances: Sets, rows: int) -> Callable[[int], list[int] | None]:
        """For each row, the literals that must hold in it; None without instances.

        The function raises ValueError for a row with a literal that is not of the formula.
        """
        if instances is None or not rows:
            return lambda row: None
        given, bad = SatInstances.of(instances), dict[int, str]()
        assert given.literals is not None
        literals = given.whole("literals", given.literals.shape[1:], bad)
        assert literals is not None

        def units(row: int) -> list[int]:
            if row in bad:
                raise ValueError(bad[row])
            held = [literal for literal in literals[row].tolist() if literal]
            for literal in held:
                if abs(literal) > self.formula.variables:
                    raise ValueError(f"literal {literal} must hold, but the variables are 1..{self.formula.variables}")
            return held

        return units
