"""What solves one row of a linear or mixed-integer model inside OR-Tools.

Measured before choosing (5×5 and 12×12 grid shortest-path LPs): GLOP through ModelBuilder's helper, from scratch
and without its preprocessing, takes less time than a warm pywraplp model (one SWIG call per coefficient) and than
MathOpt's incremental solver, and its answer cannot depend on what was solved before. SCIP keeps traces of the last
solve when it is re-used (other solutions among ties), so it starts afresh on every row.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from ortools.linear_solver.python import model_builder_helper as builder
from ortools.math_opt import (
    callback_pb2,
    model_parameters_pb2,
    model_pb2,
    model_update_pb2,
    parameters_pb2,
    result_pb2,
    solution_pb2,
)
from ortools.math_opt.core.python import solver as core
from pybind11_abseil.status import StatusNotOk

from combdiff_solvers.limits import Limits
from combdiff_solvers.models.linear_model import LinearModel, TermRows, Terms
from combdiff_solvers.models.mip_backends import BACKENDS, settings_of
from combdiff_solvers.models.model_proto import places, to_proto
from combdiff_solvers.protocol import Row, Status


class Found(NamedTuple):
    """How the solve of one row ended; `x` holds every variable of the model.

    `gap` is what the back end left open between its solution and its bound, in units of the scaled costs. So is
    `bound`, the back end's own, without the offset; `duals` are those of a linear program's rows.
    """

    status: Status
    x: Float64[ndarray, " v"] | None = None
    gap: float = 0.0
    message: str | None = None
    bound: float = float("nan")
    duals: Float64[ndarray, " r"] | None = None


_OBJECTIVE_LIMITS = ("absolute_gap_tolerance", "cutoff_limit", "objective_limit", "best_bound_limit")
_HUGE = 1e18
Typical = tuple[Float64[ndarray, " t"], int]  # costs as an engine solves for, and their exponent


class MathOptEngine:
    """Any MathOpt back end, from scratch on every row, for one vector of costs after another."""

    def __init__(self, model: LinearModel, backend: str, limits: Limits, parameters: bytes | None = None) -> None:
        self._model, self._kind = model, BACKENDS[backend].kind
        self._parameters = settings_of(backend, limits, parameters)
        held = filter(self._parameters.HasField, _OBJECTIVE_LIMITS)
        self._limits = {name: getattr(self._parameters, name) for name in held}
        self._start = model_parameters_pb2.ModelSolveParametersProto()

    @cached_property
    def _proto(self) -> model_pb2.ModelProto:
        return to_proto(self._model)

    @cached_property
    def _ids(self) -> Int64[ndarray, " v"]:
        return np.array(self._proto.variables.ids, dtype=np.int64)

    @cached_property
    def _rows(self) -> Int64[ndarray, " r"]:
        return np.array(self._proto.linear_constraints.ids, dtype=np.int64)

    def hint(self, x: Float64[ndarray, " v"]) -> None:
        """Begin every search at the point x."""
        values = self._start.solution_hints.add().variable_values
        values.ids.extend(self._ids.tolist())
        values.values.extend(x.tolist())

    def fix(self, priced: Int64[ndarray, " n"], lower: Row, upper: Row) -> None:
        """Give the variables at these places other bounds."""
        variables = self._proto.variables
        for place, least, most in zip(priced.tolist(), lower.tolist(), upper.tolist(), strict=True):
            variables.lower_bounds[place], variables.upper_bounds[place] = least, most

    def solve(self, costs: Float64[ndarray, " t"], exponent: int, seconds: float | None) -> Found:
        """Solve for costs of all terms of the objective (`LinearModel.terms_at`), which were multiplied by 2^exponent.

        "Infeasible or unbounded" is resolved by a second solve without costs.
        """
        free = np.zeros_like(costs)
        try:
            result = self._run(costs, exponent, seconds)
        except StatusNotOk:  # MathOpt refuses SCIP's infinite objective of an unbounded integer program
            feasible = self._read(self._run(free, exponent, seconds))
            if feasible.status.has_solution and self._relaxation_is_unbounded(costs, exponent, seconds):
                return Found(Status.UNBOUNDED)
            raise
        reason = result.termination.reason
        told = result.termination.problem_status.primal_status == result_pb2.FEASIBILITY_STATUS_FEASIBLE
        if reason == result_pb2.TERMINATION_REASON_INFEASIBLE_OR_UNBOUNDED or (
            reason == result_pb2.TERMINATION_REASON_UNBOUNDED and not told
        ):
            feasible = self._read(self._run(free, exponent, seconds))
            return Found(Status.UNBOUNDED) if feasible.status.has_solution else feasible
        return self._read(result)

    def _relaxation_is_unbounded(self, costs: Float64[ndarray, " t"], exponent: int, seconds: float | None) -> bool:
        """Whether the LP without integrality is; a feasible integer program of rationals is then unbounded too."""
        if self._model.terms is not Terms.INTEGERS:
            return False
        own = self._proto.variables
        lower, upper = np.array(own.lower_bounds), np.array(own.upper_bounds)  # of what is fixed, too
        relaxed = replace(self._model, lower=lower, upper=upper, integer=np.zeros_like(self._model.integer))
        return MathOptEngine(relaxed, "glop", Limits()).solve(costs, exponent, seconds).status is Status.UNBOUNDED

    def _run(self, costs: Float64[ndarray, " t"], exponent: int, seconds: float | None) -> result_pb2.SolveResultProto:
        linear, squares = np.split(costs, [len(self._model.c)])
        objective = self._proto.objective
        objective.ClearField("linear_coefficients")
        objective.linear_coefficients.ids.extend(self._ids.tolist())
        objective.linear_coefficients.values.extend(linear.tolist())
        objective.quadratic_coefficients.ClearField("coefficients")
        objective.quadratic_coefficients.coefficients.extend(squares.tolist())
        self._set_limits(exponent, seconds)
        nothing = callback_pb2.CallbackRegistrationProto()
        setup = parameters_pb2.SolverInitializerProto()
        return core.solve(self._proto, self._kind, setup, self._parameters, self._start, None, nothing, None, None)

    def _set_limits(self, exponent: int, seconds: float | None) -> None:
        """Set the time limit, and what limits the objective in the units of the scaled costs.

        The objective's offset stays out of the model, where it would cost digits, unless a relative gap needs it.
        """
        offset = float(np.ldexp(self._model.offset, exponent))
        kept = offset if self._parameters.relative_gap_tolerance and abs(offset) < _HUGE else 0.0
        self._proto.objective.offset = kept
        for name, value in self._limits.items():
            shift = 0.0 if name == "absolute_gap_tolerance" else kept - offset
            limit = float(np.ldexp(value, exponent)) + shift
            setattr(self._parameters, name, min(max(limit, -_HUGE), _HUGE))
        if seconds is None:
            self._parameters.ClearField("time_limit")
        else:
            self._parameters.time_limit.FromNanoseconds(max(1, int(seconds * 1e9)))

    def _read(self, result: result_pb2.SolveResultProto) -> Found:
        end = result.termination
        detail = end.detail or None
        if end.reason == result_pb2.TERMINATION_REASON_INFEASIBLE:
            return Found(Status.INFEASIBLE)
        if end.reason == result_pb2.TERMINATION_REASON_UNBOUNDED:
            return Found(Status.UNBOUNDED)
        gap = abs(end.objective_bounds.primal_bound - end.objective_bounds.dual_bound)
        bound = end.objective_bounds.dual_bound - self._proto.objective.offset
        duals = [one.dual_solution.dual_values for one in result.solutions if one.HasField("dual_solution")]
        y = _dense(duals[0], self._rows) if duals else None
        for solution in result.solutions:
            if solution.primal_solution.feasibility_status == solution_pb2.SOLUTION_STATUS_FEASIBLE:
                x = _dense(solution.primal_solution.variable_values, self._ids)
                if end.reason == result_pb2.TERMINATION_REASON_OPTIMAL:
                    return Found(Status.OPTIMAL, x, gap, None, bound, y)
                return Found(Status.FEASIBLE, x, gap, detail, bound, y)
        if end.reason == result_pb2.TERMINATION_REASON_NO_SOLUTION_FOUND:
            return Found(Status.LIMIT, message=detail, bound=bound)
        name = result_pb2.TerminationReasonProto.Name(end.reason).removeprefix("TERMINATION_REASON_")
        return Found(Status.ERROR, message=f"the solver ended with {name}" + (f": {detail}" if detail else ""))


def _dense(values: Any, ids: Int64[ndarray, " k"]) -> Float64[ndarray, " k"]:
    """A sparse vector of MathOpt's over the variables or rows with these ids."""
    dense = np.zeros(len(ids))
    dense[places(values.ids, ids)] = np.array(values.values)
    return dense


class BasisEngine(MathOptEngine):
    """GLOP with a warm handle, begun on every row at the same basis, so that the past leaves no trace in y."""

    def __init__(self, model: LinearModel, limits: Limits, parameters: bytes | None, typical: Typical) -> None:
        super().__init__(model, "glop", limits, parameters)
        result = self._run(*typical, None)
        if result.solutions and result.solutions[0].HasField("basis"):
            self._start.initial_basis.CopyFrom(result.solutions[0].basis)
        self._parameters.presolve = parameters_pb2.EMPHASIS_OFF
        self._handle = core.new(self._kind, self._proto, parameters_pb2.SolverInitializerProto())
        self._update = model_update_pb2.ModelUpdateProto()
        self._update.objective_updates.linear_coefficients.ids.extend(self._ids.tolist())

    def solve(self, costs: Float64[ndarray, " t"], exponent: int, seconds: float | None) -> Found:
        """Solve for these costs; what is no optimum is looked at again from scratch."""
        values = self._update.objective_updates.linear_coefficients.values
        del values[:]
        values.extend(costs.tolist())
        if not self._handle.update(self._update):
            return super().solve(costs, exponent, seconds)
        self._set_limits(exponent, seconds)
        nothing = callback_pb2.CallbackRegistrationProto()
        result = self._handle.solve(self._parameters, self._start, None, nothing, None, None)
        found = self._read(result)
        return found if found.status.has_solution else super().solve(costs, exponent, seconds)


class GlopEngine(MathOptEngine):
    """GLOP by way of ModelBuilder: the quickest way in and out, from scratch on every row."""

    PREPROCESS_FROM = 2000  # columns and rows; below, preprocessing costs more than it saves
    LARGE = 2.0**20  # bounds up to this size, beside coefficients of ±1, need no scaling: 3 to 5 % of the time

    def __init__(self, model: LinearModel, limits: Limits) -> None:
        super().__init__(model, "glop", limits)
        sides = model.lower, model.upper, model.row_lower, model.row_upper
        self._helper = builder.ModelBuilderHelper()
        self._helper.fill_model_from_sparse_data(*sides[:2], model.c, *sides[2:], model.A)
        self._solver = builder.ModelSolverHelper("glop")
        sizes = np.abs(np.concatenate(sides))
        plain = (np.abs(model.A.data) == 1).all() and (sizes[np.isfinite(sizes)] <= self.LARGE).all()
        parameters = {"use_preprocessing": sum(model.A.shape) >= self.PREPROCESS_FROM, "use_scaling": not plain}
        self._solver.set_solver_specific_parameters(" ".join(f"{k}: {str(v).lower()}" for k, v in parameters.items()))
        self._order = list(range(len(model.c)))

    def solve(self, costs: Float64[ndarray, " t"], exponent: int, seconds: float | None) -> Found:
        """Solve for these costs; what is no optimum is asked of MathOpt, which says more about it."""
        self._helper.clear_objective()  # or coefficients that become zero would keep their last value
        self._helper.set_maximize(self._model.maximize)
        self._helper.set_objective_coefficients(self._order, costs.tolist())
        self._solver.set_time_limit_in_seconds(1e9 if seconds is None else seconds)
        self._solver.solve(self._helper)
        status = self._solver.status()
        if status == builder.OPTIMAL:
            return Found(Status.OPTIMAL, self._solver.variable_values(), duals=self._solver.dual_values())
        if status == builder.FEASIBLE:
            return Found(Status.FEASIBLE, self._solver.variable_values())
        return super().solve(costs, exponent, seconds)


def make_engine(
    model: LinearModel, backend: str, limits: Limits, parameters: bytes | None = None, typical: Typical | None = None
) -> MathOptEngine:
    """The engine for a model, whose searches begin at the solution for typical costs."""
    if backend == "glop" and typical is not None:
        return BasisEngine(model, limits, parameters, typical)
    if backend == "glop" and parameters is None and len(model.row_lower):
        return GlopEngine(model, limits)
    engine = MathOptEngine(model, backend, limits, parameters)
    if typical is not None:
        expected = engine.solve(*typical, limits.time_limit)
        if expected.x is not None:
            engine.hint(expected.x)
    return engine


def scale(costs: TermRows, terms: Terms) -> tuple[TermRows, Int64[ndarray, " b"]]:
    """Each row of costs times a power of two, so that tolerances are small beside the largest; and the exponents.

    Linear models: a reduced cost may miss by 1e-7, which is 1e-13 of the largest cost then. Measured on LPs with costs
    from 1e-8.5 to 1: HiGHS 1.7e-7, GLOP 2e-8 and SCIP 1.5e-9 of the largest cost above the optimum without scale, 4e-16
    with it. Quadratic models: at 2¹⁰ SCIP can search for seconds and at 2²⁰ for minutes at a smooth optimum, which its
    absolute tolerances cannot tell from its neighbours; 2⁷ took 0.1 s at most on 776 random ones, at most 9e-9 above
    the optimum.
    """
    largest = np.abs(costs).max(axis=1)
    exponents = np.where(largest > 0, (7 if terms & Terms.QUADRATIC else 20) - np.frexp(largest)[1], 0).astype(np.int64)
    return np.ldexp(costs, exponents[:, None]), exponents
