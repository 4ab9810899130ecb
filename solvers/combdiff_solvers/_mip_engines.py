"""What solves one row of a linear or mixed-integer model inside OR-Tools.

Measured before choosing (5×5 and 12×12 grid shortest-path LPs): GLOP through ModelBuilder's helper, from scratch
and without its preprocessing, takes less time than a warm pywraplp model (one SWIG call per coefficient) and than
MathOpt's incremental solver, and its answer cannot depend on what was solved before. SCIP keeps traces of the last
solve when it is re-used (other solutions among ties), so it starts afresh on every row.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64
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

from combdiff_solvers._model_proto import Columns, has_only_linear_rows, rows_of
from combdiff_solvers.limits import Limits
from combdiff_solvers.protocol import Status


class Found(NamedTuple):
    """How the solve of one row ended; `x` holds every variable of the model."""

    status: Status
    x: Float64[ndarray, " v"] | None = None
    bound: float | None = None
    message: str | None = None


@runtime_checkable
class Engine(Protocol):
    """Solves one model for one vector of linear costs after another."""

    def solve(self, costs: Float64[ndarray, " v"], seconds: float | None) -> Found: ...


class MathOptEngine:
    """Any MathOpt back end, from scratch on every row."""

    def __init__(self, proto: model_pb2.ModelProto, kind: int, parameters: parameters_pb2.SolveParametersProto) -> None:
        self._proto = model_pb2.ModelProto()
        self._proto.CopyFrom(proto)
        self._kind = kind
        self._parameters = parameters
        self._start = model_parameters_pb2.ModelSolveParametersProto()
        self._ids = np.array(proto.variables.ids, dtype=np.int64)
        self._zeros = np.zeros(len(self._ids))

    def hint(self, x: Float64[ndarray, " v"]) -> None:
        """Begin every search at the point x."""
        values = self._start.solution_hints.add().variable_values
        values.ids.extend(self._ids.tolist())
        values.values.extend(x.tolist())

    def solve(self, costs: Float64[ndarray, " v"], seconds: float | None) -> Found:
        """Solve for these costs; "infeasible or unbounded" is resolved by a second solve without costs."""
        try:
            result = self._run(costs, seconds)
        except StatusNotOk:  # MathOpt refuses SCIP's infinite objective of an unbounded integer program
            feasible = self._read(self._run(self._zeros, seconds))
            if feasible.status.has_solution and self._relaxation_is_unbounded(costs, seconds):
                return Found(Status.UNBOUNDED)
            raise
        reason = result.termination.reason
        told = result.termination.problem_status.primal_status == result_pb2.FEASIBILITY_STATUS_FEASIBLE
        if reason == result_pb2.TERMINATION_REASON_INFEASIBLE_OR_UNBOUNDED or (
            reason == result_pb2.TERMINATION_REASON_UNBOUNDED and not told
        ):
            feasible = self._read(self._run(self._zeros, seconds))
            return Found(Status.UNBOUNDED) if feasible.status.has_solution else feasible
        return self._read(result)

    def _relaxation_is_unbounded(self, costs: Float64[ndarray, " v"], seconds: float | None) -> bool:
        """Whether the LP without integrality is; a feasible integer program of rationals is then unbounded too."""
        if not has_only_linear_rows(self._proto) or not any(self._proto.variables.integers):
            return False
        relaxed = model_pb2.ModelProto()
        relaxed.CopyFrom(self._proto)
        del relaxed.variables.integers[:]
        relaxed.variables.integers.extend([False] * len(self._ids))
        glop = MathOptEngine(relaxed, parameters_pb2.SOLVER_TYPE_GLOP, parameters_pb2.SolveParametersProto())
        return glop.solve(costs, seconds).status is Status.UNBOUNDED

    def _run(self, costs: Float64[ndarray, " v"], seconds: float | None) -> result_pb2.SolveResultProto:
        linear = self._proto.objective.linear_coefficients
        del linear.ids[:], linear.values[:]
        linear.ids.extend(self._ids.tolist())
        linear.values.extend(costs.tolist())
        _set_time(self._parameters, seconds)
        nothing = callback_pb2.CallbackRegistrationProto()
        initializer = parameters_pb2.SolverInitializerProto()
        return core.solve(
            self._proto, self._kind, initializer, self._parameters, self._start, None, nothing, None, None
        )

    def _read(self, result: result_pb2.SolveResultProto) -> Found:
        end = result.termination
        detail = end.detail or None
        bound = end.objective_bounds.dual_bound
        x = _first_solution(result, self._ids)
        if end.reason == result_pb2.TERMINATION_REASON_INFEASIBLE:
            return Found(Status.INFEASIBLE)
        if end.reason == result_pb2.TERMINATION_REASON_UNBOUNDED:
            return Found(Status.UNBOUNDED)
        if end.reason == result_pb2.TERMINATION_REASON_OPTIMAL and x is not None:
            return Found(Status.OPTIMAL, x, bound)
        if x is not None:
            return Found(Status.FEASIBLE, x, bound, detail)
        if end.reason == result_pb2.TERMINATION_REASON_NO_SOLUTION_FOUND:
            return Found(Status.LIMIT, message=detail)
        name = result_pb2.TerminationReasonProto.Name(end.reason).removeprefix("TERMINATION_REASON_")
        return Found(Status.ERROR, message=f"the solver ended with {name}" + (f": {detail}" if detail else ""))


class BasisEngine(MathOptEngine):
    """GLOP with a warm handle, begun on every row at the same basis, so that the past leaves no trace in y."""

    def __init__(
        self,
        proto: model_pb2.ModelProto,
        kind: int,
        parameters: parameters_pb2.SolveParametersProto,
        typical: Float64[ndarray, " v"],
    ) -> None:
        super().__init__(proto, kind, parameters)
        result = self._run(typical, None)
        if result.solutions and result.solutions[0].HasField("basis"):
            self._start.initial_basis.CopyFrom(result.solutions[0].basis)
        self._parameters.presolve = parameters_pb2.EMPHASIS_OFF
        self._handle = core.new(kind, self._proto, parameters_pb2.SolverInitializerProto())
        self._update = model_update_pb2.ModelUpdateProto()
        self._update.objective_updates.linear_coefficients.ids.extend(self._ids.tolist())

    def solve(self, costs: Float64[ndarray, " v"], seconds: float | None) -> Found:
        """Solve for these costs; what is no optimum is looked at again from scratch."""
        values = self._update.objective_updates.linear_coefficients.values
        del values[:]
        values.extend(costs.tolist())
        if not self._handle.update(self._update):
            return super().solve(costs, seconds)
        _set_time(self._parameters, seconds)
        nothing = callback_pb2.CallbackRegistrationProto()
        result = self._handle.solve(self._parameters, self._start, None, nothing, None, None)
        found = self._read(result)
        return found if found.status.has_solution else super().solve(costs, seconds)


class GlopEngine:
    """GLOP by way of ModelBuilder: the quickest way in and out, from scratch on every row."""

    PREPROCESS_FROM = 2000  # columns and rows; below, preprocessing costs more than it saves

    def __init__(self, proto: model_pb2.ModelProto, otherwise: MathOptEngine) -> None:
        columns = Columns(proto)
        matrix, row_lower, row_upper = rows_of(proto)
        self._model = builder.ModelBuilderHelper()
        self._model.fill_model_from_sparse_data(
            columns.lower, columns.upper, columns.costs, row_lower, row_upper, matrix
        )
        self._maximize = proto.objective.maximize
        self._solver = builder.ModelSolverHelper("glop")
        if len(columns.ids) + len(row_lower) < self.PREPROCESS_FROM:
            self._solver.set_solver_specific_parameters("use_preprocessing: false")
        self._order = list(range(len(columns.ids)))
        self._otherwise = otherwise

    def solve(self, costs: Float64[ndarray, " v"], seconds: float | None) -> Found:
        """Solve for these costs; what is no optimum is asked of MathOpt, which says more about it."""
        self._model.clear_objective()  # or coefficients that become zero would keep their last value
        self._model.set_maximize(self._maximize)
        self._model.set_objective_coefficients(self._order, costs.tolist())
        self._solver.set_time_limit_in_seconds(1e9 if seconds is None else seconds)
        self._solver.solve(self._model)
        status = self._solver.status()
        if status == builder.OPTIMAL:
            return Found(Status.OPTIMAL, self._solver.variable_values())
        if status == builder.FEASIBLE:
            return Found(Status.FEASIBLE, self._solver.variable_values())
        return self._otherwise.solve(costs, seconds)


class Backend(NamedTuple):
    """A MathOpt solver and what it is good for."""

    kind: int
    integers: bool
    set_up: Callable[[parameters_pb2.SolveParametersProto, Limits], None]
    exact: bool = True


def _set_gaps(parameters: parameters_pb2.SolveParametersProto, limits: Limits) -> None:
    parameters.random_seed = 1
    parameters.relative_gap_tolerance = limits.relative_gap  # HiGHS would stop at 1e-4
    parameters.absolute_gap_tolerance = limits.absolute_gap


def _set_up_scip(parameters: parameters_pb2.SolveParametersProto, limits: Limits) -> None:
    _set_gaps(parameters, limits)
    parameters.threads = 1


def _set_up_highs(parameters: parameters_pb2.SolveParametersProto, limits: Limits) -> None:
    _set_gaps(parameters, limits)
    parameters.highs.string_options["parallel"] = "off"


def _set_up_glop(parameters: parameters_pb2.SolveParametersProto, limits: Limits) -> None:
    parameters.random_seed = 1


def _set_up_pdlp(parameters: parameters_pb2.SolveParametersProto, limits: Limits) -> None:
    parameters.threads = 1


BACKENDS = {
    "glop": Backend(parameters_pb2.SOLVER_TYPE_GLOP, False, _set_up_glop),
    "pdlp": Backend(parameters_pb2.SOLVER_TYPE_PDLP, False, _set_up_pdlp, exact=False),
    "scip": Backend(parameters_pb2.SOLVER_TYPE_GSCIP, True, _set_up_scip),
    "highs": Backend(parameters_pb2.SOLVER_TYPE_HIGHS, True, _set_up_highs),
}


def make_engine(
    proto: model_pb2.ModelProto,
    backend: str,
    limits: Limits,
    parameters: bytes | None = None,
    typical: Float64[ndarray, " v"] | None = None,
) -> Engine:
    """The engine for a model; `parameters` is a serialized `SolveParametersProto` that rules over the defaults."""
    chosen = BACKENDS[backend]
    settings = parameters_pb2.SolveParametersProto()
    chosen.set_up(settings, limits)
    if parameters is not None:
        settings.MergeFrom(parameters_pb2.SolveParametersProto.FromString(parameters))
    cold = partial(MathOptEngine, proto, chosen.kind, settings)
    if backend == "glop" and typical is not None:
        return BasisEngine(proto, chosen.kind, settings, typical)
    if backend == "glop" and parameters is None and has_only_linear_rows(proto) and len(proto.linear_constraints.ids):
        return GlopEngine(proto, cold())
    engine = cold()
    if typical is not None:
        expected = engine.solve(typical, limits.time_limit)
        if expected.x is not None:
            engine.hint(expected.x)
    return engine


def _set_time(parameters: parameters_pb2.SolveParametersProto, seconds: float | None) -> None:
    if seconds is None:
        parameters.ClearField("time_limit")
    else:
        parameters.time_limit.FromNanoseconds(max(1, int(seconds * 1e9)))


def _first_solution(result: result_pb2.SolveResultProto, ids: ndarray) -> Any:
    for solution in result.solutions:
        primal = solution.primal_solution
        if primal.feasibility_status == solution_pb2.SOLUTION_STATUS_FEASIBLE:
            x = np.zeros(len(ids))
            x[np.searchsorted(ids, np.array(primal.variable_values.ids))] = np.array(primal.variable_values.values)
            return x
    return None
