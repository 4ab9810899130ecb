"""PuLP problems as a Solver."""

from __future__ import annotations

from typing import Any

import numpy as np
from pulp import LpInteger, LpMaximize, LpProblem, LpVariable

from combdiff_solvers.models.front_ends.reading import bounds, not_linear, sparse_rows
from combdiff_solvers.models.linear_model import LinearModel
from combdiff_solvers.models.linear_solver import linear_solver
from combdiff_solvers.models.variables import resolve_native
from combdiff_solvers.protocol import Solver
from combdiff_solvers.wrap import options_of, wrap


@wrap.register(LpProblem)
@options_of(linear_solver)
def wrap_pulp(model: LpProblem, /, variables: Any, **options: Any) -> Solver:
    """`combdiff.wrap` for a PuLP `LpProblem`: see `MathOptModel`, `CpSatModel` (backend="cp_sat") and `Limits`.

    `variables` may be a (nested) dict as `LpVariable.dicts` returns it. One that no row and no objective of the problem
    holds is taken, too, within its bounds. PuLP's own solvers are not asked.

    Raises:
        ValueError: for SOS constraints, and a variable whose name another one of the problem has.

    >>> from pulp import lpSum
    >>> model = LpProblem("pick", LpMaximize)
    >>> x = [model.add_variable(f"x{i}", cat="Binary") for i in range(3)]
    >>> model += lpSum(x) == 1
    >>> wrap(model, x).solve(np.array([[3.0, 1.0, 2.0]])).y
    array([[1., 0., 0.]])
    """
    for kind in ("sos1", "sos2"):
        if getattr(model, kind):
            raise not_linear(f"the {kind} constraint {next(iter(getattr(model, kind)))!r}", "no row of numbers says it")
    objective, rows = model.objective, model.constraints()
    used = [*model._variables, *(objective or ()), *(one for row in rows for one in row)]  # variables() would sort them
    own = {id(one): one for one in used}
    places = {key: place for place, key in enumerate(own)}
    columns = list(own.values())
    names = {one.name for one in columns}

    def place(variable: LpVariable) -> int | None:
        if id(variable) not in places and variable.name not in names:  # PuLP learns of a variable by its first row
            places[id(variable)] = len(columns)
            columns.append(variable)
        return places.get(id(variable))

    found = resolve_native(variables, LpVariable, place, "PuLP")
    c = np.zeros(len(columns))
    for one, cost in objective.items() if objective is not None else ():
        c[places[id(one)]] = cost
    sides = [[side() for side in sides] for sides in ((row.getLb, row.getUb) for row in rows)]
    read = LinearModel(
        c,
        sparse_rows((([places[id(one)] for one in row], list(row.values())) for row in rows), len(columns)),
        np.array([one.cat == LpInteger for one in columns], dtype=bool),
        bounds([least for least, _ in sides], -np.inf),
        bounds([most for _, most in sides], np.inf),
        bounds([one.lowBound for one in columns], -np.inf),
        bounds([one.upBound for one in columns], np.inf),
        maximize=model.sense == LpMaximize,
        offset=float(objective.constant) if objective is not None else 0.0,
        names=tuple(one.name for one in columns),
    )
    return linear_solver(read, *found, **options)
