"""`LinearModel` from the protos of OR-Tools, and as the proto that MathOpt solves."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

import numpy as np
import scipy.sparse
from jaxtyping import Float64, Int64
from numpy import ndarray
from ortools.math_opt import model_pb2

from combdiff_solvers.models.linear_model import LinearModel, Rest, Terms, crossed_bounds


def to_proto(model: LinearModel) -> model_pb2.ModelProto:
    """The model for MathOpt, but for the coefficients of a linear objective; without names, which may come twice."""
    if model.rest is not None:
        proto = model_pb2.ModelProto.FromString(model.rest.proto)
        proto.objective.maximize = model.maximize
        return proto
    proto = model_pb2.ModelProto()
    proto.objective.maximize, proto.objective.offset = model.maximize, model.offset
    proto.variables.integers.extend(model.integer.tolist())
    sides = (proto.variables, model.lower, model.upper), (proto.linear_constraints, model.row_lower, model.row_upper)
    for part, lower, upper in sides:
        part.ids.extend(range(len(lower)))
        part.lower_bounds.extend(lower.tolist())
        part.upper_bounds.extend(upper.tolist())
    entries = model.A.tocoo()
    proto.linear_constraint_matrix.row_ids.extend(entries.row.tolist())
    proto.linear_constraint_matrix.column_ids.extend(entries.col.tolist())
    proto.linear_constraint_matrix.coefficients.extend(entries.data.tolist())
    return proto


def from_proto(proto: model_pb2.ModelProto) -> LinearModel:
    """The model of a MathOpt proto.

    Raises:
        ValueError: for several objectives, and as `LinearModel`.
    """
    if proto.auxiliary_objectives:
        raise ValueError("the model has several objectives, and theta can price one: delete the auxiliary ones")
    variables, rows, entries = proto.variables, proto.linear_constraints, proto.linear_constraint_matrix
    linear = proto.objective.linear_coefficients
    c = np.zeros(len(variables.ids))
    c[places(linear.ids, variables.ids)] = _reals(linear.values)
    at = places(entries.row_ids, rows.ids), places(entries.column_ids, variables.ids)
    return LinearModel(
        c,
        scipy.sparse.csr_matrix((_reals(entries.coefficients), at), shape=(len(rows.ids), len(c))),
        np.array(variables.integers, dtype=bool),
        *map(_reals, (rows.lower_bounds, rows.upper_bounds, variables.lower_bounds, variables.upper_bounds)),
        maximize=proto.objective.maximize,
        offset=proto.objective.offset,
        names=tuple(variables.names),
        rest=_rest_of(proto),
    )


def places(ids: Any, own: Any) -> Int64[ndarray, " k"]:
    """Where a proto's own ids of variables or rows, which rise and may have gaps, are these."""
    return np.searchsorted(np.array(own, dtype=np.int64), np.array(ids, dtype=np.int64))


def _reals(values: Any) -> Float64[ndarray, " k"]:
    return np.array(values, dtype=np.float64)


def _rest_of(proto: model_pb2.ModelProto) -> Rest | None:
    squares = proto.objective.quadratic_coefficients
    rows, columns = (places(ids, proto.variables.ids) for ids in (squares.row_ids, squares.column_ids))
    coefficients = _reals(squares.coefficients)
    signed = -coefficients if proto.objective.maximize else coefficients
    separable = (rows == columns).all() and (signed >= 0).all()
    held = {
        Terms.CONVEX_SQUARES if separable else Terms.QUADRATIC_OBJECTIVE: coefficients,
        Terms.QUADRATIC_CONSTRAINTS: proto.quadratic_constraints,
        Terms.CONES: proto.second_order_cone_constraints,
        Terms.SOS: [*proto.sos1_constraints, *proto.sos2_constraints],
        Terms.INDICATORS: proto.indicator_constraints,
    }
    terms = reduce(or_, (term for term, part in held.items() if len(part)), Terms.NONE)
    if not terms:
        return None
    quadratic = proto.quadratic_constraints.values()
    sides = (_reals([getattr(one, side) for one in quadratic]) for side in ("lower_bound", "upper_bound"))
    crossed = crossed_bounds("quadratic constraint", *sides)
    kept = model_pb2.ModelProto()
    kept.CopyFrom(proto)
    kept.variables.ClearField("names")
    kept.linear_constraints.ClearField("names")
    for field in ("quadratic_constraints", "sos1_constraints", "sos2_constraints", "indicator_constraints"):
        for constraint in getattr(kept, field).values():
            constraint.ClearField("name")
    return Rest(kept.SerializeToString(), terms, rows, columns, coefficients, crossed)


def from_mp_model(model: Any) -> LinearModel:
    """The model of an `MPModelProto` (pywraplp, ModelBuilder).

    Raises:
        ValueError: for general constraints (indicator, SOS, ...) or a quadratic objective, and as `LinearModel`.
    """
    if len(model.general_constraint):
        raise ValueError(
            f"the model has {len(model.general_constraint)} general constraints (indicator, SOS, and, or, ...), "
            "which only a MathOpt model can hold: build it with ortools.math_opt"
        )
    if len(model.quadratic_objective.coefficient):
        raise ValueError("the model has a quadratic objective: theta can price linear objectives only")
    variables, rows = model.variable, model.constraint
    coefficients = _reals([c for row in rows for c in row.coefficient])
    columns = np.array([i for row in rows for i in row.var_index], dtype=np.int64)
    starts = np.cumsum([0] + [len(row.var_index) for row in rows])
    return LinearModel(
        _reals([one.objective_coefficient for one in variables]),
        scipy.sparse.csr_matrix((coefficients, columns, starts), shape=(len(rows), len(variables))),
        np.array([one.is_integer for one in variables], dtype=bool),
        *(_reals([getattr(one, side) for one in part]) for part in (rows, variables) for side in _SIDES),
        maximize=model.maximize,
        offset=model.objective_offset,
        names=tuple(one.name for one in variables),
    )


_SIDES = ("lower_bound", "upper_bound")
