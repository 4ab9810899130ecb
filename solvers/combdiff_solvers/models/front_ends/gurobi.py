"""Gurobi models as a Solver, on Gurobi itself."""

from __future__ import annotations

import itertools
from typing import Any

import gurobipy as gp
import numpy as np

from combdiff_solvers.models.front_ends.gurobi_engine import GurobiEngine, GurobiProblem
from combdiff_solvers.models.variables import resolve_native
from combdiff_solvers.models.warm_model import WarmModel
from combdiff_solvers.protocol import Solver
from combdiff_solvers.wrap import options_of, wrap


class GurobiModel(WarmModel):
    """A Gurobi model: min (or max) ⟨θ, y⟩ + h(x), where y are some of the model's variables x.

    θ is *added* to the linear part of the model's own objective (h), which may be quadratic. Constraints are whatever
    Gurobi takes. Users make it by `combdiff.wrap(model, variables)`. The model is copied: a linear one as arrays, any
    other as the .mps text that Gurobi writes. Its parameters are kept, but for those that would make an answer depend
    on the machine: one thread a solve, no log.

    Each thread has one warm model in an environment of its own; only `Obj`, `MIPGap`, `MIPGapAbs` and `TimeLimit`
    change, and each row begins from scratch. The licence that comes with the package takes 2,000 variables and 2,000
    rows; above them each row is an ERROR with Gurobi's message.

    Linear objectives are scaled by a power of two to a largest coefficient of 512 to 1024. OPTIMAL means proven within
    Gurobi's tolerances (1e-6 for feasibility, 1e-9 for reduced costs) and no gap, unless one was allowed; then the row
    is FEASIBLE. `bound` is `ObjBound`, widened by those tolerances. The objective is recomputed in float64.

    Args:
        problem: the model, by `GurobiProblem.of`.
        priced: places of the priced variables, in the order of θ.
        shape: of one θ and one y.
        sense: "min" or "max"; None for the model's own.
        limits: of time and gaps; they rule over the model's own parameters.

    Raises:
        ValueError: for an empty model, several objectives, or a sense that contradicts the model's objective.
        GurobiError: without a licence.
    """

    engine = GurobiEngine


@wrap.register(gp.Model)
@options_of(GurobiModel)
def wrap_gurobi(model: gp.Model, /, variables: Any, *, backend: str | None = None, **options: Any) -> Solver:
    """`combdiff.wrap` for a `gurobipy.Model`: see `GurobiModel` and `Limits`.

    `variables` are an `MVar`, whose shape is that of θ, a `tupledict` or (nested) sequences of `Var`s; a `tupledict`
    whose keys are a full grid, as `addVars(3, 4)` makes it, gives θ the axes of the grid. A linear model may go to
    another `backend` (that of `MathOptModel`, or "cp_sat"), without Gurobi's parameters. None is Gurobi itself.

    >>> with gp.Env(params={"OutputFlag": 0}) as quiet, gp.Model(env=quiet) as model:
    ...     x = model.addMVar(3, vtype="B")
    ...     row = model.addConstr(x.sum() == 2)
    ...     wrap(model, x).solve(np.array([[3.0, 1.0, 2.0]])).y
    array([[0., 1., 1.]])
    """
    problem = GurobiProblem.of(model)
    own = model.getVars()

    def place(variable: gp.Var) -> int | None:
        at = int(variable.index)
        return at if 0 <= at < len(own) and own[at].sameAs(variable) else None

    found = resolve_native(_entries(variables), gp.Var, place, "Gurobi")
    if backend is None:
        return GurobiModel(problem, *found, **options)
    if problem.text is not None:
        raise ValueError(f"backend={backend!r} takes linear models, and this one is not: leave backend out")
    from combdiff_solvers.models.linear_solver import linear_solver  # needs OR-Tools

    return linear_solver(problem.model, *found, backend=backend, **options)


def _entries(variables: Any) -> Any:
    """The variables of an `MVar` or a grid of keys as an array of its shape, and anything else as it is."""
    if isinstance(variables, gp.MVar):
        return np.array(variables.tolist(), dtype=object).reshape(variables.shape)
    if isinstance(variables, gp.tupledict) and all(isinstance(key, tuple) for key in variables):
        axes = [list(dict.fromkeys(axis)) for axis in zip(*variables, strict=True)]
        if list(variables) == _grid(axes):
            entries = np.empty(len(variables), dtype=object)
            entries[:] = list(variables.values())
            return entries.reshape([len(axis) for axis in axes])
    return variables


def _grid(axes: list[list[Any]]) -> list[tuple[Any, ...]]:
    return list(itertools.product(*axes))
