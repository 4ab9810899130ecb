"""OR-Tools `pywraplp.Solver` and ModelBuilder models as a Solver."""

from __future__ import annotations

from typing import Any

from numpy import ndarray
from ortools.linear_solver import linear_solver_pb2, pywraplp
from ortools.linear_solver.python import model_builder

from combdiff_solvers.limits import Limits
from combdiff_solvers.models.linear_solver import linear_solver
from combdiff_solvers.models.model_proto import from_mp_model
from combdiff_solvers.models.variables import resolve_variables
from combdiff_solvers.protocol import Sense, Solver
from combdiff_solvers.wrap import wrap

__all__ = ["wrap_model_builder", "wrap_pywraplp"]


@wrap.register(pywraplp.Solver)
def wrap_pywraplp(
    model: pywraplp.Solver,
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
) -> Solver:
    """`combdiff.wrap` for a `pywraplp.Solver`: its model is copied, and solved by `backend`.

    The back end that the object was created with is not asked: None takes GLOP for an LP and SCIP for a MIP.
    Options as for `MathOptModel` and `Limits`.

    >>> import numpy as np
    >>> model = pywraplp.Solver.CreateSolver("GLOP")
    >>> x = [model.NumVar(0, 1, f"x{i}") for i in range(3)]
    >>> _ = model.Add(x[0] + x[1] + x[2] == 1)
    >>> wrap(model, x, sense="max").solve(np.array([[3.0, 1.0, 2.0]])).y
    array([[1., 0., 0.]])
    """

    def index_of(variable: Any) -> int:
        if not isinstance(variable, pywraplp.Variable):
            raise TypeError(f"{variable!r} is a {type(variable).__name__}, not a variable of the pywraplp solver")
        index = int(variable.index())
        if not (0 <= index < model.NumVariables() and model.variable(index).this == variable.this):
            raise ValueError(f"variable {variable.name()!r} is not of this model")
        return index

    ids, shape = resolve_variables(variables, index_of, "pywraplp variables")
    proto = linear_solver_pb2.MPModelProto()
    model.ExportModelToProto(proto)
    limits = Limits(time_limit, batch_time_limit, relative_gap, absolute_gap)
    return linear_solver(from_mp_model(proto), ids, shape, sense, backend, limits, warm_start)


@wrap.register(model_builder.Model)
def wrap_model_builder(
    model: model_builder.Model,
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
) -> Solver:
    """`combdiff.wrap` for a `model_builder.Model`, in the manner of `wrap_pywraplp`."""

    def index_of(variable: Any) -> int:
        if not isinstance(variable, model_builder.Variable):
            raise TypeError(f"{variable!r} is a {type(variable).__name__}, not a variable of the ModelBuilder model")
        if variable.helper is not model.helper:
            raise ValueError(f"variable {variable.name!r} is not of this model")
        return int(variable.index)

    ids, shape = resolve_variables(variables, index_of, "ModelBuilder variables")
    limits = Limits(time_limit, batch_time_limit, relative_gap, absolute_gap)
    return linear_solver(from_mp_model(model.export_to_proto()), ids, shape, sense, backend, limits, warm_start)
