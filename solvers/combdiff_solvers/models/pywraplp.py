"""OR-Tools `pywraplp.Solver` and ModelBuilder models as a Solver."""

from __future__ import annotations

from typing import Any

from ortools.linear_solver import linear_solver_pb2, pywraplp
from ortools.linear_solver.python import model_builder

from combdiff_solvers.models.linear_solver import linear_solver
from combdiff_solvers.models.model_proto import from_mp_model
from combdiff_solvers.models.variables import resolve_native
from combdiff_solvers.protocol import Solver
from combdiff_solvers.wrap import options_of, wrap


@wrap.register(pywraplp.Solver)
@options_of(linear_solver)
def wrap_pywraplp(model: pywraplp.Solver, /, variables: Any, **options: Any) -> Solver:
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

    def place(variable: pywraplp.Variable) -> int | None:
        index = int(variable.index())
        own = 0 <= index < model.NumVariables() and model.variable(index).this == variable.this
        return index if own else None

    found = resolve_native(variables, pywraplp.Variable, place, "pywraplp")
    proto = linear_solver_pb2.MPModelProto()
    model.ExportModelToProto(proto)
    return linear_solver(from_mp_model(proto), *found, **options)


@wrap.register(model_builder.Model)
@options_of(linear_solver)
def wrap_model_builder(model: model_builder.Model, /, variables: Any, **options: Any) -> Solver:
    """`combdiff.wrap` for a `model_builder.Model`, in the manner of `wrap_pywraplp`."""

    def place(variable: model_builder.Variable) -> int | None:
        return variable.index if variable.helper is model.helper else None

    found = resolve_native(variables, model_builder.Variable, place, "ModelBuilder")
    return linear_solver(from_mp_model(model.export_to_proto()), *found, **options)
