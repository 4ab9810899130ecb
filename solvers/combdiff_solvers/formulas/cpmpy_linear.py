"""CPMpy models as `LinearModel`s, by CPMpy's own rewriting for integer programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from cpmpy import Model
from cpmpy.expressions.core import BoolVal, Comparison
from cpmpy.expressions.globalfunctions import FloatSum
from cpmpy.expressions.utils import is_num
from cpmpy.expressions.variables import _NumVarImpl
from cpmpy.transformations.comparison import only_numexpr_equality
from cpmpy.transformations.cse import CSEMap
from cpmpy.transformations.flatten_model import flatten_constraint, flatten_objective
from cpmpy.transformations.linearize import (
    decompose_linear,
    decompose_linear_objective,
    linearize_constraint,
    linearize_reified_variables,
    only_positive_bv,
    only_positive_bv_wsum_const,
)
from cpmpy.transformations.negation import push_down_negation, push_down_negation_objective
from cpmpy.transformations.normalize import toplevel_list
from cpmpy.transformations.reification import only_bv_reifies, only_implies, reify_rewrite
from cpmpy.transformations.safening import no_partial_functions, safen_objective
from jaxtyping import Int64
from numpy import ndarray

from combdiff_solvers.models.front_ends.reading import sparse_rows
from combdiff_solvers.models.linear_model import LinearModel

_SUMS = frozenset({"sum", "wsum", "sub"})
_NONE: frozenset[str] = frozenset()  # of the global constraints: all are decomposed


def linear_model_of(model: Model, priced: Sequence[_NumVarImpl]) -> tuple[LinearModel, Int64[ndarray, " n"]]:
    """The linear program of a CPMpy model, and the columns of some of its variables.

    >>> import cpmpy as cp
    >>> x = cp.intvar(0, 3, shape=2, name="x")
    >>> found, places = linear_model_of(cp.Model(x[0] + 2 * x[1] <= 4, maximize=x[0]), list(x))
    >>> found.A.toarray(), found.row_upper, found.c[places]
    (array([[1., 2.]]), array([4.]), array([1., 0.]))
    """
    rewritten = CSEMap()  # expressions that have a variable of their own
    terms, constant, more = _objective(model, rewritten)
    places: dict[str, int] = {}  # by the names, by which CPMpy tells variables apart
    used: list[_NumVarImpl] = []

    def at(parts: Sequence[tuple[Any, Any]]) -> tuple[list[int], list[float], float]:
        """Columns, their coefficients, and the sum of the constants."""
        columns, weights, number = [], [], 0.0
        for weight, one in parts:
            if is_num(one):
                number += float(weight) * float(one)
                continue
            if one.name not in places:
                places[one.name] = len(used)
                used.append(one)
            columns.append(places[one.name])
            weights.append(float(weight))
        return columns, weights, number

    columns = np.array(at([(1, one) for one in priced])[0], dtype=np.int64)
    rows: list[Any] = []
    sides: list[tuple[float, float]] = []
    for one in _linear(model.constraints, rewritten) + _linear(more, rewritten):
        if isinstance(one, BoolVal):
            rows.append(([], []))
            sides.append((-np.inf, np.inf) if one.args[0] else (1.0, np.inf))
            continue
        if not (isinstance(one, Comparison) and is_num(one.args[1])):
            raise ValueError(f"CPMpy makes no linear row of the constraint {one}: use backend='cp_sat'")
        *row, number = at(_terms_of(one.args[0]))
        rows.append(row)
        side = float(one.args[1]) - number
        sides.append((-np.inf if one.name == "<=" else side, np.inf if one.name == ">=" else side))
    charged, costs, number = at(terms)
    least, most = (np.array([side[end] for side in sides], dtype=np.float64) for end in (0, 1))
    lower, upper = (np.array([getattr(one, end) for one in used], dtype=np.float64) for end in ("lb", "ub"))
    read = LinearModel(
        sparse_rows([(charged, costs)], len(used)).toarray()[0],
        sparse_rows(rows, len(used)),
        np.ones(len(used), dtype=bool),
        least,
        most,
        lower,
        upper,
        maximize=model.has_objective() and not model.objective_is_min,
        offset=float(constant) + number,
    )
    return read, columns


def _objective(model: Model, rewritten: CSEMap) -> tuple[list[tuple[Any, Any]], Any, list[Any]]:
    """The terms (weight, variable) of the objective, its constant, and constraints that it needs."""
    objective = model.objective_
    if objective is None:
        return [], 0, []
    if isinstance(objective, FloatSum):
        weights, variables, constant = objective.components()
        return list(zip(weights, variables, strict=True)), constant, []
    objective, safe = safen_objective(objective)
    objective = push_down_negation_objective(objective)
    objective, decomposed = decompose_linear_objective(
        objective, supported=_NONE, supported_reified=_NONE, csemap=rewritten
    )
    objective, flat = flatten_objective(objective, csemap=rewritten)
    objective, constant = only_positive_bv_wsum_const(objective)
    return _terms_of(objective), constant, [*safe, *decomposed, *flat]


def _linear(constraints: Any, rewritten: CSEMap) -> list[Any]:
    """Comparisons of sums with numbers, by the steps of CPMpy's interfaces to integer programs, in their order."""
    found = no_partial_functions(toplevel_list(constraints))
    found = push_down_negation(found)
    found = decompose_linear(found, supported=_NONE, supported_reified=_NONE, csemap=rewritten)
    found = flatten_constraint(found, csemap=rewritten)
    found = reify_rewrite(found, supported=_SUMS, csemap=rewritten)
    found = only_numexpr_equality(found, supported=_SUMS, csemap=rewritten)
    found = linearize_reified_variables(found, min_values=2, csemap=rewritten)
    found = only_implies(only_bv_reifies(found, csemap=rewritten), csemap=rewritten)
    found = linearize_constraint(found, supported=frozenset({"sum", "wsum"}), csemap=rewritten)
    return list(only_positive_bv(found, csemap=rewritten))


def _terms_of(expression: Any) -> list[tuple[Any, Any]]:
    """The terms (weight, variable) of a variable or a sum."""
    if isinstance(expression, _NumVarImpl):
        return [(1, expression)]
    if is_num(expression):
        return [(1, expression)]
    if expression.name == "sum":
        return [(1, one) for one in expression.args]
    return list(zip(*expression.args, strict=True))
