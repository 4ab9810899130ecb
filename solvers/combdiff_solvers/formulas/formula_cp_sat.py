"""Formulas as CP-SAT models."""

from __future__ import annotations

from fractions import Fraction

from ortools.sat.python import cp_model

from combdiff_solvers.formulas.formula import Formula
from combdiff_solvers.formulas.formula_solver import FormulaSolver
from combdiff_solvers.models.cp_sat import CpSatModel
from combdiff_solvers.protocol import Row, Sense, Status
from combdiff_solvers.rows import Answer

LARGEST = 2**62  # weights of one constraint that sum to this or more are refused: CP-SAT has integers of 64 bits


class CpSatFormula(FormulaSolver):
    """The solver of `wrap_formula` with `backend="cp_sat"`: a `CpSatModel` that takes `SatInstances`.

    Args:
        formula, literals, shape, sense, limits: see `FormulaSolver`.

    Raises:
        ValueError: as `FormulaSolver`, and for weights that CP-SAT cannot hold.

    >>> import numpy as np
    >>> either = Formula(3, hard=((1, 2), (-1, -2), (2, 3)))
    >>> solver = CpSatFormula(either, [1, 2, 3])
    >>> solver.solve(np.array([[1.0, 3.0, 1.0]]), [{"literals": np.array([2])}]).y
    array([[0., 1., 0.]])
    """

    backend = "cp_sat"

    def _prepare(self) -> None:
        model, indices = _model_of(self.formula, self.literals.tolist(), self.sense)
        self._model = CpSatModel(model.proto, indices, self.shape, self.sense, self.limits)

    def solve_row(self, theta: Row, units: list[int] | None, seconds: float | None) -> Answer:
        held = set(units or ())
        if any(-unit in held for unit in held):
            return Answer(Status.INFEASIBLE)
        return self._model.solve_row(theta, seconds, {abs(unit) - 1: int(unit > 0) for unit in held})


def reason_against(formula: Formula) -> str | None:
    """Why CP-SAT cannot hold the formula; None where it can."""
    for one in formula.at_most:
        if sum(one.weights) >= LARGEST:
            return f"the weights of a constraint of {len(one.weights)} literals sum to 2^62 or more"
    if sum((abs(one.weight) for one in formula.soft), Fraction(0)) >= Fraction(2) ** 1000:
        return "the weights of the soft clauses sum to 2^1000 or more"
    return None


def _model_of(formula: Formula, literals: list[int], sense: Sense) -> tuple[cp_model.CpModel, list[int]]:
    """The CP-SAT model, whose first variables are the formula's, and the indices of the priced ones."""
    reason = reason_against(formula)
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
    for soft in formula.soft:
        holds = model.new_bool_var("")
        model.add_bool_or([~holds, *(of(literal) for literal in soft.clause)])
        for literal in soft.clause:
            model.add_implication(of(literal), holds)
        rewards.append(float(soft.weight) * holds)
    if rewards and sense is Sense.MAX:
        model.maximize(cp_model.LinearExpr.sum(rewards))
    elif rewards:
        everything = float(sum((soft.weight for soft in formula.soft), Fraction(0)))
        model.minimize(everything - cp_model.LinearExpr.sum(rewards))
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
