"""Pyomo models as a Solver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pyomo.common.collections import ComponentMap
from pyomo.core.base.indexed_component import IndexedComponent
from pyomo.core.base.var import VarData
from pyomo.environ import Block, ConcreteModel, Constraint, Objective, Var, maximize, value
from pyomo.repn import generate_standard_repn

from combdiff_solvers.models.front_ends.reading import bounds, listed, not_linear, sparse_rows
from combdiff_solvers.models.linear_model import LinearModel
from combdiff_solvers.models.linear_solver import linear_solver
from combdiff_solvers.models.variables import resolve_native
from combdiff_solvers.protocol import Solver
from combdiff_solvers.wrap import options_of, wrap

_WITHOUT_ROWS = {"BooleanVar", "BuildAction", "Expression", "Param", "RangeSet", "Set", "Suffix"}
"""what may stand in a model and constrains nothing by itself"""


@wrap.register(ConcreteModel)
@options_of(linear_solver)
def wrap_pyomo(model: ConcreteModel, /, variables: Any, **options: Any) -> Solver:
    """`combdiff.wrap` for a Pyomo `ConcreteModel`: see `MathOptModel`, `CpSatModel` (backend="cp_sat") and `Limits`.

    `variables` are a `Var` or (nested sequences, arrays or dicts of) its entries. A `Var` that is indexed by k sets
    gives θ k axes; one that is indexed by a set of tuples, one. What is active is read as it is now, a fixed variable
    as the number that it is fixed at.

    Raises:
        ValueError: for several active objectives, a component that no row of numbers says (SOS, disjunctions, ...), a
            nonlinear objective or constraint, and a domain with gaps. Each is named.

    >>> import pyomo.environ as pyo
    >>> model = pyo.ConcreteModel()
    >>> model.x = pyo.Var(["a", "b"], range(2), domain=pyo.Binary)
    >>> model.one = pyo.Constraint(expr=sum(model.x.values()) == 1)
    >>> solver = wrap(model, model.x)
    >>> solver.shape, solver.solve(np.array([[3.0, 1.0, 2.0, 4.0]])).y
    ((2, 2), array([[0., 1., 0., 0.]]))
    """
    _refuse_others(model)
    places = ComponentMap((one, at) for at, one in enumerate(model.component_data_objects(Var, descend_into=Block)))

    def row_of(expression: Any, part: str) -> tuple[Sequence[int], Sequence[Any], float]:
        found = generate_standard_repn(expression, compute_values=True, quadratic=False)
        if found.nonlinear_expr is not None:
            raise not_linear(
                part, f"it has products or functions of {listed([one.name for one in found.nonlinear_vars])}"
            )
        for one in found.linear_vars:
            places.setdefault(one, len(places))  # of a block that is not active, or of another model
        return [places[one] for one in found.linear_vars], list(found.linear_coefs), float(found.constant)

    objectives = list(model.component_data_objects(Objective, active=True, descend_into=Block))
    if len(objectives) > 1:
        names = listed([one.name for one in objectives])
        raise ValueError(
            f"the model has several active objectives ({names}), and theta is added to one: deactivate the others"
        )
    costs: tuple[Sequence[int], Sequence[Any], float] = ([], [], 0.0)
    for objective in objectives:
        costs = row_of(objective.expr, f"the objective {objective.name}")
    rows, sides = [], []
    for one in model.component_data_objects(Constraint, active=True, descend_into=Block):
        at, values, constant = row_of(one.body, f"the constraint {one.name}")
        rows.append((at, values))
        sides.append([None if side is None else value(side) - constant for side in (one.lower, one.upper)])
    columns = list(places)
    fixed = [(value(one), value(one)) if one.fixed else one.bounds for one in columns]
    read = LinearModel(
        sparse_rows([costs[:2]], len(columns)).toarray()[0],
        sparse_rows(rows, len(columns)),
        np.array([_is_integer(one) for one in columns], dtype=bool),
        bounds([least for least, _ in sides], -np.inf),
        bounds([most for _, most in sides], np.inf),
        bounds([least for least, _ in fixed], -np.inf),
        bounds([most for _, most in fixed], np.inf),
        maximize=any(one.sense == maximize for one in objectives),
        offset=costs[2],
        names=tuple(one.name for one in columns),
    )
    return linear_solver(read, *resolve_native(_entries(variables), VarData, places.get, "Pyomo"), **options)


def _refuse_others(model: ConcreteModel) -> None:
    """Raise for active components that hold more than linear rows."""
    for part in model.component_objects(active=True, descend_into=True):
        kind = part.ctype.__name__
        if part.ctype not in (Block, Constraint, Objective, Var) and kind not in _WITHOUT_ROWS:
            raise not_linear(
                f"{part.name}, a {kind},", "transform the model first (pyomo.environ.TransformationFactory)"
            )


def _entries(variables: Any) -> Any:
    """The entries of a `Var` as an array of its shape, and anything else as it is."""
    if not isinstance(variables, IndexedComponent):
        return variables
    if not variables.is_indexed():
        return [variables[None]]
    axes = [len(axis) for axis in variables.index_set().subsets(expand_all_set_operators=True)]
    entries = np.empty(len(variables), dtype=object)
    entries[:] = list(variables.values())
    return entries.reshape(axes) if np.prod(axes) == len(entries) else entries


def _is_integer(variable: VarData) -> bool:
    if variable.is_continuous() or variable.fixed:
        return False
    if not variable.is_integer():
        raise not_linear(f"the domain of variable {variable.name}", f"{variable.domain} has gaps")
    return True
