"""Which variables of a model θ prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy import ndarray

from combdiff_solvers.protocol import Sense


def resolve_variables(variables: Any, index_of: Callable[[Any], int], kind: str) -> tuple[ndarray, tuple[int, ...]]:
    """The indices of the priced variables in the user's order, and their shape.

    Args:
        variables: a variable, a (nested) sequence or array of them, or a mapping to them.
        index_of: a variable's index in the model; raises TypeError or ValueError for what is none of the model.
        kind: what the variables should be, for errors.

    Raises:
        ValueError: for no variables, or one that comes twice.
    """
    if isinstance(variables, Mapping):
        variables = list(variables.values())
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
