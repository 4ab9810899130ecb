"""Native models as Solvers: which variables θ prices, which sense they have, and what h is worth."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from combdiff_solvers.protocol import BatchSolver, PerRow, Row, Rows, Sense, Sets
from combdiff_solvers.rows import value_rows

TOLERANCE = 1e-6  # for feasibility, as in the back ends; y may come from float32


def resolve_variables(variables: Any, index_of: Callable[[Any], int], kind: str) -> tuple[ndarray, tuple[int, ...]]:
    """The indices of the priced variables in the user's order, and their shape.

    Args:
        variables: a variable, a (nested) sequence or array of them, or a (nested) mapping to them.
        index_of: a variable's index in the model; raises TypeError or ValueError for what is none of the model.
        kind: what the variables should be, for errors.

    Raises:
        ValueError: for no variables, or one that comes twice.
    """
    variables = _values(variables)
    if isinstance(variables, ndarray):
        array = variables
    else:
        array = np.array(variables if hasattr(variables, "__len__") else [variables], dtype=object)
    if array.size == 0:
        raise ValueError(f"variables is empty: give the {kind} that theta prices")
    shape = array.shape or (1,)
    indices = np.array([index_of(variable) for variable in array.reshape(-1)], dtype=np.int64)
    values, counts = np.unique(indices, return_counts=True)
    if counts.max() > 1:
        twice = np.flatnonzero(indices == values[counts.argmax()])
        raise ValueError(
            f"variables[{twice[1]}] is the same variable as variables[{twice[0]}] (in row-major order): "
            "each entry of theta needs a variable of its own"
        )
    return indices, shape


def _values(variables: Any) -> Any:
    """The values of mappings in their order, to every depth."""
    return [_values(one) for one in variables.values()] if isinstance(variables, Mapping) else variables


def resolve_sense(given: Sense | str | None, maximize: bool, has_objective: bool) -> Sense:
    """The sense of the model, or the one that is given.

    Raises:
        ValueError: when both are there and differ, for then one of them is a mistake.
    """
    own = Sense.MAX if maximize else Sense.MIN
    if given is None:
        return own
    if has_objective and Sense(given) is not own:
        raise ValueError(
            f"sense={Sense(given).value!r}, but the model's own objective is to be {own.value}imized: leave sense out, "
            "or clear the model's objective"
        )
    return Sense(given)


def resolve_native(
    variables: Any, kind: type | tuple[type, ...], place: Callable[[Any], int | None], library: str, instead: str = ""
) -> tuple[ndarray, tuple[int, ...]]:
    """`resolve_variables` for objects of a kind: `place` is None for one that is not of the model.

    `instead` says what to do about anything else.
    """

    def index_of(variable: Any) -> int:
        if not isinstance(variable, kind):
            what = type(variable).__name__
            raise TypeError(f"{variable!r} is a {what}, not a variable of the {library} model{instead}")
        found = place(variable)
        if found is None:
            raise ValueError(f"variable {variable} is not of this model")
        return int(found)

    return resolve_variables(variables, index_of, f"{library} variables")


class NativeModel(BatchSolver):
    """The base of solvers whose h is the rest of a model's objective."""

    def value_checked(self, y: Rows, theta: Rows, instances: Sets) -> PerRow:
        """⟨θ, y⟩ + h(y) of every row, in the model's sense and units; shape (b,).

        Where h holds unpriced variables, it is that of the best completion: the model is solved with y fixed, to the
        proof, for at most `time_limit` seconds a row. NaN where y has no feasible completion (or none was proven the
        best in that time), and in a row of y with NaN.

        >>> from combdiff_solvers.models.cp_sat import cp_model, wrap
        >>> model = cp_model.CpModel()
        >>> x, z = model.new_bool_var("x"), model.new_int_var(0, 5, "z")
        >>> _ = model.add(z >= 2 + 2 * x)
        >>> model.minimize(3 * z)
        >>> wrap(model, [x]).value(np.array([[0.0], [1.0]]), np.array([[0.5], [0.5]]))
        array([ 6. , 12.5])
        """
        return value_rows(theta, y, lambda row: self._h(y[row]))

    @abstractmethod
    def _h(self, y: Row) -> float:
        """h of one point."""


def nearest_feasible(y: Row, lower: Row, upper: Row, integer: Bool[ndarray, " n"]) -> Row | None:
    """The point of the bounds and integers that is nearest to y; None where y is not near."""
    point = np.clip(np.where(integer, np.rint(y), y), lower, upper)
    return point if (np.abs(point - y) <= TOLERANCE * np.maximum(1.0, np.abs(y))).all() else None
