"""SCIP models as a Solver: linear and nonlinear constraints, the user's parameters kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from pyscipopt import Model, Variable

from combdiff_solvers.limits import Limits
from combdiff_solvers.models.scip_engine import ScipEngine, ScipProblem
from combdiff_solvers.models.variables import resolve_sense, resolve_variables
from combdiff_solvers.protocol import BatchSolver, Sense, Solutions, Solver
from combdiff_solvers.rows import Answer, PerThread, h_of, solve_rows, value_rows
from combdiff_solvers.wrap import wrap

__all__ = ["ScipModel", "wrap_scip"]


class ScipModel(BatchSolver):
    """A SCIP model: min (or max) ⟨θ, y⟩ + h(x), where y are some of the model's variables.

    θ is *added* to the model's own linear objective (h). Constraints may be linear or nonlinear, variables binary,
    integer or continuous. Users make it by `combdiff.wrap(model, variables)`. The model is taken as the text that
    SCIP writes of it (15 digits), so the user's object is never changed, and copies in other processes solve the very
    same problem.

    Its parameters are kept, but for those that would make an answer depend on the machine or on earlier rows: one
    thread for linear programs, and no solutions kept between solves. Each thread has one warm model; only the
    objective changes, after `freeTransform`, and `optimizeNogil` lets other threads work meanwhile.

    Objectives are scaled by a power of two to a largest coefficient of 512 to 1024, so that SCIP's absolute
    tolerances mean the same for every θ. SCIP computes with doubles: OPTIMAL means proven within those tolerances,
    which are 1e-6 for feasibility and, for the objective, 1e-9 relative to the larger of its value and the largest
    coefficient. So a solution that is better by less may be missed. Integers of y are rounded to integers, and the
    objective is recomputed in float64.

    Statuses: INFEASIBLE and UNBOUNDED are told apart by a second solve with no objective; time, gap, node and other
    limits leave FEASIBLE (with the bound that is proven in the row's message) or LIMIT. `bound` is
    SCIP's dual bound, widened by those tolerances.

    Args:
        problem: the model, by `ScipProblem.of`.
        indices: of the priced variables, in the order of θ.
        shape: of one θ and one y.
        sense: "min" or "max"; None for the model's own.
        limits: of time and gaps; they rule over the model's own parameters.

    Raises:
        ValueError: for an empty model, or a sense that contradicts the model's objective.

    >>> model = Model()
    >>> x, y = (model.addVar(ub=2.0) for _ in range(2))
    >>> disc = model.addCons(x * x + y * y <= 1)
    >>> wrap(model, [x, y], sense="max").solve(np.array([[1.0, 0.0], [3.0, 4.0]])).y.round(3)
    array([[1. , 0. ],
           [0.6, 0.8]])
    """

    def __init__(
        self,
        problem: ScipProblem,
        indices: Sequence[int] | ndarray,
        shape: tuple[int, ...],
        sense: Sense | str | None = None,
        limits: Limits | None = None,
    ) -> None:
        if not len(problem.costs):
            raise ValueError("the model is empty: it has no variables")
        self.shape = tuple(shape)
        self.limits = limits or Limits()
        self.sense = resolve_sense(sense, problem.maximize, bool(problem.costs.any()))
        self._problem = problem
        self._indices = np.array(indices, dtype=np.int64)
        build = partial(ScipEngine, problem, self._indices, self.sense, self.limits)  # without self: that is a cycle
        self._engines: PerThread[ScipEngine] = PerThread(build)

    def check(self) -> None:
        """Build this thread's model now.

        Raises:
            ValueError: when SCIP cannot read the model back.
        """
        self._engines.get()

    def solve_checked(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> Solutions:
        """Solve every row of θ."""
        engine = self._engines.get() if len(theta) else None

        def solve_row(row: int, seconds: float | None) -> Answer:
            assert engine is not None
            return engine.solve(theta[row], seconds)

        return solve_rows(theta, self.limits.start(), solve_row, self.sense)

    def value_checked(
        self, y: Float64[ndarray, "b n"], theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None
    ) -> Float64[ndarray, " b"]:
        """⟨θ, y⟩ + h(y) of every row, in the model's sense and units; shape (b,).

        Where h holds unpriced variables, it is that of the best completion: the model is solved with y fixed, to the
        proof, for at most `time_limit` seconds a row. NaN where y has no feasible completion (or none was proven the
        best in that time), and in a row of y with NaN.

        >>> model = Model()
        >>> x, z = model.addVar(vtype="B"), model.addVar(vtype="I", ub=5)
        >>> least = model.addCons(z >= 2 + 2 * x)
        >>> model.setObjective(3 * z)
        >>> wrap(model, [x]).value(np.array([[0.0], [1.0]]), np.array([[0.5], [0.5]]))
        array([ 6. , 12.5])
        """
        costs = self._problem.costs
        if not np.delete(costs, self._indices).any():
            return value_rows(theta, y, lambda row: float(y[row] @ costs[self._indices]) + self._problem.offset)

        def h(row: int) -> float:
            return h_of(self._engines.get().complete(y[row], self.limits.time_limit), self.sense)

        return value_rows(theta, y, h)


@wrap.register(Model)
def wrap_scip(
    model: Model,
    /,
    variables: Any,
    *,
    sense: Sense | str | None = None,
    time_limit: float | None = None,
    batch_time_limit: float | None = None,
    relative_gap: float = 0.0,
    absolute_gap: float = 0.0,
) -> Solver:
    """`combdiff.wrap` for a `pyscipopt.Model`: see `ScipModel` and `Limits`."""
    limits = Limits(time_limit, batch_time_limit, relative_gap, absolute_gap)
    own = {variable.ptr(): place for place, variable in enumerate(model.getVars(transformed=False))}
    if not own:
        raise ValueError("the model is empty: it has no variables")

    def index_of(variable: Any) -> int:
        if not isinstance(variable, Variable):
            raise TypeError(
                f"{variable!r} is a {type(variable).__name__}, not a variable of the SCIP model: the objective "
                "is linear in what theta prices, so price a variable, and tie it to the expression by a constraint"
            )
        if variable.ptr() not in own:
            raise ValueError(f"variable {variable.name} is not of this model")
        place = own[variable.ptr()]
        if place in problem.indicators:
            raise ValueError(
                f"variable {variable.name} is an indicator variable that SCIP made for a cardinality constraint, and "
                "is not held to what it indicates: price variables of your own"
            )
        return place

    problem = ScipProblem.of(model)
    indices, shape = resolve_variables(variables, index_of, "SCIP variables")
    solver = ScipModel(problem, indices, shape, sense, limits)
    solver.check()
    return solver
