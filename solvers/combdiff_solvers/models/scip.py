"""SCIP models as a Solver: linear and nonlinear constraints, the user's parameters kept."""

from __future__ import annotations

from typing import Any

from pyscipopt import Model, Variable

from combdiff_solvers.models.scip_engine import ScipEngine
from combdiff_solvers.models.scip_problem import ScipProblem
from combdiff_solvers.models.variables import resolve_native
from combdiff_solvers.models.warm_model import WarmModel
from combdiff_solvers.protocol import Solver
from combdiff_solvers.wrap import options_of, wrap


class ScipModel(WarmModel):
    """A SCIP model: min (or max) ⟨θ, y⟩ + h(x), where y are some of the model's variables.

    θ is *added* to the model's own linear objective (h). Constraints may be linear or nonlinear, variables binary,
    integer or continuous. Users make it by `combdiff.wrap(model, variables)`. The model is copied: a linear one as
    arrays (a `LinearModel`, which may also come from a file or another front end), any other as the text that SCIP
    writes of it (15 digits). So the user's object is never changed, and copies in other processes solve the very same
    problem.

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
        problem: the model, by `ScipProblem.of`, or `ScipProblem(linear_model)`.
        priced: places of the priced variables, in the order of θ.
        shape: of one θ and one y.
        sense: "min" or "max"; None for the model's own.
        limits: of time and gaps; they rule over the model's own parameters.

    Raises:
        ValueError: for an empty model, a sense that contradicts the model's objective, or a model that SCIP writes and
            cannot read back.

    >>> import numpy as np
    >>> model = Model()
    >>> x, y = (model.addVar(ub=2.0) for _ in range(2))
    >>> disc = model.addCons(x * x + y * y <= 1)
    >>> wrap(model, [x, y], sense="max").solve(np.array([[1.0, 0.0], [3.0, 4.0]])).y.round(3)
    array([[1. , 0. ],
           [0.6, 0.8]])
    """

    engine = ScipEngine


_INSTEAD = (
    ": the objective is linear in what theta prices, so price a variable, and tie it to the expression by a constraint"
)


@wrap.register(Model)
@options_of(ScipModel)
def wrap_scip(model: Model, /, variables: Any, *, backend: str | None = None, **options: Any) -> Solver:
    """`combdiff.wrap` for a `pyscipopt.Model`: see `ScipModel` and `Limits`.

    A model with linear constraints only may go to another `backend` (that of `MathOptModel`, or "cp_sat"), to which
    SCIP's parameters mean nothing. None is SCIP itself.

    >>> import numpy as np
    >>> model = Model()
    >>> x = [model.addVar(vtype="B") for _ in range(3)]
    >>> row = model.addCons(x[0] + x[1] + x[2] == 2)
    >>> wrap(model, x, backend="highs").solve(np.array([[3.0, 1.0, 2.0]])).y
    array([[0., 1., 1.]])
    """
    problem = ScipProblem.of(model)
    own = {variable.ptr(): place for place, variable in enumerate(model.getVars(transformed=False))}

    def place(variable: Variable) -> int | None:
        found = own.get(variable.ptr())
        if found in problem.indicators:
            raise ValueError(
                f"variable {variable.name} is an indicator variable that SCIP made for a cardinality constraint, and "
                "is not held to what it indicates: price variables of your own"
            )
        return found

    found = resolve_native(variables, Variable, place, "SCIP", _INSTEAD)
    if backend is None:
        return ScipModel(problem, *found, **options)
    if problem.text is not None:
        raise ValueError(
            f"backend={backend!r} takes linear constraints of binary, integer and continuous variables, and this model "
            "has others, which SCIP alone takes: leave backend out"
        )
    from combdiff_solvers.models.linear_solver import linear_solver  # needs OR-Tools

    return linear_solver(problem.model, *found, backend=backend, **options)
