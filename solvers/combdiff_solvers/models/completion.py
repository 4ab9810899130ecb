"""The best completion of given values of the priced variables, for the value of a solution."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from ortools.math_opt import model_pb2

from combdiff_solvers.limits import Limits
from combdiff_solvers.models.mip_backends import BACKENDS, settings_of
from combdiff_solvers.models.mip_engines import Costs, MathOptEngine, scale
from combdiff_solvers.models.model_proto import Columns, terms_of
from combdiff_solvers.protocol import Status
from combdiff_solvers.rows import Answer

TOLERANCE = 1e-6
"""for feasibility, as in the back ends; y may come from float32"""


class CompletionEngine:
    """A model whose priced variables are fixed row by row, solved for the part of h that they leave open."""

    def __init__(self, proto: bytes, backend: str, priced: Int64[ndarray, " n"]) -> None:
        model = model_pb2.ModelProto.FromString(proto)
        self._columns, self._priced = Columns(model), priced
        self._engine = MathOptEngine(model, BACKENDS[backend].kind, settings_of(backend, Limits()))
        costs, exponents = scale(self._columns.open_coefficients(priced)[None], terms_of(model))
        self._costs = Costs(costs[0], int(exponents[0]))

    def complete(self, y: Float64[ndarray, " n"], seconds: float | None) -> Answer:
        """h(y), as the objective of the answer, and how the search for it ended."""
        lower, upper = self._columns.lower[self._priced], self._columns.upper[self._priced]
        integer = self._columns.integer[self._priced]
        point = np.clip(np.where(integer, np.rint(y), y), lower, upper)
        slack = TOLERANCE * np.maximum(1.0, np.abs(y))
        if (np.abs(point - y) > slack).any():
            return Answer(Status.INFEASIBLE)
        for width in (0.0, np.where(integer, 0.0, slack)):  # equations between rounded entries of y need the slack
            self._engine.fix(self._priced, np.maximum(point - width, lower), np.minimum(point + width, upper))
            found = self._engine.solve(self._costs, seconds)
            if found.status is not Status.INFEASIBLE:
                break
        if found.x is None:
            return Answer(found.status, message=found.message)
        x = np.where(self._columns.integer, np.rint(found.x), found.x)
        x[self._priced] = y
        return Answer(found.status, objective=float(self._columns.h(x[None])[0]), message=found.message)
