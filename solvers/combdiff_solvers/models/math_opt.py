"""OR-Tools MathOpt models as a Solver."""

from __future__ import annotations

from typing import Any

from numpy import ndarray
from ortools.math_opt.python import mathopt

from combdiff_solvers.limits import Limits
from combdiff_solvers.models.linear_solver import linear_solver
from combdiff_solvers.models.variables import resolve_variables
from combdiff_solvers.protocol import Sense, Solver
from combdiff_solvers.wrap import wrap

__all__ = ["wrap_math_opt"]


@wrap.register(mathopt.Model)
def wrap_math_opt(
    model: mathopt.Model,
    /,
    variables: Any,
    *,
    sense: Sense | str | None = None,
    backend: str | None = None,
    time_limit: float | None = None,
    batch_time_limit: float | None = None,
    relative_gap: float = 0.0,
    absolute_gap: float = 0.0,
    warm_start: ndarray | None = None,
    parameters: mathopt.SolveParameters | None = None,
) -> Solver:
    """`combdiff.wrap` for a MathOpt `Model`: see `MathOptModel`, `CpSatModel` (backend="cp_sat") and `Limits`.

    >>> import numpy as np
    >>> model = mathopt.Model()
    >>> x = [model.add_binary_variable() for _ in range(3)]
    >>> _ = model.add_linear_constraint(x[0] + x[1] + x[2] == 2)
    >>> wrap(model, x).solve(np.array([[3.0, 1.0, 2.0]])).y
    array([[0., 1., 1.]])
    """

    def id_of(variable: Any) -> int:
        if not isinstance(variable, mathopt.Variable):
            raise TypeError(f"{variable!r} is a {type(variable).__name__}, not a variable of the MathOpt model")
        if variable.elemental is not model.objective.elemental or not model.has_variable(variable.id):
            raise ValueError(f"variable {variable} is not of this model")
        return int(variable.id)

    ids, shape = resolve_variables(variables, id_of, "MathOpt variables")
    limits = Limits(time_limit, batch_time_limit, relative_gap, absolute_gap)
    return linear_solver(model.export_model(), ids, shape, sense, backend, limits, warm_start, parameters)
