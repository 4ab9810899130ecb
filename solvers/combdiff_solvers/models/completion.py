"""The best completion of given values of the priced variables, for the value of a solution."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from combdiff_solvers.limits import Limits
from combdiff_solvers.models.linear_model import LinearModel
from combdiff_solvers.models.mip_engines import Costs, MathOptEngine, scale
from combdiff_solvers.models.variables import TOLERANCE, nearest_feasible
from combdiff_solvers.protocol import Status
from combdiff_solvers.rows import Answer


class CompletionEngine:
    """A model whose priced variables are fixed row by row, solved for the part of h that they leave open."""

    def __init__(self, model: LinearModel, backend: str, priced: Int64[ndarray, " n"]) -> None:
        self._model, self._priced = model, priced
        self._engine = MathOptEngine(model, backend, Limits())
        costs, exponents = scale(model.open_coefficients(priced)[None], model.terms)
        self._costs = Costs(costs[0], int(exponents[0]))

    def complete(self, y: Float64[ndarray, " n"], seconds: float | None) -> Answer:
        """h(y), as the objective of the answer, and how the search for it ended."""
        model, priced = self._model, self._priced
        lower, upper, integer = model.lower[priced], model.upper[priced], model.integer[priced]
        point = nearest_feasible(y, lower, upper, integer)
        if point is None:
            return Answer(Status.INFEASIBLE)
        slack = np.where(integer, 0.0, TOLERANCE * np.maximum(1.0, np.abs(y)))
        for width in (0.0, slack):  # equations between rounded entries of y need the slack
            self._engine.fix(priced, np.maximum(point - width, lower), np.minimum(point + width, upper))
            found = self._engine.solve(self._costs, seconds)
            if found.status is not Status.INFEASIBLE:
                break
        if found.x is None:
            return Answer(found.status, message=found.message)
        x = np.where(model.integer, np.rint(found.x), found.x)
        x[priced] = y
        return Answer(found.status, objective=float(model.h(x[None])[0]), message=found.message)
