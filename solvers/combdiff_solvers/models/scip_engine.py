"""One warm SCIP model, solved for one objective after another."""

from __future__ import annotations

import re
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from pyscipopt import Model, Variable
from pyscipopt.scip import Expr, Term

from combdiff_solvers.limits import Clock, Limits
from combdiff_solvers.models.variables import nearest_feasible
from combdiff_solvers.protocol import Row, Sense, Status
from combdiff_solvers.rows import Answer

_LARGEST = 10  # objectives are scaled to a largest coefficient of 2⁹ to 2¹⁰, well above SCIP's absolute tolerances

_FIXED = {
    "lp/threads": 1,
    "limits/maxorigsol": 0,  # else SCIP starts from the solutions of earlier rows
    "reoptimization/enable": False,
}

_PLUGINS = {
    "constraints": "constraint handler",
    "pricers": "pricer",
    "benders": "Benders decomposition",
    "propagating": "propagator",
    "presolving": "presolver",
    "separating": "separator",
    "heuristics": "heuristic",
    "branching": "branching rule",
    "nodeselection": "node selector",
    "relaxing": "relaxator",
    "cutselection": "cut selector",
}
"""what a plugin is, by the first part of the names of its parameters"""


@dataclass(frozen=True)
class ScipProblem:
    """A SCIP model as text, so that it can be sent anywhere.

    Args:
        problem: its CIP file, with variables x0, x1, ...
        parameters: its parameter file.
        costs: of all variables, its own objective.
        indicators: variables that SCIP made for cardinality constraints, which mean nothing by themselves.
        offset: of the objective.
        maximize: its sense.
    """

    problem: str
    parameters: str
    costs: Float64[ndarray, " v"]
    indicators: frozenset[int]
    offset: float
    maximize: bool

    @classmethod
    def of(cls, model: Model) -> ScipProblem:
        """What a model's original problem and parameters are; it is not changed.

        Raises:
            ValueError: without variables, and for what the text of the model does not hold: plugins written in
                Python, and indicator variables of cardinality constraints that are used elsewhere.
        """
        _refuse_plugins(model)
        variables = model.getVars(transformed=False)
        if not variables:
            raise ValueError("the model is empty: it has no variables")
        with tempfile.TemporaryDirectory(prefix="combdiff") as folder:
            files = Path(folder, "model.cip"), Path(folder, "model.set")
            model.writeProblem(str(files[0]), trans=False, genericnames=True, verbose=False)
            model.writeParams(str(files[1]), comments=False, onlychanged=True, verbose=False)
            texts = [file.read_text() for file in files]
        costs = np.array([variable.getObj() for variable in variables], dtype=np.float64)
        indicators = _cardinality_indicators(texts[0], [variable.name for variable in variables], costs)
        return cls(
            texts[0], texts[1], costs, indicators, float(model.getObjoffset()), model.getObjectiveSense() == "maximize"
        )

    def build(self) -> Model:
        """A new SCIP model.

        Raises:
            ValueError: when SCIP cannot read what it wrote.
        """
        model = Model()
        model.hideOutput()
        with tempfile.TemporaryDirectory(prefix="combdiff") as folder:
            files = Path(folder, "model.cip"), Path(folder, "model.set")
            files[0].write_text(self.problem)
            files[1].write_text(self.parameters)
            try:
                model.readProblem(str(files[0]))
                model.readParams(str(files[1]))
            except OSError as error:
                raise ValueError(f"SCIP cannot read back the model that it wrote: {error}") from error
        model.hideOutput()
        return model


@cache
def _known_parameters() -> frozenset[str]:
    return frozenset(Model().getParams())


def _refuse_plugins(model: Model) -> None:
    """Raise for a model with plugins of the user's: the text of a model does not hold them.

    They show by parameters that a new model does not have (event handlers and readers have none).
    """
    found = {tuple(name.split("/")[:2]) for name in set(model.getParams()) - _known_parameters()}
    plugins = [f"the {_PLUGINS[kind]} {name!r}" for kind, name in sorted(found) if kind in _PLUGINS]
    if plugins:
        raise ValueError(
            f"the model has {', '.join(plugins)}, which a copy of a SCIP model cannot have: state the constraints in "
            "the model itself, or wrap a function that builds and solves the model for each theta"
        )


def _cardinality_indicators(problem: str, names: list[str], costs: Float64[ndarray, " v"]) -> frozenset[int]:
    """The variables that SCIP made for cardinality constraints, `ind_NAME` for the variable NAME.

    A model's text leaves them out, and SCIP does not hold them to what they indicate: with x ≤ 1, at most two of three
    x above zero and max Σ x − 10 · Σ indicators it ends at 0 with presolve, at 2 without.

    Raises:
        ValueError: where one of them has a cost, stands in another constraint, or is the user's own.
    """
    constraints = problem[problem.find("\nCONSTRAINTS") :]
    used = {int(place) for place in re.findall(r"<x([0-9]+)>", constraints)}
    places = {name: place for place, name in enumerate(names)}
    times = Counter(names)
    indicators = set()
    for line in re.findall(r"^ *\[cardinality\].*$", constraints, flags=re.MULTILINE):
        for place in re.findall(r"<x([0-9]+)>", line):
            name = f"ind_{names[int(place)]}"
            if times[name] != 1:
                raise ValueError(
                    f"a cardinality constraint has no indicator variable {name!r} of SCIP's own making: {_INSTEAD}"
                )
            indicator = places[name]
            if costs[indicator] or indicator in used:
                raise ValueError(
                    f"the indicator variable {name!r} of a cardinality constraint has a cost or stands in another "
                    f"constraint: {_INSTEAD}"
                )
            indicators.add(indicator)
    return frozenset(indicators)


_INSTEAD = (
    "SCIP does not hold such variables to what they indicate; leave indvars out (with unique names of variables), or "
    "state the constraint as x <= upper * b for binaries b, and a bound on their sum"
)


class ScipEngine:
    """A model of its own for one thread; only the objective and the limits change from row to row."""

    def __init__(self, problem: ScipProblem, priced: Int64[ndarray, " n"], sense: Sense, limits: Limits) -> None:
        self._costs, self._offset, self._priced = problem.costs, problem.offset, priced
        self._sense = sense
        self._model = problem.build()
        found = {variable.name: variable for variable in self._model.getVars(transformed=False)}
        self._variables = [found[f"x{place}"] for place in range(len(problem.costs))]
        self._terms = [Term(variable) for variable in self._variables]
        self._integral = np.array([variable.vtype() != "CONTINUOUS" for variable in self._variables])
        self._width = np.array([v.getUbOriginal() - v.getLbOriginal() for v in self._variables])
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
        """SCIP's dual bound without the scale, rounded outwards by its tolerance; NaN where it has none.

        The tolerance is 1e-9 of the bound or of the largest cost times Σ |xᵢ − x'ᵢ|, for which the width of the
        variables stands: nothing is proven where one has no bounds.
        """
        found = self._model.getDualbound() - self._model.getObjoffset()
        if abs(found) >= 1e19 or (self._width >= 1e19).any():
            return float("nan")
        found = float(np.ldexp(found, -exponent))
        size = max(abs(found), float(np.abs(costs).max()) * max(1.0, float(self._width.sum())))
        error = 1e-9 * size + 2e-15 * abs(self._offset)
        return found + self._offset - self._sense.sign * error

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
        expression = Expr({self._terms[place]: cost for place, cost in zip(used, costs[used].tolist(), strict=True)})
        model.setObjective(expression, "minimize" if self._sense is Sense.MIN else "maximize")
        relative, absolute = self._gaps
        model.setParam("limits/gap", relative)
        model.setParam("limits/absgap", min(float(np.ldexp(absolute, exponent)), 1e20))
        seconds = clock.seconds()
        model.setParam("limits/time", min(max(seconds or 0.0, 0.0), 1e20))
        model.optimizeNogil()
        ended: str = model.getStatus()
        if ended == "userinterrupt":
            raise KeyboardInterrupt
        return ended
