"""Linear and mixed-integer models by the back ends of OR-Tools MathOpt, as a Solver."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float64, Int
from numpy import ndarray
from ortools.math_opt import model_pb2
from ortools.math_opt.python import mathopt

from combdiff_solvers._chunks import together
from combdiff_solvers._mip_engines import BACKENDS, Engine, make_engine
from combdiff_solvers._model_proto import Columns, crossed_bounds
from combdiff_solvers._priced import settle_sense
from combdiff_solvers._row_loop import Answer, End, PerThread, solve_rows, visit_rows
from combdiff_solvers.limits import Clock, Limits
from combdiff_solvers.protocol import Described, Sense, Solutions, Status, as_rows, refuse_instances

__all__ = ["MathOptModel"]

BLOCK = 2**22  # entries of x that are held at a time
FIRST_ORDER = "a first-order LP solver: y is within its tolerance of an optimum, and no vertex"


class MathOptModel(Described):
    """A linear or mixed-integer model of OR-Tools: min (or max) ⟨θ, y⟩ + h(x) over the model's x, where y ⊂ x.

    θ is *added* to what the model's objective already holds (h), the priced variables' own coefficients included.
    Users make it by `combdiff.wrap(model, variables)`, by `MixedInteger`, or from a file. The model is copied: later
    changes of the user's object have no effect here.

    Back ends: `"glop"` (LP, an exact vertex), `"pdlp"` (LP, first order: answers are within a tolerance, no vertices,
    and so FEASIBLE, never OPTIMAL), `"scip"` and `"highs"` (MIP and LP). None takes GLOP for an LP, else SCIP.
    MathOpt's own CP-SAT is not among them because it rounds real costs at 1e-6 in silence: `backend="cp_sat"` of `wrap`
    makes a `CpSatModel` instead.

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
    >>> solver = MathOptModel(model.export_model(), ids=[0, 1, 2], shape=(3,))
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
        typical = None if self._typical is None else self._costs(self._typical[None])[0]
        proto = model_pb2.ModelProto.FromString(self._proto)
        return make_engine(proto, self.backend, self.limits, self._parameters, typical)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_engines"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._engines = PerThread(partial(MathOptModel._build, self))

    def _costs(self, theta: Float64[ndarray, "b n"]) -> Float64[ndarray, "b v"]:
        """All linear costs, θ and h, each row scaled by a power of two; unscaled if h is quadratic."""
        costs = np.tile(self._columns.costs, (len(theta), 1))
        costs[:, self._priced] += theta
        if len(self._columns.quadratic[2]):
            return costs
        target = 0 if self._columns.is_linear_program else 20  # relative gaps of 1e-9 rise above MIP tolerances
        largest = np.abs(costs).max(axis=1, keepdims=True)
        return np.where(largest > 0, np.ldexp(costs, target - np.frexp(largest)[1]), costs)

    def solve(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None = None) -> Solutions:
        """Solve every row of θ, (b, n); n is the product of `shape`."""
        refuse_instances(self, instances)
        theta = as_rows(theta, self.shape)
        clock = self.limits.start()
        if self._crossed is not None:
            return solve_rows(theta, clock, lambda row, seconds: Answer(Status.INFEASIBLE, message=self._crossed))
        rows = max(1, BLOCK // len(self._columns.ids))
        firsts = range(0, len(theta), rows)
        return together(((first, self._solve(theta[first : first + rows], clock)) for first in firsts), *theta.shape)

    def _solve(self, theta: Float64[ndarray, "b n"], clock: Clock) -> Solutions:
        engine, costs = self._engines.get(), self._costs(theta)
        x, bound = np.full(costs.shape, np.nan), np.full(len(theta), np.nan)

        def visit(row: int, seconds: float | None) -> End:
            found = engine.solve(costs[row], seconds)
            if found.x is not None:
                x[row] = found.x
            if found.bound is not None:
                bound[row] = found.bound
            return End(found.status, found.message)

        status, messages = visit_rows(len(theta), clock, visit)
        x[:, self._columns.integer] = np.rint(x[:, self._columns.integer])
        x += 0.0  # no -0.0
        y = np.ascontiguousarray(x[:, self._priced])
        rows, columns, squares = self._columns.quadratic
        h = np.einsum("bv,v->b", x, self._columns.costs) + self._columns.offset
        if len(squares):
            h += np.einsum("bq,bq,q->b", x[:, rows], x[:, columns], squares)
        for row, doubt in self._doubts(np.flatnonzero(status == Status.OPTIMAL), x, costs, bound):
            status[row], messages[row] = Status.FEASIBLE, doubt
        return Solutions(y, np.einsum("bn,bn->b", theta, y) + h, status, messages)

    def _doubts(
        self,
        optimal: Int[ndarray, " k"],
        x: Float64[ndarray, "b v"],
        costs: Float64[ndarray, "b v"],
        bound: Float64[ndarray, " b"],
    ) -> Iterator[tuple[int, str]]:
        """The rows whose "optimal" is worth less for these costs, and why."""
        if not BACKENDS[self.backend].exact:
            yield from ((row, FIRST_ORDER) for row in optimal.tolist())
            return
        sizes = np.abs(costs)
        largest, least = sizes.max(axis=1), np.where(sizes > 0, sizes, np.inf).min(axis=1)
        for row in optimal[(least < 1e-7 * largest)[optimal]].tolist():
            if 0 < sizes[row] @ np.abs(x[row]) < 1e-3 * largest[row]:
                yield (
                    row,
                    "optimal only as far as floating point can tell: the costs span "
                    f"{np.log10(largest[row] / least[row]):.0f} orders of magnitude and y avoids the large "
                    "ones; scale them down, or use CP-SAT, which is exact about integers",
                )
        if self.limits.exact or len(self._columns.quadratic[2]):
            return
        total = np.einsum("bv,bv->b", sizes, np.abs(x))
        gap = np.abs(np.einsum("bv,bv->b", costs, x) + self._columns.offset - bound)  # NaN where there is no bound
        for row in optimal[(gap > 1e-9 * total)[optimal]].tolist():
            share = gap[row] / max(total[row], 1e-300)
            yield row, f"stopped at a gap of {share:.2g} of the objective, as it was allowed to"
