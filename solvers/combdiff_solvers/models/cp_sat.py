"""OR-Tools CP-SAT models as a Solver: any constraint, real costs, exact about integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy import ndarray
from ortools.sat.python import cp_model
from ortools.sat.python import cp_model_helper as helper

from combdiff_solvers.limits import Limits
from combdiff_solvers.models.cp_sat_engine import CpSatEngine, Objective
from combdiff_solvers.models.variables import NativeModel, resolve_native, resolve_sense
from combdiff_solvers.protocol import Row, Rows, Sense, Sets, Solutions, Solver, Status, as_rows
from combdiff_solvers.rows import WHOLE, Answer, PerThread, h_of, solve_rows
from combdiff_solvers.wrap import options_of, wrap


class CpSatModel(NativeModel):
    """A CP-SAT model: min (or max) ⟨θ, y⟩ + h(x), where y are some of the model's integers and booleans x.

    θ is *added* to what the model's objective already holds (h). Any constraint of CP-SAT may stand in the model. Users
    make it by `combdiff.wrap(model, variables)`; the model is copied, and later changes of the user's object do
    nothing here.

    CP-SAT wants integer costs. Each row's costs a = θ + h are multiplied by the largest power of two for which no sum
    of terms exceeds 2⁵² (so nothing can overflow), and rounded; the error of that is known exactly
    (`integer_scaling`). Where it could hide more than 1e-10 of Σ |aᵢ xᵢ|, a second solve among the points that
    are level so far takes up the rounded-off rest, for about 100 bits together. So

    - OPTIMAL: no solution is better by more than 1e-10 · Σ |aᵢ xᵢ| (most often, by nothing at all);
    - FEASIBLE: y is a solution, and the row's message says what a better one could gain at most.

    `bound` is proven to the same error, rounded outwards.

    The objective is recomputed in float64. One worker and a fixed seed, so the answer is the same everywhere, and each
    row is solved from scratch, or from the solution of `warm_start`'s costs. Presolve's inclusion detection is off: in
    OR-Tools 9.15 it wraps 32-bit sums, and a wrong optimum can come out as proven (google/or-tools issue 5293).
    Ctrl-C takes effect when the row in progress ends.

    Args:
        proto: the model, a `CpModelProto`.
        indices: of the priced variables, in the order of θ.
        shape: of one θ and one y.
        sense: "min" or "max"; None for the model's own.
        limits: of time and gaps.
        warm_start: typical costs, of `shape`; their solution is every search's hint.
        parameters: names and values of `SatParameters` that rule over the defaults.

    Raises:
        ValueError: for an empty or invalid model, an unknown parameter, or a sense against the model's objective.

    >>> model = cp_model.CpModel()
    >>> x = [model.new_int_var(0, 5, f"x{i}") for i in range(3)]
    >>> _ = model.add_all_different(x)
    >>> wrap(model, x).solve(np.array([[0.1, 0.3, -0.2]])).y
    array([[1., 0., 5.]])
    """

    def __init__(
        self,
        proto: Any,
        indices: Sequence[int] | ndarray,
        shape: tuple[int, ...],
        sense: Sense | str | None = None,
        limits: Limits | None = None,
        warm_start: ndarray | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        model = helper.CpModelProto()
        model.copy_from(proto)
        if not len(model.variables):
            raise ValueError("the model is empty: it has no variables")
        objective, maximize, has_objective = Objective.take_from(model)
        self._crossed = _take_crossed_bounds(model)
        problem = helper.CpSatHelper.validate_model(model)
        if problem:
            raise ValueError(f"CP-SAT finds the model invalid: {problem}")
        self.sense = resolve_sense(sense, maximize, has_objective)
        self.shape, self.limits = tuple(shape), limits or Limits()
        self.parameters = dict(parameters or {})
        for name in self.parameters:
            if not hasattr(helper.SatParameters, name):
                raise ValueError(f"parameters has {name!r}, which is no field of CP-SAT's SatParameters")
        self._indices = np.array(indices, dtype=np.int64)
        self._objective = objective.priced_at(self._indices)
        typical = None if warm_start is None else as_rows(np.reshape(warm_start, (1, -1)), self.shape)[0]
        settings = (str(model), self._objective, self.sense)
        build = partial(CpSatEngine, *settings, self.limits, self.parameters, typical)  # no self: a cycle
        self._engines: PerThread[CpSatEngine] = PerThread(build)
        exact = replace(self.limits, relative_gap=0.0, absolute_gap=0.0)
        self._completions: PerThread[CpSatEngine] = PerThread(partial(CpSatEngine, *settings, exact, self.parameters))

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        clock = self.limits.start()
        return solve_rows(theta, clock, lambda row, seconds: self.solve_row(theta[row], seconds), self.sense)

    def solve_row(self, theta: Row, seconds: float | None, fixed: Mapping[int, int] | None = None) -> Answer:
        """Solve one row, with the variables of these indices fixed at these values."""
        if self._crossed is not None:
            return Answer(Status.INFEASIBLE, message=self._crossed)
        return self._engines.get().solve(theta, seconds, fixed)

    def _h(self, y: Row) -> float:
        costs, places = self._objective.costs, self._objective.places
        if not np.delete(costs, places).any():
            return float(y @ costs[places]) + self._objective.offset
        whole = np.rint(y).astype(np.int64).tolist()
        if self._crossed is not None or (np.abs(y - whole) > WHOLE).any():
            return float("nan")
        priced = dict(zip(self._indices.tolist(), whole, strict=True))
        return h_of(self._completions.get().solve(np.zeros(len(y)), self.limits.time_limit, priced), self.sense)


def _take_crossed_bounds(model: Any) -> str | None:
    """What variable no value is left for, so that nothing can be feasible; its domain becomes {0}. None for nothing."""
    crossed = None
    for place, variable in enumerate(model.variables):
        domain = list(variable.domain)
        if not domain or (len(domain) == 2 and domain[0] > domain[1]):
            crossed = crossed or f"no integer is left between the bounds of variable {variable.name or place}"
            variable.domain.clear()
            variable.domain.extend([0, 0])
    return crossed


@wrap.register(cp_model.CpModel)
@options_of(CpSatModel)
def wrap_cp_sat(model: cp_model.CpModel, /, variables: Any, **options: Any) -> Solver:
    """`combdiff.wrap` for a CP-SAT `CpModel`: see `CpSatModel` and `Limits`."""

    def place(variable: Any) -> int | None:
        if isinstance(variable, helper.NotBooleanVariable):
            raise TypeError(f"{variable} is a negated literal: price the variable itself, as <θ, 1 − x> = Σ θ − <θ, x>")
        return variable.index if variable.model_proto is model.proto else None

    kinds = cp_model.IntVar, helper.NotBooleanVariable
    instead = ": price a variable, and tie it to the expression by a constraint"
    return CpSatModel(model.proto, *resolve_native(variables, kinds, place, "CP-SAT", instead), **options)
