"""The Solver of a linear or mixed-integer model, whichever library it came from, on the back end of one's choice."""

from __future__ import annotations

from typing import Any

from jaxtyping import Int64
from numpy import ndarray

from combdiff_solvers.limits import Limits
from combdiff_solvers.models.cp_sat import CpSatModel
from combdiff_solvers.models.integer_rows import to_cp_model
from combdiff_solvers.models.linear_model import LinearModel
from combdiff_solvers.models.math_opt_model import MathOptModel
from combdiff_solvers.models.variables import resolve_sense
from combdiff_solvers.protocol import Sense


def linear_solver(
    model: LinearModel,
    priced: Int64[ndarray, " n"],
    shape: tuple[int, ...],
    sense: Sense | str | None = None,
    backend: str | None = None,
    limits: Limits | None = None,
    warm_start: ndarray | None = None,
    parameters: Any = None,
) -> MathOptModel | CpSatModel:
    """A `CpSatModel` for `backend="cp_sat"`, a `MathOptModel` for every other one.

    Raises:
        ValueError: for an unknown back end, or a model that it cannot take.
    """
    if backend == "cp_sat":
        sense = resolve_sense(sense, model.maximize, bool(model.c.any()))
        return CpSatModel(to_cp_model(model), priced, shape, sense, limits, warm_start, parameters)
    return MathOptModel(model, priced, shape, sense, backend, limits, warm_start, parameters)
