"""The Solver of a linear or mixed-integer model, whichever library it came from, on the back end of one's choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy import ndarray
from ortools.math_opt import model_pb2

from combdiff_solvers.limits import Limits
from combdiff_solvers.models.cp_sat import CpSatModel
from combdiff_solvers.models.integer_rows import cp_model_text
from combdiff_solvers.models.math_opt_model import MathOptModel
from combdiff_solvers.models.mip_backends import BACKENDS
from combdiff_solvers.models.model_proto import Columns, Terms, rows_of, terms_of
from combdiff_solvers.models.variables import resolve_sense
from combdiff_solvers.protocol import Sense

__all__ = ["linear_solver"]


def linear_solver(
    proto: model_pb2.ModelProto,
    ids: Sequence[int] | ndarray,
    shape: tuple[int, ...],
    sense: Sense | str | None = None,
    backend: str | None = None,
    limits: Limits | None = None,
    warm_start: ndarray | None = None,
    parameters: Any = None,
) -> MathOptModel | CpSatModel:
    """A `CpSatModel` for `backend="cp_sat"`, a `MathOptModel` for every other one.

    The proto is taken over, without its names: back ends refuse a name that comes twice.

    Raises:
        ValueError: for an unknown back end, or a model that it cannot take.
    """
    proto.variables.ClearField("names")
    proto.linear_constraints.ClearField("names")
    if backend == "cp_sat":
        columns = Columns(proto)
        text = _as_cp_model(proto, columns)
        objective = proto.objective
        settled = resolve_sense(sense, objective.maximize, bool(len(objective.linear_coefficients.ids)))
        return CpSatModel(text, columns.positions(ids), shape, settled, limits, warm_start, parameters)
    if backend is not None and backend not in BACKENDS:
        known = ", ".join(map(repr, [*BACKENDS, "cp_sat"]))
        raise ValueError(f"backend={backend!r} is none of {known}")
    return MathOptModel(proto, ids, shape, sense, backend, limits, warm_start, parameters)


def _as_cp_model(proto: model_pb2.ModelProto, columns: Columns) -> str:
    missing = terms_of(proto) & ~Terms.INTEGERS
    if missing or proto.auxiliary_objectives:
        held = missing.in_words if missing else "several objectives"
        raise ValueError(
            f"backend='cp_sat' takes linear rows and one linear objective, but the model has {held}: "
            "use 'scip', or build a CpModel"
        )
    return cp_model_text(
        columns.lower,
        columns.upper,
        columns.integer,
        *rows_of(proto),
        columns.costs,
        proto.objective.maximize,
        proto.objective.offset,
    )
