"""Solvers on the warm model of a library's own, of which each thread has one: SCIP, Gurobi."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from combdiff_solvers.limits import Limits
from combdiff_solvers.models.linear_model import LinearModel
from combdiff_solvers.models.variables import NativeModel, resolve_sense
from combdiff_solvers.protocol import Row, Rows, Sense, Sets, Solutions, Status
from combdiff_solvers.rows import Answer, PerThread, h_of, solve_rows


@runtime_checkable
class Engine(Protocol):
    """A model of its own for one thread; only the objective and the limits change from row to row."""

    def solve(self, theta: Row, seconds: float | None) -> Answer:
        """Solve one row."""
        ...

    def complete(self, y: Row, seconds: float | None) -> Answer:
        """Solve for h alone with the priced variables at y, to the proof whatever gap is allowed."""
        ...


class WarmModel(NativeModel):
    """A problem on the engine of its library: min (or max) ⟨θ, y⟩ + h(x), where y are some of its variables x.

    Args:
        problem: what the engine is built of, as data; its `model` is a `LinearModel` of variables and objective, and of
            the constraints as far as arrays hold them.
        priced: places of the priced variables, in the order of θ.
        shape: of one θ and one y.
        sense: "min" or "max"; None for the model's own.
        limits: of time and gaps; they rule over the model's own parameters.
    """

    engine: ClassVar[Callable[..., Engine]]

    def __init__(
        self,
        problem: Any,
        priced: Int64[ndarray, " n"],
        shape: tuple[int, ...],
        sense: Sense | str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.shape, self.limits = tuple(shape), limits or Limits()
        self.sense = resolve_sense(sense, problem.model.maximize, bool(problem.model.coefficients.any()))
        self._problem, self._priced = problem, priced
        build = partial(self.engine, problem, priced, self.sense, self.limits)  # without self: that is a cycle
        self._engines: PerThread[Engine] = PerThread(build)
        if problem.model.crossed is None:
            self._engines.get()  # or an error would be that of a row

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        clock, crossed = self.limits.start(), self._problem.model.crossed
        if crossed is not None:
            return solve_rows(theta, clock, lambda row, seconds: Answer(Status.INFEASIBLE, message=crossed), self.sense)
        engine = self._engines.get()
        return solve_rows(theta, clock, lambda row, seconds: engine.solve(theta[row], seconds), self.sense)

    def _h(self, y: Row) -> float:
        model: LinearModel = self._problem.model
        if not model.open_coefficients(self._priced).any():
            x = np.zeros((1, len(model.c)))
            x[0, self._priced] = y
            return float(model.h(x)[0])
        if model.crossed is not None:
            return float("nan")
        return h_of(self._engines.get().complete(y, self.limits.time_limit), self.sense)


def outward_bound(told: float, costs: Float64[ndarray, " t"], width: Row, offset: float, sign: float) -> float:
    """An engine's dual bound without the offset, in the units of the costs, with the offset and rounded outwards.

    The tolerance is 1e-9 of the bound or of the largest cost times Σ |xᵢ − x'ᵢ|, for which the width of the variables
    stands: NaN, for nothing is proven, where one has no bounds.
    """
    if not np.isfinite(told) or (width >= 1e19).any():
        return float("nan")
    size = max(abs(told), float(np.abs(costs).max()) * max(1.0, float(width.sum())))
    return told + offset - sign * (1e-9 * size + 2e-15 * abs(offset))
