"""OR-Tools MathOpt models, and whatever can be told as one, as a Solver."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from ortools.math_opt import model_pb2
from ortools.math_opt.python import mathopt

from combdiff_solvers._mip_engines import BACKENDS, Engine, Found, make_engine
from combdiff_solvers._model_proto import Columns, crossed_bounds
from combdiff_solvers._priced import priced, settle_sense
from combdiff_solvers._row_loop import Answer, PerThread, solve_rows
from combdiff_solvers.limits import Limits
from combdiff_solvers.protocol import Sense, Solutions, Solver, Status, as_rows, refuse_instances
from combdiff_solvers.wrap import wrap

__all__ = ["MathOptModel", "wrap_math_opt"]


class MathOptModel:
    """A linear or mixed-integer model of OR-Tools: min (or max) ⟨θ, y⟩ + h(x) over the model's x, where y ⊂ x.

    θ is *added* to what the model's objective already holds (h), the priced variables' own coefficients included.
    Users make it by `combdiff.wrap(model, variables)`, by `MixedInteger`, or from a file. The model is copied: later
    changes of the user's object have no effect here.

    Back ends: `"glop"` (LP, an exact vertex), `"pdlp"` (LP, first order: answers are within a tolerance, no vertices,
    and so FEASIBLE, never OPTIMAL), `"scip"` and `"highs"` (MIP and LP). None takes GLOP for an LP, else SCIP.
    MathOpt's own CP-SAT is left out because it rounds real costs at 1e-6 in silence: `MixedInteger` has an exact one.

    Accuracy: these are floating-point solvers. The costs of a row (θ and h) are scaled by a power of two, so that no
    absolute tolerance of theirs meets tiny or huge costs; OPTIMAL then means proven within the back end's own
    tolerances (feasibility 1e-6, about 1e-9 of the largest cost in the objective). A row whose costs span more than
    seven orders of magnitude, and whose solution avoids the large ones, could hide more than that: it is FEASIBLE and
    says so. The objective is recomputed in float64; integer variables are rounded to integers.

    The answer never depends on what was solved before: every row begins at the same point, from scratch or, with
    `warm_start`, at the solution (LP: the optimal basis) of those typical costs.

    Args:
        proto: the model, a serialized or live `math_opt.ModelProto`.
        ids: ids of the priced variables, in the order of θ.
        shape: of one θ and one y.
        sense: "min" or "max"; None for the model's own.
        backend: see above.
        limits: of time and gaps.
        warm_start: typical costs, of `shape`, in whose solution each search begins.
        parameters: a MathOpt `SolveParameters` (or its serialized proto) that rules over the defaults.

    Raises:
        ValueError: for an empty model, a quadratic term on a priced variable, several objectives, an unknown back end
            or one that cannot hold integers, or a sense that contradicts the model's objective.

    >>> model = mathopt.Model()
    >>> x = [model.add_binary_variable() for _ in range(3)]
    >>> _ = model.add_linear_constraint(x[0] + x[1] + x[2] == 2)
    >>> solver = wrap(model, x)
    >>> solver.solve(np.array([[3.0, 1.0, 2.0]])).y
    array([[0., 1., 1.]])
    """

    def __init__(
        self,
        proto: model_pb2.ModelProto | bytes,
        ids: Sequence[int] | ndarray,
        shape: tuple[int, ...],
        sense: Sense | str | None = None,
        backend: str | None = None,
        limits: Limits | None = None,
        warm_start: ndarray | None = None,
        parameters: mathopt.SolveParameters | bytes | None = None,
    ) -> None:
        model = model_pb2.ModelProto()
        model.ParseFromString(proto if isinstance(proto, bytes) else proto.SerializeToString())
        self._columns = Columns(model)
        if not len(self._columns.ids):
            raise ValueError("the model is empty: it has no variables")
        if model.auxiliary_objectives:
            raise ValueError("the model has several objectives, and theta can price one: delete the auxiliary ones")
        self._priced = self._columns.positions(np.array(ids))
        self._refuse_quadratic(np.array(ids))
        objective = model.objective
        used = bool(len(objective.linear_coefficients.ids) or len(objective.quadratic_coefficients.row_ids))
        self.sense = settle_sense(sense, objective.maximize, used)
        model.objective.maximize = self.sense is Sense.MAX
        self.shape = tuple(shape)
        self.limits = limits or Limits()
        self.backend = backend or ("glop" if self._columns.is_linear_program else "scip")
        if self.backend not in BACKENDS:
            raise ValueError(f"backend={backend!r} is none of {', '.join(map(repr, BACKENDS))}")
        if not BACKENDS[self.backend].integers and not self._columns.is_linear_program:
            raise ValueError(f"backend={backend!r} solves LPs, but the model has integers: use 'scip' or 'highs'")
        self._crossed = crossed_bounds(model)
        self._proto = model.SerializeToString()
        if isinstance(parameters, mathopt.SolveParameters):
            parameters = parameters.to_proto().SerializeToString()
        self._parameters = parameters
        self._typical = None if warm_start is None else as_rows(np.reshape(warm_start, (1, -1)), self.shape)[0]
        self._engines: PerThread[Engine] = PerThread(partial(MathOptModel._build, self))

    def _refuse_quadratic(self, ids: ndarray) -> None:
        rows, columns, _ = self._columns.quadratic
        bent = np.isin(self._priced, np.concatenate([rows, columns]))
        if bent.any():
            raise ValueError(
                f"the model's objective is quadratic in variable {ids[bent][0]}, which theta prices: the priced part "
                "must be linear (move the square to a variable of its own by a constraint)"
            )

    def _build(self) -> Engine:
        typical = None if self._typical is None else self._costs(self._typical)
        proto = model_pb2.ModelProto.FromString(self._proto)
        return make_engine(proto, self.backend, self.limits, self._parameters, typical)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_engines"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._engines = PerThread(partial(MathOptModel._build, self))

    def _costs(self, theta: Float64[ndarray, " n"]) -> Float64[ndarray, " v"]:
        """All linear costs, θ and h, scaled by a power of two; unscaled if h is quadratic."""
        costs = self._columns.costs.copy()
        costs[self._priced] += theta
        largest = np.abs(costs).max()
        if largest > 0 and not len(self._columns.quadratic[2]):
            target = 0 if self._columns.is_linear_program else 20  # relative gaps of 1e-9 rise above MIP tolerances
            costs = np.ldexp(costs, target - int(np.frexp(largest)[1]))
        return costs

    def solve(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None = None) -> Solutions:
        """Solve every row of θ, (b, n); n is the product of `shape`."""
        refuse_instances(self, instances)
        theta = as_rows(theta, self.shape)
        clock = self.limits.start()
        if self._crossed is not None:
            return solve_rows(theta, clock, lambda row, seconds: Answer(Status.INFEASIBLE, message=self._crossed))
        engine = self._engines.get() if len(theta) else None

        def solve_row(row: int, seconds: float | None) -> Answer:
            assert engine is not None
            costs = self._costs(theta[row])
            return self._answer(theta[row], costs, engine.solve(costs, seconds))

        return solve_rows(theta, clock, solve_row)

    def _answer(self, theta: Float64[ndarray, " n"], costs: Float64[ndarray, " v"], found: Found) -> Answer:
        if found.x is None:
            return Answer(found.status, message=found.message)
        x = np.where(self._columns.integer, np.rint(found.x), found.x) + 0.0
        y = x[self._priced]
        rows, columns, squares = self._columns.quadratic
        h = float(self._columns.costs @ x + self._columns.offset + (squares * x[rows]) @ x[columns])
        status, message = found.status, found.message
        if status is Status.OPTIMAL:
            status, message = self._proof(x, costs, found)
        return Answer(status, y, float(theta @ y) + h, message)

    def _proof(
        self, x: Float64[ndarray, " v"], costs: Float64[ndarray, " v"], found: Found
    ) -> tuple[Status, str | None]:
        """What the back end's "optimal" is worth for these costs."""
        if not BACKENDS[self.backend].exact:
            return Status.FEASIBLE, "a first-order LP solver: y is within its tolerance of an optimum, and no vertex"
        sizes = np.abs(costs)
        largest = sizes.max()
        if largest == 0:
            return Status.OPTIMAL, None
        if sizes[sizes > 0].min() < 1e-7 * largest and 0 < sizes @ np.abs(x) < 1e-3 * largest:
            return Status.FEASIBLE, (
                "optimal only as far as floating point can tell: the costs span "
                f"{np.log10(largest / sizes[sizes > 0].min()):.0f} orders of magnitude and y avoids the large "
                "ones; scale them down, or use CP-SAT, which is exact about integers"
            )
        if not self.limits.exact and found.bound is not None and not len(self._columns.quadratic[2]):
            gap = abs(float(costs @ x) + self._columns.offset - found.bound)
            if gap > 1e-9 * (sizes @ np.abs(x)):
                share = gap / max(float(sizes @ np.abs(x)), 1e-300)
                return Status.FEASIBLE, f"stopped at a gap of {share:.2g} of the objective, as it was allowed to"
        return Status.OPTIMAL, None


@wrap.register(mathopt.Model)
def wrap_math_opt(
    model: mathopt.Model,
    /,
    variables: Any,
    *,
    sense: Sense | str | None = None,
    backend: str | None = None,
    time_limit: float | None = None,
    batch_time_limit: float | None = None,
    relative_gap: float = 0.0,
    absolute_gap: float = 0.0,
    warm_start: ndarray | None = None,
    parameters: mathopt.SolveParameters | None = None,
) -> Solver:
    """`combdiff.wrap` for a MathOpt `Model`: see `MathOptModel` and `Limits`."""

    def id_of(variable: Any) -> int:
        if not isinstance(variable, mathopt.Variable):
            raise TypeError(f"{variable!r} is a {type(variable).__name__}, not a variable of the MathOpt model")
        if variable.elemental is not model.objective.elemental or not model.has_variable(variable.id):
            raise ValueError(f"variable {variable} is not of this model")
        return int(variable.id)

    ids, shape = priced(variables, id_of, "MathOpt variables")
    limits = Limits(time_limit, batch_time_limit, relative_gap, absolute_gap)
    return MathOptModel(model.export_model(), ids, shape, sense, backend, limits, warm_start, parameters)
