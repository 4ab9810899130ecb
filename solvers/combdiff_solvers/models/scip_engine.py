"""One warm SCIP model, solved for one objective after another."""

from __future__ import annotations

import threading

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from pyscipopt import Variable
from pyscipopt.scip import CONST, Expr, Term

from combdiff_solvers.limits import Clock, Limits
from combdiff_solvers.models.scip_problem import ScipProblem
from combdiff_solvers.models.variables import nearest_feasible
from combdiff_solvers.models.warm_model import outward_bound
from combdiff_solvers.protocol import Row, Sense, Status
from combdiff_solvers.rows import Answer

_LARGEST = 10  # objectives are scaled to a largest coefficient of 2⁹ to 2¹⁰, well above SCIP's absolute tolerances

_FIXED = {
    "lp/threads": 1,
    "limits/maxorigsol": 0,  # else SCIP starts from the solutions of earlier rows
    "reoptimization/enable": False,
}


class ScipEngine:
    """A model of its own for one thread; only the objective and the limits change from row to row."""

    def __init__(self, problem: ScipProblem, priced: Int64[ndarray, " n"], sense: Sense, limits: Limits) -> None:
        self._costs, self._offset, self._priced = problem.model.c, problem.model.offset, priced
        self._sense = sense
        self._model, self._variables = problem.build()
        self._terms = [Term(variable) for variable in self._variables]
        self._integral, self._width = problem.model.integer, problem.model.upper - problem.model.lower
        for name, value in _FIXED.items():
            self._model.setParam(name, value)
        if threading.current_thread() is not threading.main_thread():
            # SCIP replaces the process's SIGINT handler while it solves; two threads leave SCIP's in place for ever
            self._model.setParam("misc/catchctrlc", False)
        self._time = float(self._model.getParam("limits/time"))
        relative, absolute = (float(self._model.getParam(f"limits/{name}")) for name in ("gap", "absgap"))
        self._gaps = limits.relative_gap or relative, max(limits.absolute_gap, absolute)

    def solve(self, theta: Row, seconds: float | None) -> Answer:
        """Solve one row."""
        clock = Clock(Limits(batch_time_limit=min(seconds or self._time, self._time)))
        costs = self._costs.copy()
        costs[self._priced] += theta
        largest = float(np.abs(costs).max())
        exponent = _LARGEST - int(np.frexp(largest)[1]) if largest else 0
        ended = self._run(np.ldexp(costs, exponent), exponent, clock)
        if ended == "inforunbd":
            ended = "unbounded" if self._run(np.zeros(len(costs)), 0, clock) == "optimal" else self._model.getStatus()
        if ended == "infeasible":
            return Answer(Status.INFEASIBLE)
        if ended == "unbounded":
            return Answer(Status.UNBOUNDED)
        bound = self._bound(costs, exponent)
        solution = self._model.getBestSol() if self._model.getNSols() else None
        if solution is None:
            return Answer(Status.LIMIT, message=f"SCIP stopped by {ended} without a solution", bound=bound)
        x = np.array([solution[variable] for variable in self._variables], dtype=np.float64)
        x[self._integral] = np.rint(x[self._integral])
        y = x[self._priced]
        objective = float(theta @ y + self._costs @ x) + self._offset
        bound = min(bound, objective) if self._sense is Sense.MIN else max(bound, objective)
        if ended == "optimal":
            return Answer(Status.OPTIMAL, y, objective, bound=bound)
        gain = np.ldexp(abs(self._model.getPrimalbound() - self._model.getDualbound()), -exponent)
        message = f"SCIP stopped by {ended}; another solution could be better by {gain:.3g} at most"
        return Answer(Status.FEASIBLE, y, objective, message, bound)

    def _bound(self, costs: Float64[ndarray, " v"], exponent: int) -> float:
        """SCIP's dual bound without the scale, rounded outwards; NaN where it has none."""
        found = self._model.getDualbound() - self._model.getObjoffset()
        told = float(np.ldexp(found, -exponent)) if abs(found) < 1e19 else float("nan")
        return outward_bound(told, costs, self._width, self._offset, self._sense.sign)

    def complete(self, y: Row, seconds: float | None) -> Answer:
        """Solve for h alone with the priced variables at y, to the proof whatever gap is allowed."""
        variables = [self._variables[place] for place in self._priced]
        self._model.freeTransform()
        lower = np.array([variable.getLbOriginal() for variable in variables], dtype=np.float64)
        upper = np.array([variable.getUbOriginal() for variable in variables], dtype=np.float64)
        point = nearest_feasible(y, lower, upper, self._integral[self._priced])
        if point is None:
            return Answer(Status.INFEASIBLE)
        gaps, self._gaps = self._gaps, (0.0, 0.0)
        try:
            self._set_bounds(variables, point, point)
            return self.solve(np.zeros(len(y)), seconds)
        finally:
            self._gaps = gaps
            self._model.freeTransform()
            self._set_bounds(variables, lower, upper)

    def _set_bounds(self, variables: list[Variable], lower: Row, upper: Row) -> None:
        for variable, least, most in zip(variables, lower.tolist(), upper.tolist(), strict=True):
            self._model.chgVarLb(variable, least)
            self._model.chgVarUb(variable, most)

    def _run(self, costs: Float64[ndarray, " v"], exponent: int, clock: Clock) -> str:
        """Solve for this objective, and return SCIP's status."""
        model = self._model
        model.freeTransform()
        used = np.flatnonzero(costs).tolist()
        relative, absolute = self._gaps
        entries = {self._terms[place]: cost for place, cost in zip(used, costs[used].tolist(), strict=True)}
        if relative:  # else the offset would only cost digits
            entries[CONST] = float(np.ldexp(self._offset, exponent))
        model.setObjective(Expr(entries), "minimize" if self._sense is Sense.MIN else "maximize")
        model.setParam("limits/gap", relative)
        model.setParam("limits/absgap", min(float(np.ldexp(absolute, exponent)), 1e20))
        seconds = clock.seconds()
        model.setParam("limits/time", min(max(seconds or 0.0, 0.0), 1e20))
        model.optimizeNogil()
        ended: str = model.getStatus()
        if ended == "userinterrupt":
            raise KeyboardInterrupt
        return ended
