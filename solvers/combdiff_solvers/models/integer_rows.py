"""Linear rows with real coefficients as rows with integer ones, where that is possible without changing them."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from ortools.sat.python import cp_model_helper as helper

from combdiff_solvers.models.linear_model import LinearModel, Terms

MULTIPLIERS = [10.0**power for power in range(10)] + [2.0**power for power in range(1, 31)]
LEAST, MOST = -(2**63), 2**63 - 1
LARGEST = 2.0**62  # CP-SAT's bounds of variables are smaller


def integer_multiplier(coefficients: Float64[ndarray, " k"]) -> float | None:
    """The first power of 10 or 2 that makes integers of all of them, up to the rounding of a decimal; None for none.

    >>> integer_multiplier(np.array([0.5, 2.25])), integer_multiplier(np.array([1 / 3]))
    (100.0, None)
    """
    for multiplier in MULTIPLIERS:
        scaled = coefficients * multiplier
        if (np.abs(scaled - np.rint(scaled)) <= 4 * np.finfo(np.float64).eps * np.abs(scaled)).all():
            return multiplier
    return None


def to_cp_model(model: LinearModel) -> Any:
    """The CpModelProto of an integer program.

    Raises:
        ValueError: for a term that is not linear, a continuous or unbounded variable, numbers that are too large for
            CP-SAT, or a row that cannot be made integer.
    """
    missing = model.terms & ~Terms.INTEGERS
    if missing:
        raise ValueError(
            f"backend='cp_sat' takes linear rows and one linear objective, but the model has {missing.in_words}: "
            "use 'scip', or build a CpModel"
        )
    lower, upper = model.lower, model.upper
    open_ = np.flatnonzero(~model.integer | ~np.isfinite(lower) | ~np.isfinite(upper))
    if len(open_):
        what = "unbounded" if model.integer[open_[0]] else "continuous"
        raise ValueError(f"variable {open_[0]} is {what}, but 'cp_sat' needs bounded integers: use 'scip' or 'highs'")
    large = np.flatnonzero(np.maximum(np.abs(lower), np.abs(upper)) >= LARGEST)
    if len(large):
        raise ValueError(
            f"variable {large[0]} has bounds [{lower[large[0]]:.6g}, {upper[large[0]]:.6g}], but 'cp_sat' needs them "
            "within 2^62: use 'scip' or 'highs', or closer bounds"
        )
    proto = helper.CpModelProto()
    for least, most in zip(np.ceil(lower).tolist(), np.floor(upper).tolist(), strict=True):
        variable = helper.IntegerVariableProto()
        variable.domain.extend([int(least), int(most)] if least <= most else [])
        proto.variables.append(variable)
    for row, (first, last) in enumerate(zip(model.A.indptr[:-1], model.A.indptr[1:], strict=True)):
        multiplier = integer_multiplier(model.A.data[first:last])
        if multiplier is None:
            raise ValueError(
                f"row {row} cannot be scaled to integers (tried up to 1e9): use 'scip' or 'highs', or round it"
            )
        coefficients = np.rint(model.A.data[first:last] * multiplier)
        if (np.abs(coefficients) >= LARGEST).any():
            raise ValueError(f"row {row} has coefficients beyond 2^62 as integers: use 'scip' or 'highs', or scale it")
        constraint = helper.ConstraintProto()
        constraint.linear.vars.extend(model.A.indices[first:last].tolist())
        constraint.linear.coeffs.extend([int(c) for c in coefficients])
        sides = [_side(model.row_lower[row] * multiplier, up=True), _side(model.row_upper[row] * multiplier, up=False)]
        constraint.linear.domain.extend(sides if sides[0] <= sides[1] else [])
        proto.constraints.append(constraint)
    if model.c.any() or model.offset:
        objective, used = proto.floating_point_objective, np.flatnonzero(model.c)
        objective.vars.extend(used.tolist())
        objective.coeffs.extend(model.c[used].tolist())
        objective.offset, objective.maximize = model.offset, model.maximize
    return proto


def _side(value: float, up: bool) -> int:
    """The integer that bounds what `value` bounds; within 1e-9 of an integer counts as that (other back ends: 1e-6)."""
    if abs(value) >= -float(LEAST):
        return MOST if value > 0 else LEAST
    near = np.rint(value)
    if abs(value - near) <= max(1e-9, 4 * np.finfo(np.float64).eps * abs(value)):
        return int(near)
    return int(np.ceil(value) if up else np.floor(value))
