"""Linear and mixed-integer models as MathOpt protos: the description that every OR-Tools adapter shares."""

from __future__ import annotations

from enum import Flag, auto
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray
from ortools.math_opt import model_pb2


def from_arrays(
    lower: Float64[ndarray, " v"],
    upper: Float64[ndarray, " v"],
    integer: Bool[ndarray, " v"],
    costs: Float64[ndarray, " v"],
    matrix: scipy.sparse.csr_matrix,
    row_lower: Float64[ndarray, " r"],
    row_upper: Float64[ndarray, " r"],
    *,
    maximize: bool = False,
    offset: float = 0.0,
    names: list[str] | None = None,
) -> model_pb2.ModelProto:
    """min or max ⟨costs, x⟩ + offset over row_lower ≤ matrix · x ≤ row_upper, lower ≤ x ≤ upper."""
    proto = model_pb2.ModelProto()
    proto.variables.ids.extend(range(len(lower)))
    proto.variables.lower_bounds.extend(lower.tolist())
    proto.variables.upper_bounds.extend(upper.tolist())
    proto.variables.integers.extend(integer.tolist())
    if names is not None:
        proto.variables.names.extend(names)
    proto.objective.maximize = maximize
    proto.objective.offset = offset
    used = np.flatnonzero(costs)
    proto.objective.linear_coefficients.ids.extend(used.tolist())
    proto.objective.linear_coefficients.values.extend(costs[used].tolist())
    proto.linear_constraints.ids.extend(range(len(row_lower)))
    proto.linear_constraints.lower_bounds.extend(row_lower.tolist())
    proto.linear_constraints.upper_bounds.extend(row_upper.tolist())
    matrix = scipy.sparse.csr_matrix(matrix)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    entries = matrix.tocoo()
    proto.linear_constraint_matrix.row_ids.extend(entries.row.tolist())
    proto.linear_constraint_matrix.column_ids.extend(entries.col.tolist())
    proto.linear_constraint_matrix.coefficients.extend(entries.data.tolist())
    return proto


def from_mp_model(model: Any) -> model_pb2.ModelProto:
    """The MathOpt form of an `MPModelProto` (pywraplp, ModelBuilder).

    Raises:
        ValueError: for general constraints (indicator, SOS, ...) or a quadratic objective.
    """
    if len(model.general_constraint):
        raise ValueError(
            f"the model has {len(model.general_constraint)} general constraints (indicator, SOS, and, or, ...), "
            "which only a MathOpt model can hold: build it with ortools.math_opt"
        )
    if len(model.quadratic_objective.coefficient):
        raise ValueError("the model has a quadratic objective: theta can price linear objectives only")
    variables, rows = model.variable, model.constraint
    matrix = scipy.sparse.csr_matrix(
        (
            np.array([c for row in rows for c in row.coefficient], dtype=np.float64),
            np.array([i for row in rows for i in row.var_index], dtype=np.int64),
            np.cumsum([0] + [len(row.var_index) for row in rows]),
        ),
        shape=(len(rows), len(variables)),
    )
    return from_arrays(
        np.array([v.lower_bound for v in variables], dtype=np.float64),
        np.array([v.upper_bound for v in variables], dtype=np.float64),
        np.array([v.is_integer for v in variables], dtype=bool),
        np.array([v.objective_coefficient for v in variables], dtype=np.float64),
        matrix,
        np.array([row.lower_bound for row in rows], dtype=np.float64),
        np.array([row.upper_bound for row in rows], dtype=np.float64),
        maximize=model.maximize,
        offset=model.objective_offset,
        names=[v.name for v in variables],
    )


class Columns:
    """A MathOpt proto's variables and objective as arrays, by position (ids may have gaps)."""

    def __init__(self, proto: model_pb2.ModelProto) -> None:
        self.ids = np.array(proto.variables.ids, dtype=np.int64)
        self.lower = np.array(proto.variables.lower_bounds, dtype=np.float64)
        self.upper = np.array(proto.variables.upper_bounds, dtype=np.float64)
        self.integer = np.array(proto.variables.integers, dtype=bool)
        linear = proto.objective.linear_coefficients
        self.costs = np.zeros(len(self.ids))
        self.costs[self.positions(linear.ids)] = np.array(linear.values, dtype=np.float64)
        self.offset = proto.objective.offset
        squares = proto.objective.quadratic_coefficients
        self.rows, self.columns = self.positions(squares.row_ids), self.positions(squares.column_ids)
        self.squares = np.array(squares.coefficients, dtype=np.float64)

    def positions(self, ids: Any) -> ndarray:
        """Where the variables with these ids stand."""
        return np.searchsorted(self.ids, np.array(ids, dtype=np.int64))

    def terms(self, x: Float64[ndarray, "b v"]) -> Float64[ndarray, "b t"]:
        """The values of all terms of the objective: the variables, then the products of two that it holds."""
        return np.hstack([x, x[:, self.rows] * x[:, self.columns]])

    @property
    def coefficients(self) -> Float64[ndarray, " t"]:
        """Those of the terms."""
        return np.append(self.costs, self.squares)

    def open_coefficients(self, fixed: Int64[ndarray, " n"]) -> Float64[ndarray, " t"]:
        """The coefficients with 0 for every term that the variables at these places determine."""
        own, rows, columns = (np.isin(places, fixed) for places in (np.arange(len(self.ids)), self.rows, self.columns))
        return np.where(np.append(own, rows & columns), 0.0, self.coefficients)

    def h(self, x: Float64[ndarray, "b v"]) -> Float64[ndarray, " b"]:
        """The objective of each row of x: ⟨coefficients, terms(x)⟩ + offset."""
        return np.einsum("bt,t->b", self.terms(x), self.coefficients) + self.offset


def rows_of(
    proto: model_pb2.ModelProto,
) -> tuple[scipy.sparse.csr_matrix, Float64[ndarray, " r"], Float64[ndarray, " r"]]:
    """The linear constraints as (matrix, lower, upper), by position."""
    ids = np.array(proto.linear_constraints.ids, dtype=np.int64)
    entries = proto.linear_constraint_matrix
    matrix = scipy.sparse.csr_matrix(
        (
            np.array(entries.coefficients, dtype=np.float64),
            (
                np.searchsorted(ids, np.array(entries.row_ids, dtype=np.int64)),
                np.searchsorted(np.array(proto.variables.ids), np.array(entries.column_ids, dtype=np.int64)),
            ),
        ),
        shape=(len(ids), len(proto.variables.ids)),
    )
    return matrix, np.array(proto.linear_constraints.lower_bounds), np.array(proto.linear_constraints.upper_bounds)


def crossed_bounds(proto: model_pb2.ModelProto) -> str | None:
    """What has bounds that no number is between, so that nothing can be feasible; None for nothing."""
    squares = proto.quadratic_constraints
    parts = (
        ("variable", proto.variables.ids, proto.variables.lower_bounds, proto.variables.upper_bounds),
        ("constraint", *(getattr(proto.linear_constraints, name) for name in ("ids", "lower_bounds", "upper_bounds"))),
        ("quadratic constraint", list(squares), *([getattr(c, s) for c in squares.values()] for s in _SIDES)),
    )
    for kind, ids, lower_bounds, upper_bounds in parts:
        lower, upper = np.array(lower_bounds), np.array(upper_bounds)
        crossed = np.flatnonzero((lower > upper) | (lower == np.inf) | (upper == -np.inf))
        if len(crossed):
            at = int(crossed[0])
            if lower[at] == upper[at]:
                return f"{kind} {ids[at]} must be {lower[at]:g}, which no number is"
            return f"{kind} {ids[at]} has lower bound {lower[at]:.6g} above its upper bound {upper[at]:.6g}"
    return None


_SIDES = ("lower_bound", "upper_bound")


class Terms(Flag):
    """What a model may hold beside linear terms in continuous variables; `in_words` names it.

    >>> (Terms.INTEGERS | Terms.SOS).in_words
    'integer variables and SOS constraints'
    """

    NONE = 0
    INTEGERS = auto()
    CONVEX_SQUARES = auto()
    QUADRATIC_OBJECTIVE = auto()
    QUADRATIC_CONSTRAINTS = auto()
    CONES = auto()
    SOS = auto()
    INDICATORS = auto()
    QUADRATIC = CONVEX_SQUARES | QUADRATIC_OBJECTIVE | QUADRATIC_CONSTRAINTS

    @property
    def in_words(self) -> str:
        """The names, one after the other."""
        return " and ".join(_WORDS[term] for term in self)


_WORDS = {
    Terms.INTEGERS: "integer variables",
    Terms.CONVEX_SQUARES: "a quadratic objective (a sum of convex squares)",
    Terms.QUADRATIC_OBJECTIVE: "a quadratic objective (no sum of convex squares)",
    Terms.QUADRATIC_CONSTRAINTS: "quadratic constraints",
    Terms.CONES: "second-order cone constraints",
    Terms.SOS: "SOS constraints",
    Terms.INDICATORS: "indicator constraints",
}


def terms_of(proto: model_pb2.ModelProto) -> Terms:
    """All that a model holds beside linear terms in continuous variables."""
    squares = proto.objective.quadratic_coefficients
    coefficients = np.array(squares.coefficients) * (-1 if proto.objective.maximize else 1)
    separable = list(squares.row_ids) == list(squares.column_ids) and not (coefficients < 0).any()
    held = {
        Terms.INTEGERS: any(proto.variables.integers),
        Terms.CONVEX_SQUARES: len(coefficients) > 0 and separable,
        Terms.QUADRATIC_OBJECTIVE: len(coefficients) > 0 and not separable,
        Terms.QUADRATIC_CONSTRAINTS: len(proto.quadratic_constraints) > 0,
        Terms.CONES: len(proto.second_order_cone_constraints) > 0,
        Terms.SOS: len(proto.sos1_constraints) + len(proto.sos2_constraints) > 0,
        Terms.INDICATORS: len(proto.indicator_constraints) > 0,
    }
    return reduce(or_, (term for term, there in held.items() if there), Terms.NONE)
