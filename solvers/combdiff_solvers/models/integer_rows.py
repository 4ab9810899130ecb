"""Linear rows with real coefficients as rows with integer ones, where that is possible without changing them."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float64
from numpy import ndarray
from ortools.sat.python import cp_model_helper as helper

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


def cp_model_text(
    lower: Float64[ndarray, " v"],
    upper: Float64[ndarray, " v"],
    integer: Bool[ndarray, " v"],
    matrix: scipy.sparse.csr_matrix,
    row_lower: Float64[ndarray, " r"],
    row_upper: Float64[ndarray, " r"],
    costs: Float64[ndarray, " v"],
    maximize: bool,
    offset: float = 0.0,
) -> str:
    """The CpModelProto, as text, of an integer program.

    Raises:
        ValueError: for a continuous or unbounded variable, numbers that are too large for CP-SAT, or a row that cannot
            be made integer.
    """
    open_ = ~integer | ~np.isfinite(lower) | ~np.isfinite(upper)
    if open_.any():
        column = int(np.flatnonzero(open_)[0])
        what = "continuous" if not integer[column] else "unbounded"
        raise ValueError(f"variable {column} is {what}, but 'cp_sat' needs bounded integers: use 'scip' or 'highs'")
    large = np.maximum(np.abs(lower), np.abs(upper)) >= LARGEST
    if large.any():
        column = int(np.flatnonzero(large)[0])
        raise ValueError(
            f"variable {column} has bounds [{lower[column]:.6g}, {upper[column]:.6g}], but 'cp_sat' needs them within "
            "2^62: use 'scip' or 'highs', or closer bounds"
        )
    model = helper.CpModelProto()
    for least, most in zip(np.ceil(lower).tolist(), np.floor(upper).tolist(), strict=True):
        variable = helper.IntegerVariableProto()
        variable.domain.extend([int(least), int(most)] if least <= most else [])
        model.variables.append(variable)
    for row in range(matrix.shape[0]):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        multiplier = integer_multiplier(matrix.data[part])
        if multiplier is None:
            raise ValueError(
                f"row {row} cannot be scaled to integers (tried up to 1e9): use 'scip' or 'highs', or round it"
            )
        coefficients = np.rint(matrix.data[part] * multiplier)
        if (np.abs(coefficients) >= LARGEST).any():
            raise ValueError(f"row {row} has coefficients beyond 2^62 as integers: use 'scip' or 'highs', or scale it")
        constraint = helper.ConstraintProto()
        constraint.linear.vars.extend(matrix.indices[part].tolist())
        constraint.linear.coeffs.extend([int(c) for c in coefficients])
        sides = [_side(row_lower[row] * multiplier, up=True), _side(row_upper[row] * multiplier, up=False)]
        constraint.linear.domain.extend(sides if sides[0] <= sides[1] else [])
        model.constraints.append(constraint)
    if costs.any() or offset:
        used = np.flatnonzero(costs)
        model.floating_point_objective.vars.extend(used.tolist())
        model.floating_point_objective.coeffs.extend(costs[used].tolist())
        model.floating_point_objective.offset = offset
        model.floating_point_objective.maximize = maximize
    return str(model)


def _side(value: float, up: bool) -> int:
    """The integer that bounds what `value` bounds; within 1e-9 of an integer counts as that (other back ends: 1e-6)."""
    if abs(value) >= -float(LEAST):
        return MOST if value > 0 else LEAST
    near = np.rint(value)
    if abs(value - near) <= max(1e-9, 4 * np.finfo(np.float64).eps * abs(value)):
        return int(near)
    return int(np.ceil(value) if up else np.floor(value))
