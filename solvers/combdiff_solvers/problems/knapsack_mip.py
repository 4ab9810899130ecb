"""Knapsacks by the MIP solver SCIP in OR-Tools, a new model for each row: a warm one breaks ties by earlier rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64, Int, UInt8
from numpy import ndarray

from combdiff_solvers.protocol import Status


def solve_rows(
    rows: Int[ndarray, " k"],
    gains: Float64[ndarray, "b n"],  # of the size of 1
    weights: Float64[ndarray, "s d n"],
    capacity: Float64[ndarray, "t d"],
    slack: float,
    time_limit: float | None,
    y: Float64[ndarray, "b n"],
    status: UInt8[ndarray, " b"],
    messages: dict[int, str],
) -> None:
    """Solve the given rows to `y`, which holds a feasible point of each; keep the better one."""
    pywraplp = _pywraplp()
    for row in map(int, rows):
        weight = weights[row if len(weights) > 1 else 0]
        limit = capacity[row if len(capacity) > 1 else 0]
        solver, variables = _build(pywraplp, weight, limit, slack, time_limit)
        for variable, gain in zip(variables, gains[row].tolist(), strict=True):
            solver.Objective().SetCoefficient(variable, gain)
        parameters = pywraplp.MPSolverParameters()
        parameters.SetDoubleParam(parameters.RELATIVE_MIP_GAP, 0.0)
        ended = solver.Solve(parameters)
        found = np.zeros(len(variables))
        if ended in (solver.OPTIMAL, solver.FEASIBLE):
            found = np.round([variable.solution_value() for variable in variables]) + 0.0  # no −0.0
            found[(gains[row] <= 0.0) & (found > 0.0)] = 0.0  # it may take what gains nothing
        fits = (weight @ found <= limit * (1.0 + slack)).all()
        if fits and gains[row] @ found >= gains[row] @ y[row]:
            y[row] = found
        proven = ended == solver.OPTIMAL and fits
        status[row] = Status.OPTIMAL if proven else Status.FEASIBLE
        if not proven:
            messages[row] = "the MIP solver stopped before a proof: raise time_limit"


def _build(
    pywraplp: Any, weight: Float64[ndarray, "d n"], limit: Float64[ndarray, " d"], slack: float, seconds: float | None
) -> tuple[Any, list[Any]]:
    solver = pywraplp.Solver.CreateSolver("SCIP")
    solver.SuppressOutput()
    solver.SetSolverSpecificParametersAsString("numerics/feastol = 1e-9\n")
    if seconds is not None:
        solver.SetTimeLimit(max(1, int(1000 * seconds)))
    variables = [solver.BoolVar("") for _ in range(weight.shape[1])]
    for load, most in zip(weight.tolist(), limit.tolist(), strict=True):
        scale = most if most > 0.0 else 1.0
        constraint = solver.Constraint(-solver.infinity(), (1.0 + slack / 2) * most / scale)
        for variable, heavy in zip(variables, load, strict=True):
            constraint.SetCoefficient(variable, heavy / scale)
    solver.Objective().SetMaximization()
    return solver, variables


def _pywraplp() -> Any:
    try:
        from ortools.linear_solver import pywraplp
    except ImportError as missing:
        raise ImportError("backend='mip' needs OR-Tools, which is not installed: pip install ortools") from missing
    return pywraplp
