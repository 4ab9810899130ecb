"""OR-Tools MathOpt models as a Solver."""

from __future__ import annotations

from typing import Any

from ortools.math_opt.python import mathopt

from combdiff_solvers.models.linear_solver import linear_solver
from combdiff_solvers.models.model_proto import from_proto, places
from combdiff_solvers.models.variables import resolve_native
from combdiff_solvers.protocol import Solver
from combdiff_solvers.wrap import options_of, wrap


@wrap.register(mathopt.Model)
@options_of(linear_solver)
def wrap_math_opt(model: mathopt.Model, /, variables: Any, **options: Any) -> Solver:
    """`combdiff.wrap` for a MathOpt `Model`: see `MathOptModel`, `CpSatModel` (backend="cp_sat") and `Limits`.

    >>> import numpy as np
    >>> model = mathopt.Model()
    >>> x = [model.add_binary_variable() for _ in range(3)]
    >>> _ = model.add_linear_constraint(x[0] + x[1] + x[2] == 2)
    >>> wrap(model, x).solve(np.array([[3.0, 1.0, 2.0]])).y
    array([[0., 1., 1.]])
    """

    def own_id(variable: mathopt.Variable) -> int | None:
        own = variable.elemental is model.objective.elemental and model.has_variable(variable.id)
        return variable.id if own else None

    ids, shape = resolve_native(variables, mathopt.Variable, own_id, "MathOpt")
    proto = model.export_model()
    return linear_solver(from_proto(proto), places(ids, proto.variables.ids), shape, **options)
