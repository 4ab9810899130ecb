"""One warm SCIP model, solved for one objective after another."""

from __future__ import annotations

import os
import tempfile
import threading
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from pyscipopt import Model
from pyscipopt.scip import Expr, Term

from combdiff_solvers._row_loop import Answer
from combdiff_solvers.limits import Clock, Limits
from combdiff_solvers.protocol import Sense, Status

_LARGEST = 10
"""objectives are scaled to a largest coefficient of 2⁹ to 2¹⁰, well above SCIP's absolute tolerances"""

_FIXED = {
    "lp/threads": 1,
    "limits/maxorigsol": 0,  # else SCIP starts from the solutions of earlier rows
    "reoptimization/enable": False,
}


@dataclass(frozen=True)
class ScipProblem:
    """A SCIP model as text, so that it can be sent anywhere.

    Args:
        problem: its CIP file, with variables x0, x1, ...
        parameters: its parameter file.
        costs: of all variables, its own objective.
        offset: of the objective.
        maximize: its sense.
    """

    problem: str
    parameters: str
    costs: Float64[ndarray, " v"]
    offset: float
    maximize: bool

    @classmethod
    def of(cls, model: Model) -> ScipProblem:
        """What a model's original problem and parameters are; it is not changed."""
        with tempfile.TemporaryDirectory(prefix="combdiff") as folder:
            problem, parameters = os.path.join(folder, "model.cip"), os.path.join(folder, "model.set")
            model.writeProblem(problem, trans=False, genericnames=True, verbose=False)
            model.writeParams(parameters, comments=False, onlychanged=True, verbose=False)
            with open(problem) as one, open(parameters) as two:
                texts = one.read(), two.read()
        costs = np.array([variable.getObj() for variable in model.getVars(transformed=False)], dtype=np.float64)
        return cls(*texts, costs, float(model.getObjoffset()), model.getObjectiveSense() == "maximize")

    def build(self) -> Model:
        """A new SCIP model.

        Raises:
            ValueError: when SCIP cannot read what it wrote (a model with Python plugins, for instance).
        """
        model = Model()
        model.hideOutput()
        with tempfile.TemporaryDirectory(prefix="combdiff") as folder:
            problem, parameters = os.path.join(folder, "model.cip"), os.path.join(folder, "model.set")
            with open(problem, "w") as one, open(parameters, "w") as two:
                one.write(self.problem)
                two.write(self.parameters)
            try:
                model.readProblem(problem)
                model.readParams(parameters)
            except OSError as error:
                raise ValueError(
                    f"SCIP cannot read back the model that it wrote ({error}): constraint handlers and other plugins "
                    "written in Python cannot be copied"
                ) from error
        model.hideOutput()
        return model


class ScipEngine:
    """A model of its own for one thread; only the objective and the limits change from row to row."""

    def __init__(self, problem: ScipProblem, priced: Int64[ndarray, " n"], sense: Sense, limits: Limits) -> None:
        self._costs, self._offset, self._priced = problem.costs, problem.offset, priced
        self._sense, self._limits = sense, limits
        self._model = problem.build()
        found = {int(variable.name[1:]): variable for variable in self._model.getVars(transformed=False)}
        self._variables = [found[place] for place in range(len(problem.costs))]
        self._terms = [Term(variable) for variable in self._variables]
        self._integral = np.array([variable.vtype() != "CONTINUOUS" for variable in self._variables])
        for name, value in _FIXED.items():
            self._model.setParam(name, value)
        if threading.current_thread() is not threading.main_thread():
            # SCIP replaces the process's SIGINT handler while it solves; two threads leave SCIP's in place for ever
            self._model.setParam("misc/catchctrlc", False)
        self._time = float(self._model.getParam("limits/time"))
        self._own_gap = float(self._model.getParam("limits/absgap"))
        if limits.relative_gap:
            self._model.setParam("limits/gap", limits.relative_gap)

    def solve(self, theta: Float64[ndarray, " n"], seconds: float | None) -> Answer:
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
        solution = self._model.getBestSol() if self._model.getNSols() else None
        if solution is None:
            return Answer(Status.LIMIT, message=f"SCIP stopped by {ended} without a solution")
        x = np.array([solution[variable] for variable in self._variables], dtype=np.float64)
        x[self._integral] = np.rint(x[self._integral])
        y = x[self._priced]
        objective = float(theta @ y + self._costs @ x) + self._offset
        if ended == "optimal":
            return Answer(Status.OPTIMAL, y, objective)
        gain = np.ldexp(abs(self._model.getPrimalbound() - self._model.getDualbound()), -exponent)
        message = f"SCIP stopped by {ended}; another solution could be better by {gain:.3g} at most"
        return Answer(Status.FEASIBLE, y, objective, message)

    def _run(self, costs: Float64[ndarray, " v"], exponent: int, clock: Clock) -> str:
        """Solve for this objective, and return SCIP's status."""
        model = self._model
        model.freeTransform()
        used = np.flatnonzero(costs).tolist()
        expression = Expr({self._terms[place]: cost for place, cost in zip(used, costs[used].tolist(), strict=True)})
        model.setObjective(expression, "minimize" if self._sense is Sense.MIN else "maximize")
        gap = max(self._limits.absolute_gap, self._own_gap)
        model.setParam("limits/absgap", min(float(np.ldexp(gap, exponent)), 1e20))
        seconds = clock.seconds()
        model.setParam("limits/time", min(max(seconds or 0.0, 0.0), 1e20))
        model.optimizeNogil()
        ended: str = model.getStatus()
        if ended == "userinterrupt":
            raise KeyboardInterrupt
        return ended
