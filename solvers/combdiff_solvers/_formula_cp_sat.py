"""Formulas as CP-SAT models: a second opinion on the first back end."""

from __future__ import annotations

from collections.abc import Sequence

from ortools.sat.python import cp_model

from combdiff_solvers.cp_sat import CpSatModel
from combdiff_solvers.formula import Formula
from combdiff_solvers.limits import Limits
from combdiff_solvers.protocol import Sense


def formula_on_cp_sat(
    formula: Formula, literals: Sequence[int], shape: tuple[int, ...], sense: Sense, limits: Limits
) -> CpSatModel:
    """The solver of `wrap_formula` with `backend="cp_sat"`."""
    model = cp_model.CpModel()
    variables = [model.new_bool_var(f"x{i}") for i in range(1, formula.variables + 1)]

    def of(literal: int) -> cp_model.LiteralT:
        variable = variables[abs(literal) - 1]
        return variable if literal > 0 else ~variable

    for clause in formula.hard:
        model.add_bool_or([of(literal) for literal in clause])
    for one in formula.at_most:
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
    return CpSatModel(model.proto, indices, shape, sense, limits)
