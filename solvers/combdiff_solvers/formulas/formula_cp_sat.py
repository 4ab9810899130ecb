"""Formulas as CP-SAT models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from ortools.sat.python import cp_model

from combdiff_solvers.formulas.formula import Formula
from combdiff_solvers.formulas.sat import SatInstances, own_price
from combdiff_solvers.limits import Limits
from combdiff_solvers.models.cp_sat import CpSatModel
from combdiff_solvers.protocol import Sense
from combdiff_solvers.rows import Answer, value_rows

LARGEST = 2**62
"""weights of one constraint that sum to this or more are refused: CP-SAT has integers of 64 bits"""


class CpSatFormula(CpSatModel):
    """The solver of `wrap_formula` with `backend="cp_sat"`: a `CpSatModel` that takes `SatInstances`.

    Args:
        formula, literals, shape, sense, limits: as for `SatModel`.

    Raises:
        ValueError: for weights that CP-SAT cannot hold.

    >>> either = Formula(3, hard=((1, 2), (-1, -2), (2, 3)))
    >>> solver = CpSatFormula(either, [1, 2, 3], (3,), Sense.MIN, Limits())
    >>> solver.solve(np.array([[1.0, 3.0, 1.0]]), SatInstances(literals=np.array([[2]]))).y
    array([[0., 1., 0.]])
    """

    backend = "cp_sat"

    def __init__(
        self,
        formula: Formula,
        literals: Sequence[int] | ndarray,
        shape: tuple[int, ...],
        sense: Sense,
        limits: Limits,
    ) -> None:
        self.formula = formula
        self._literals = np.array(literals, dtype=np.int64).reshape(-1)
        model, indices = _model_of(formula, self._literals.tolist(), sense)
        super().__init__(model.proto, indices, shape, sense, limits)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, sense={self.sense.value!r}, backend={self.backend!r})"

    takes_instances = True

    def _fixed(self, instances: Sequence[Any] | None, rows: int) -> Callable[[int], Mapping[int, int] | None]:
        units = SatInstances.units(instances, rows, self.formula.variables)
        return lambda row: {} if units is None else _fixed(units(row))

    def solve_row(self, theta: Float64[ndarray, " n"], units: list[int], seconds: float | None) -> Answer:
        """Solve one row in which the units hold."""
        return self._solve_one(theta, _fixed(units), seconds)

    def value_checked(
        self, y: Float64[ndarray, "b n"], theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None
    ) -> Float64[ndarray, " b"]:
        known = own_price(self.formula, self._literals, self.sense)
        if known is None:
            return super().value_checked(y, theta, instances)
        self._fixed(instances, len(theta))  # refuses what are no instances
        return value_rows(theta, y, lambda row: known(y[row]))


def _fixed(units: list[int]) -> Mapping[int, int] | None:
    """The variables of the CP-SAT model that the units fix, and at what; None where they contradict each other."""
    fixed = {abs(unit) - 1: int(unit > 0) for unit in units}
    return fixed if all(fixed[abs(unit) - 1] == int(unit > 0) for unit in units) else None


def fits(formula: Formula) -> str | None:
    """Why CP-SAT cannot hold the formula; None where it can."""
    for one in formula.at_most:
        if sum(one.weights) >= LARGEST:
            return f"the weights of a constraint of {len(one.weights)} literals sum to 2^62 or more"
    if sum((abs(one.weight) for one in formula.soft), Fraction(0)) >= Fraction(2) ** 1000:
        return "the weights of the soft clauses sum to 2^1000 or more"
    return None


def _model_of(formula: Formula, literals: list[int], sense: Sense) -> tuple[cp_model.CpModel, list[int]]:
    """The CP-SAT model, whose first variables are the formula's, and the indices of the priced ones."""
    reason = fits(formula)
    if reason is not None:
        raise ValueError(f"{reason}, which is too much for CP-SAT: use backend='rc2'")
    model = cp_model.CpModel()
    variables = [model.new_bool_var(f"x{i}") for i in range(1, formula.variables + 1)]

    def of(literal: int) -> cp_model.LiteralT:
        variable = variables[abs(literal) - 1]
        return variable if literal > 0 else ~variable

    for clause in formula.hard:
        model.add_bool_or([of(literal) for literal in clause])
    for one in formula.at_most:
        if one.bound < 0:
            model.add_bool_or([])
        elif one.bound < sum(one.weights):
            terms = [weight * of(literal) for weight, literal in zip(one.weights, one.literals, strict=True)]
            model.add(cp_model.LinearExpr.sum(terms) <= one.bound)
    rewards: list[cp_model.LinearExprT] = []
    total = 0.0
    for soft in formula.soft:
        holds = model.new_bool_var("")
        model.add_bool_or([~holds, *(of(literal) for literal in soft.clause)])
        for literal in soft.clause:
            model.add_implication(of(literal), holds)
        rewards.append(float(soft.weight) * holds)
        total += float(soft.weight)
    if rewards:
        if sense is Sense.MAX:
            model.maximize(cp_model.LinearExpr.sum(rewards))
        else:
            model.minimize(total - cp_model.LinearExpr.sum(rewards))
    taken: set[int] = set()
    indices = []
    for literal in literals:
        variable = variables[abs(literal) - 1]
        if literal < 0 or literal in taken:
            variable = model.new_bool_var("")
            model.add(variable == of(literal))
        taken.add(literal)
        indices.append(variable.index)
    return model, indices
