"""One CP-SAT model, solved for one vector of real costs after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from ortools.sat.python import cp_model_helper as helper

from combdiff_solvers.limits import Clock, Limits
from combdiff_solvers.models.integer_scaling import Box, Scaled, Vector, add_exactly, scale
from combdiff_solvers.protocol import Row, Sense, Status
from combdiff_solvers.rows import Answer

PROVEN = 1e-10  # an OPTIMAL row is within this share of Σ |aᵢ xᵢ| of the optimum


@dataclass(frozen=True)
class Objective:
    """Costs over some variables of a model: h, and where θ is added to it."""

    variables: Int64[ndarray, " v"]
    costs: Vector
    offset: float
    places: Int64[ndarray, " n"]

    @classmethod
    def take_from(cls, model: Any) -> tuple[Objective, bool, bool]:
        """Remove a CpModelProto's objective: the costs, whether they were to be maximised, and whether there were any.

        Raises:
            ValueError: for an objective with a domain of its own.
        """
        whole, has_objective = model.has_objective(), model.has_objective() or model.has_floating_point_objective()
        own = model.objective if whole else model.floating_point_objective
        if whole and len(own.domain):
            raise ValueError("the model's objective has a domain: state it as a constraint instead")
        factor = (own.scaling_factor or 1.0) if whole else 1.0
        maximize, offset = factor < 0 if whole else own.maximize, factor * own.offset
        references = np.array(list(own.vars), dtype=np.int64)
        costs = factor * np.array(list(own.coeffs), dtype=np.float64)
        model.clear_objective()
        model.clear_floating_point_objective()
        costs = np.where(references < 0, -costs, costs)  # −i − 1 stands for −xᵢ
        variables, places = np.unique(np.where(references < 0, -references - 1, references), return_inverse=True)
        summed = np.zeros(len(variables))
        np.add.at(summed, places, costs)
        return cls(variables, summed, offset, np.zeros(0, dtype=np.int64)), maximize, has_objective and len(costs) > 0

    def priced_at(self, indices: Int64[ndarray, " n"]) -> Objective:
        """The same costs over these variables too, to which θ will be added."""
        variables = np.union1d(self.variables, indices)
        costs = np.zeros(len(variables))
        costs[np.searchsorted(variables, self.variables)] = self.costs
        return replace(self, variables=variables, costs=costs, places=np.searchsorted(variables, indices))


class _End(NamedTuple):
    """How one run of CP-SAT ended: x over the variables with costs, and the proven bound on the integer objective."""

    status: Status
    x: Vector
    bound: int
    everything: list[int]
    message: str | None = None
    work: float = 0.0  # CP-SAT's deterministic time


class CpSatEngine:
    """A warm model: only the coefficients of its objective change from row to row."""

    REFINEMENTS = 6
    PATIENCE = 0.02, 10.0  # deterministic time of a refinement at most: a constant, and a multiple of the first solve

    def __init__(
        self,
        proto: str,
        objective: Objective,
        sense: Sense,
        limits: Limits,
        parameters: Mapping[str, Any],
        typical: Row | None = None,
    ) -> None:
        self._model = helper.CpModelProto()
        self._model.parse_text_format(proto)
        self._objective = objective
        self._sign = sense.sign
        self._limits = limits
        self._box = self._bounds(self._model)
        self._model.objective.vars.extend(objective.variables.tolist())
        self._settings = helper.SatParameters()
        defaults = {
            "num_workers": 1,
            "random_seed": 1,
            "presolve_inclusion_work_limit": 0,
            "catch_sigint_signal": False,
            "absolute_gap_limit": 0.0,
            "relative_gap_limit": limits.relative_gap,
        }
        for name, value in {**defaults, **parameters}.items():
            setattr(self._settings, name, value)
        if typical is not None:
            self._hint(typical)

    def _bounds(self, model: Any) -> Box:
        domains = [model.variables[place].domain for place in self._objective.variables.tolist()]
        ends = np.array([(domain[0], domain[len(domain) - 1]) for domain in domains], dtype=np.float64)
        return Box(*ends.reshape(-1, 2).T)

    def _hint(self, theta: Row) -> None:
        """Begin every search at the solution for these costs."""
        costs, rest = self._costs(theta)
        end = self._run(self._model, scale(costs, self._box, rest), self._limits.time_limit)
        if end.status.has_solution:
            self._model.clear_solution_hint()
            self._model.solution_hint.vars.extend(list(range(len(end.everything))))
            self._model.solution_hint.values.extend(end.everything)

    def solve(self, theta: Row, seconds: float | None, fixed: Mapping[int, int] | None = None) -> Answer:
        """Solve one row, with the variables of these indices fixed at these values."""
        model, box = self._model, self._box
        if fixed:
            model = helper.CpModelProto()
            model.copy_from(self._model)
            for place, value in fixed.items():
                domain = model.variables[place].domain
                spans = zip(list(domain)[::2], list(domain)[1::2], strict=True)
                if not any(least <= value <= most for least, most in spans):
                    return Answer(Status.INFEASIBLE)
                domain.clear()
                domain.extend([value, value])
            box = self._bounds(model)
        clock = Clock(Limits(batch_time_limit=seconds))
        costs, rest = self._costs(theta)
        scaled = scale(costs, box, rest)
        end = self._run(model, scaled, clock.seconds())
        status, message = end.status, end.message
        if not status.has_solution:
            return Answer(status, message=message)
        sizes = np.abs(np.ldexp(costs, scaled.exponent))
        open_ = max(0, scaled.value(end.x) - end.bound)
        slack = scaled.slack(end.x, box)
        if status is Status.OPTIMAL and open_ == 0 and self._limits.exact:
            end, slack = self._refine(model, box, scaled, end, slack, sizes, clock)
        left = float(np.ldexp(open_ + slack, -scaled.exponent))
        if status is Status.OPTIMAL and open_ + slack > PROVEN * float(sizes @ np.abs(end.x)):
            status = Status.FEASIBLE
        if status is Status.FEASIBLE:
            message = f"another solution could be better by {left:.3g} at most: that much is not proven"
        # The objective in float64; no point is better by more than `left`, and the rounding of sums widens the bound.
        own, y = self._objective, end.x[self._objective.places]
        objective = float(theta @ y) + float(own.costs @ end.x) + own.offset
        size = np.abs(theta) @ np.abs(y) + np.abs(own.costs) @ np.abs(end.x) + abs(own.offset) + left
        bound = objective - self._sign * (left + (len(end.x) + 4) * 2.0**-51 * size)
        return Answer(status, y, objective, message, float(np.nextafter(bound, -self._sign * np.inf)))

    def _costs(self, theta: Row) -> tuple[Vector, Vector]:
        """Costs to be minimised, θ + h, and what float64 lost in that sum."""
        added = np.zeros(len(self._objective.costs))
        added[self._objective.places] = theta
        costs, rest = add_exactly(self._objective.costs, added)
        return self._sign * costs, self._sign * rest

    def _refine(
        self, model: Any, box: Box, step: Scaled, first: _End, slack: float, sizes: Vector, clock: Clock
    ) -> tuple[_End, float]:
        """Minimise what rounding took away, too, among the points that it made level; until the rest is small enough.

        `sizes` are the |costs| in units of 2^−exponent. Returns the best point and its slack, in these units.
        """
        end, unit, best, least = first, 1.0, first, slack
        for _ in range(self.REFINEMENTS):
            seconds = clock.seconds()
            if least <= PROVEN * float(sizes @ np.abs(best.x)) or (seconds is not None and seconds <= 0):
                break
            model, box, costs = _among_the_level(model, box, step, end, slack)
            step = scale(costs, box)
            end = self._run(model, step, seconds, self.PATIENCE[0] + self.PATIENCE[1] * first.work)
            if end.status is not Status.OPTIMAL or step.value(end.x) > end.bound:
                break
            slack, unit = step.slack(end.x, box), unit * float(np.ldexp(1.0, -step.exponent))
            if slack * unit >= least:
                break
            best, least = end._replace(x=end.x[: len(first.x)]), slack * unit
        return best, least

    def _run(self, model: Any, scaled: Scaled, seconds: float | None, work: float | None = None) -> _End:
        model.objective.coeffs.clear()
        model.objective.coeffs.extend(scaled.coefficients.tolist())
        self._settings.max_time_in_seconds = float("inf") if seconds is None else max(seconds, 0.0)
        gap = self._limits.absolute_gap
        self._settings.absolute_gap_limit = float(np.ldexp(gap, scaled.exponent)) if gap else 0.0
        patience = self._settings.max_deterministic_time
        if work is not None:
            self._settings.max_deterministic_time = min(work, patience)
        wrapper = helper.SolveWrapper()
        wrapper.set_parameters(self._settings)
        self._settings.max_deterministic_time = patience
        response = wrapper.solve(model)
        status = _STATUS.get(response.status.name, Status.ERROR)
        everything = list(response.solution)
        if status is Status.ERROR:
            said = helper.CpSatHelper.validate_model(model) or response.solution_info
            return _End(status, np.zeros(0), 0, [], f"CP-SAT ended with {response.status.name}: {said}")
        if not status.has_solution:
            return _End(status, np.zeros(0), 0, [])
        values = np.array(everything, dtype=np.int64)
        x = values[np.array(list(model.objective.vars), dtype=np.int64)].astype(np.float64)
        bound = int(response.inner_objective_lower_bound)
        return _End(status, x, bound, everything, None, response.deterministic_time)


def _among_the_level(
    model: Any, box: Box, step: Scaled, end: _End, slack: float
) -> tuple[Any, Box, Float64[ndarray, " w"]]:
    """The model cut down to the points whose integer costs are within the slack of x's, with the residual as costs.

    One variable more, z = ⟨coefficients, x⟩ − its least value, takes the place of the integer costs.
    """
    band = int(np.floor(slack))
    cut = helper.CpModelProto()
    cut.copy_from(model)
    extra = len(cut.variables)
    variable = helper.IntegerVariableProto()
    variable.domain.extend([0, band])
    cut.variables.append(variable)
    row = helper.ConstraintProto()
    row.linear.vars.extend([*list(cut.objective.vars), extra])
    row.linear.coeffs.extend([*step.coefficients.tolist(), -1])
    row.linear.domain.extend([step.value(end.x)] * 2)
    cut.constraints.append(row)
    cut.objective.vars.append(extra)
    if not cut.has_solution_hint():
        cut.solution_hint.vars.extend(list(range(extra)))
        cut.solution_hint.values.extend(end.everything)
    cut_box = Box(np.append(box.lower, 0.0), np.append(box.upper, float(band)))
    return cut, cut_box, np.append(step.residual, 1.0)


_STATUS = {
    "OPTIMAL": Status.OPTIMAL,
    "FEASIBLE": Status.FEASIBLE,
    "INFEASIBLE": Status.INFEASIBLE,
    "UNKNOWN": Status.LIMIT,
}
