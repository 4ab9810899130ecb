"""What Gurobi solves, as data, and one warm Gurobi model for one objective after another."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gurobipy as gp
import numpy as np
from gurobipy import GRB
from jaxtyping import Float64, Int64
from numpy import ndarray

from combdiff_solvers.limits import Clock, Limits
from combdiff_solvers.models.linear_model import LinearModel, Rest, Terms
from combdiff_solvers.models.variables import nearest_feasible
from combdiff_solvers.models.warm_model import outward_bound
from combdiff_solvers.protocol import Row, Sense, Status
from combdiff_solvers.rows import Answer

_LARGEST = 10  # linear objectives are scaled to a largest coefficient of 2⁹ to 2¹⁰, well above absolute tolerances
_FIXED: dict[str, Any] = {"OutputFlag": 0, "LogFile": "", "Threads": 1, "OptimalityTol": 1e-9}
_LIMITS = {
    GRB.TIME_LIMIT: "its time limit",
    GRB.NODE_LIMIT: "its node limit",
    GRB.ITERATION_LIMIT: "its iteration limit",
    GRB.SOLUTION_LIMIT: "its solution limit",
    GRB.WORK_LIMIT: "its work limit",
    GRB.MEM_LIMIT: "its memory limit",
    GRB.USER_OBJ_LIMIT: "its objective limit",
    GRB.SUBOPTIMAL: "numerical trouble",
}


@dataclass(frozen=True, eq=False)
class GurobiProblem:
    """A Gurobi model as data.

    Args:
        model: the variables and the objective and, where there is no text, the rows.
        parameters: those that are not Gurobi's defaults, as a .prm file.
        text: the whole model as an .mps file, where it has quadratic, SOS or general constraints, or variables that
            are semi-continuous; else None.
    """

    model: LinearModel
    parameters: str
    text: str | None = None

    @classmethod
    def of(cls, model: gp.Model) -> GurobiProblem:
        """A model with its pending changes; it is not changed otherwise.

        Raises:
            ValueError: for several objectives, scenarios, or a piecewise linear objective.
        """
        model.update()
        for attribute, held in (("NumObj", "several objectives"), ("NumScenarios", "scenarios")):
            if getattr(model, attribute) > 1:
                raise ValueError(f"the model has {held}, and theta is added to one objective: delete the others")
        if model.NumPWLObjVars:
            raise ValueError("the model has a piecewise linear objective: state it by variables and constraints")
        variables = model.getVars()
        kinds = model.getAttr("VType", variables)
        others = model.NumQConstrs + model.NumSOS + model.NumGenConstrs
        arrays = not others and not model.IsQP and set(kinds) <= {GRB.BINARY, GRB.INTEGER, GRB.CONTINUOUS}
        senses = np.array(model.getAttr("Sense", model.getConstrs()), dtype=str)
        rhs = np.array(model.getAttr("RHS", model.getConstrs()), dtype=np.float64)
        bounds = (np.array(model.getAttr(name, variables), dtype=np.float64) for name in ("LB", "UB"))
        own = LinearModel(
            np.array(model.getAttr("Obj", variables), dtype=np.float64),
            model.getA(),
            np.array([kind in (GRB.BINARY, GRB.INTEGER, GRB.SEMIINT) for kind in kinds], dtype=bool),
            np.where(senses == GRB.LESS_EQUAL, -np.inf, rhs),
            np.where(senses == GRB.GREATER_EQUAL, np.inf, rhs),
            *(np.where(np.abs(side) < GRB.INFINITY, side, np.copysign(np.inf, side)) for side in bounds),
            maximize=model.ModelSense == GRB.MAXIMIZE,
            offset=float(model.ObjCon),
            names=tuple(model.getAttr("VarName", variables)),
            rest=_squares(model.getObjective()) if model.IsQP or model.NumQNZs else None,
        )
        return cls(own, _written(model, "prm"), None if arrays else _written(model, "mps"))

    def build(self) -> gp.Model:
        """A new Gurobi model in an environment of its own, as a thread needs it."""
        environment = gp.Env(params={"OutputFlag": 0})
        model = _read(self.text, environment) if self.text is not None else _model_of(self.model, environment)
        with tempfile.TemporaryDirectory(prefix="combdiff") as folder:
            file = Path(folder, "own.prm")
            file.write_text(self.parameters)
            model.read(str(file))
        for name, value in _FIXED.items():
            model.setParam(name, value)
        model.update()
        return model


def _squares(objective: Any) -> Rest:
    """The quadratic terms of an objective."""
    terms = range(objective.size())
    rows, columns = (
        np.array([get(term).index for term in terms], dtype=np.int64) for get in (objective.getVar1, objective.getVar2)
    )
    squares = np.array([objective.getCoeff(term) for term in terms], dtype=np.float64)
    return Rest(b"", Terms.QUADRATIC_OBJECTIVE, rows, columns, squares, None)


def _written(model: gp.Model, kind: str) -> str:
    with tempfile.TemporaryDirectory(prefix="combdiff") as folder:
        file = Path(folder, f"model.{kind}")
        model.write(str(file))
        return file.read_text()


def _read(text: str, environment: gp.Env) -> gp.Model:
    with tempfile.TemporaryDirectory(prefix="combdiff") as folder:
        file = Path(folder, "model.mps")
        file.write_text(text)
        return gp.read(str(file), environment)


def _model_of(own: LinearModel, environment: gp.Env) -> gp.Model:
    model = gp.Model(env=environment)
    kinds = np.where(own.integer, GRB.INTEGER, GRB.CONTINUOUS)
    x = model.addMVar(len(own.c), lb=own.lower, ub=own.upper, vtype=kinds)
    equal = own.row_lower == own.row_upper
    for rows, sense, sides in (
        (equal, GRB.EQUAL, own.row_lower),
        (~equal & np.isfinite(own.row_lower), GRB.GREATER_EQUAL, own.row_lower),
        (~equal & np.isfinite(own.row_upper), GRB.LESS_EQUAL, own.row_upper),
    ):
        if rows.any():
            model.addMConstr(own.A[np.flatnonzero(rows)], x, sense, sides[rows])
    return model


def _seconds(clock: Clock) -> float:
    left = clock.seconds()
    return GRB.INFINITY if left is None else max(left, 0.0)


class GurobiEngine:
    """A Gurobi model for one thread, of which only the objective and the limits change from row to row."""

    def __init__(self, problem: GurobiProblem, priced: Int64[ndarray, " n"], sense: Sense, limits: Limits) -> None:
        self._own, self._priced, self._sense = problem.model, priced, sense
        self._model = problem.build()
        self._variables = self._model.getVars()
        self._width = self._own.upper - self._own.lower
        self._model.ModelSense = GRB.MINIMIZE if sense is Sense.MIN else GRB.MAXIMIZE
        self._time = float(self._model.Params.TimeLimit)
        own = {name: self._model.getParamInfo(name) for name in ("MIPGap", "MIPGapAbs")}
        relative, absolute = (value if value != default else 0.0 for *_, value, _, _, default in own.values())
        self._gaps = limits.relative_gap or relative, max(limits.absolute_gap, absolute)
        self._set = (np.nan, np.nan, np.nan)  # what MIPGap, MIPGapAbs and TimeLimit are

    def solve(self, theta: Row, seconds: float | None) -> Answer:
        """Solve one row."""
        limit = min(self._time, self._time if seconds is None else seconds)
        clock = Clock(Limits(batch_time_limit=None if np.isinf(limit) else max(limit, 1e-9)))
        costs = self._own.c.copy()
        costs[self._priced] += theta
        largest = float(np.abs(costs).max())
        exponent = _LARGEST - int(np.frexp(largest)[1]) if largest and self._own.rest is None else 0
        ended = self._run(costs, exponent, clock)
        if ended in (GRB.INF_OR_UNBD, GRB.UNBOUNDED):  # a ray is no proof that there is a point
            ended = self._run(np.zeros(len(costs)), 0, clock, alone=True)
            if ended == GRB.OPTIMAL:
                return Answer(Status.UNBOUNDED)
        if ended == GRB.INFEASIBLE:
            return Answer(Status.INFEASIBLE)
        if ended == GRB.INTERRUPTED:
            raise KeyboardInterrupt
        told = self._model.ObjBound if self._model.IsMIP or ended == GRB.OPTIMAL else float("nan")
        told = np.ldexp(told - self._model.ObjCon, -exponent) if abs(told) < GRB.INFINITY else float("nan")
        bound = outward_bound(float(told), costs, self._width, self._own.offset, self._sense.sign)
        stopped = _LIMITS.get(ended, f"status {ended}")
        if not self._model.SolCount:
            return Answer(Status.LIMIT, message=f"Gurobi stopped by {stopped} without a solution", bound=bound)
        x = np.array(self._model.getAttr("X", self._variables), dtype=np.float64)
        x[self._own.integer] = np.rint(x[self._own.integer])
        x += 0.0  # no -0.0
        y = x[self._priced]
        objective = float(theta @ y + self._own.h(x[None])[0])
        bound = min(bound, objective) if self._sense is Sense.MIN else max(bound, objective)
        gain = float(np.ldexp(abs(self._model.ObjVal - self._model.ObjBound), -exponent)) if self._model.IsMIP else 0.0
        if ended == GRB.OPTIMAL and not (any(self._gaps) and gain > 1e-9 * max(abs(objective), largest)):
            return Answer(Status.OPTIMAL, y, objective, bound=bound)
        reason = "a gap that it was allowed" if ended == GRB.OPTIMAL else stopped
        message = f"Gurobi stopped by {reason}; another solution could be better by {gain:.3g} at most"
        return Answer(Status.FEASIBLE, y, objective, message, bound)

    def complete(self, y: Row, seconds: float | None) -> Answer:
        """Solve for h alone with the priced variables at y, to the proof whatever gap is allowed."""
        lower, upper = self._own.lower[self._priced], self._own.upper[self._priced]
        point = nearest_feasible(y, lower, upper, self._own.integer[self._priced])
        if point is None:
            return Answer(Status.INFEASIBLE)
        gaps, self._gaps = self._gaps, (0.0, 0.0)
        try:
            self._set_bounds(point, point)
            return self.solve(np.zeros(len(y)), seconds)
        finally:
            self._gaps = gaps
            self._set_bounds(lower, upper)

    def _set_bounds(self, lower: Row, upper: Row) -> None:
        variables = [self._variables[place] for place in self._priced]
        self._model.setAttr("LB", variables, lower.tolist())
        self._model.setAttr("UB", variables, upper.tolist())

    def _run(self, costs: Float64[ndarray, " v"], exponent: int, clock: Clock, alone: bool = False) -> int:
        """Solve for this objective from scratch, and return Gurobi's status; `alone` leaves quadratic terms out."""
        model = self._model
        model.reset(1)  # else an answer would depend on earlier rows
        quadratic = model.getObjective() if alone and self._own.rest is not None else None
        if quadratic is not None:
            model.setObjective(0.0)
        relative, absolute = self._gaps
        offset = float(np.ldexp(self._own.offset, exponent)) if relative else 0.0  # else it would only cost digits
        model.setAttr("Obj", self._variables, np.ldexp(costs, exponent).tolist())
        model.ObjCon = offset
        given = relative, float(np.ldexp(absolute, exponent)), _seconds(clock)
        for name, value, now in zip(("MIPGap", "MIPGapAbs", "TimeLimit"), given, self._set, strict=True):
            if value != now:
                model.setParam(name, value)
        self._set = given
        model.optimize()
        status = int(model.Status)
        if quadratic is not None:
            model.setObjective(quadratic)
        return status
