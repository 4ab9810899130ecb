"""Linear and mixed-integer models by the back ends of OR-Tools MathOpt, as a Solver."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Int, Int64
from numpy import ndarray
from ortools.math_opt.python import mathopt

from combdiff_solvers.chunks import concatenate
from combdiff_solvers.compute.sums import row_products
from combdiff_solvers.limits import Clock, Limits
from combdiff_solvers.models.dual_bounds_kernels import dual_bounds
from combdiff_solvers.models.linear_model import LinearModel, TermRows, Terms
from combdiff_solvers.models.mip_backends import BACKENDS, choose_backend
from combdiff_solvers.models.mip_engines import MathOptEngine, make_engine, scale
from combdiff_solvers.models.variables import TOLERANCE, NativeModel, nearest_feasible, resolve_sense
from combdiff_solvers.protocol import PerRow, Row, Rows, Sense, Sets, Solutions, Status, as_rows
from combdiff_solvers.rows import Answer, PerThread, h_of, solve_rows, visit_rows

BLOCK = 2**22  # entries of x that are held at a time
PROVEN = 1e-9  # a gap below this share of the objective's terms, and of the largest cost, is none
FIRST_ORDER = "a first-order LP solver: y is within its tolerance of an optimum, and no vertex"


class MathOptModel(NativeModel):
    """A linear or mixed-integer model of OR-Tools: min (or max) ⟨θ, y⟩ + h(x) over the model's x, where y ⊂ x.

    θ is *added* to what the model's objective already holds (h), the priced variables' own coefficients included.
    Users make it by `combdiff.wrap(model, variables)`, by `MixedInteger`, or from a file. The model is copied: later
    changes of the user's object have no effect here.

    Back ends: `"glop"` (LPs, an exact vertex), `"pdlp"` (LPs and QPs that are sums of convex squares, first order:
    answers are within a tolerance, no vertices, and so FEASIBLE, never OPTIMAL), `"highs"` (LPs and linear MIPs) and
    `"scip"` (everything but second-order cones: integers, quadratic terms in objective and constraints, convex or not,
    SOS and indicator constraints). None takes GLOP for an LP, else SCIP. A model that holds anything that its back end
    does not take is refused. h may be quadratic, in priced variables too; θ itself stays linear.
    MathOpt's own CP-SAT is not among them because it rounds real costs at 1e-6 in silence: `backend="cp_sat"` of `wrap`
    makes a `CpSatModel` instead.

    Accuracy: these are floating-point solvers. The costs of a row (θ and h) are scaled by a power of two to a largest
    one between 2¹⁹ and 2²⁰ (2⁶ and 2⁷ if anything is quadratic), so that no absolute tolerance of theirs meets tiny or
    huge costs. What limits the objective (`absolute_gap`, and such fields of `parameters`, but for those in a back
    end's own options) is scaled with them. OPTIMAL then means proven within the back end's tolerances:

    - constraints hold within 1e-6 (absolute; relative for sides above 1);
    - in linear models no feasible point x' is better than x by more than 1e-9 of the row's largest cost, or of that
      cost times Σ |xᵢ − x'ᵢ| where this is above 1; in quadratic ones by more than 1e-8 of it, so that y itself is
      right to about 1e-4 at a smooth optimum.

    A row whose search a gap ended is FEASIBLE, whoever allowed the gap. A row whose costs span more than seven orders
    of magnitude, and whose solution avoids the large ones, could hide all that it is worth in these tolerances: it is
    FEASIBLE and says so. The objective is recomputed in float64; integer variables are rounded to integers.

    `bound` is that of the dual solution for an LP, with the errors of floating point (`dual_bounds`). For other models,
    and on SCIP, which gives no dual solution, it is the back end's own, widened by the tolerances above. It is infinite
    where a variable without bounds leaves nothing proven.

    The answer never depends on what was solved before: every row begins at the same point, from scratch or, with
    `warm_start`, at the solution (LP: the optimal basis) of those typical costs.

    Args:
        model: see `LinearModel`.
        priced: places of the priced variables, in the order of θ.
        shape: of one θ and one y.
        sense: "min" or "max"; None for the model's own.
        backend: see above.
        limits: of time and gaps.
        warm_start: typical costs, of `shape`, in whose solution each search begins.
        parameters: a MathOpt `SolveParameters` (or its serialized proto) that rules over the defaults.

    Raises:
        ValueError: for an unknown back end or one that cannot take the model, or a sense that contradicts the model's
            objective.

    >>> from combdiff_solvers.models.model_proto import from_proto
    >>> model = mathopt.Model()
    >>> x = [model.add_binary_variable() for _ in range(3)]
    >>> _ = model.add_linear_constraint(x[0] + x[1] + x[2] == 2)
    >>> solver = MathOptModel(from_proto(model.export_model()), np.arange(3), shape=(3,))
    >>> solver.solve(np.array([[3.0, 1.0, 2.0]])).y
    array([[0., 1., 1.]])
    """

    def __init__(
        self,
        model: LinearModel,
        priced: Int64[ndarray, " n"],
        shape: tuple[int, ...],
        sense: Sense | str | None = None,
        backend: str | None = None,
        limits: Limits | None = None,
        warm_start: ndarray | None = None,
        parameters: mathopt.SolveParameters | bytes | None = None,
    ) -> None:
        self.sense = resolve_sense(sense, model.maximize, bool(model.coefficients.any()))
        self._model = model = replace(model, maximize=self.sense is Sense.MAX)
        self._priced, self._open = priced, model.open_coefficients(priced)
        self.shape, self.limits = tuple(shape), limits or Limits()
        self.backend = choose_backend(model.terms, backend)
        by_column = model.A.tocsc()
        sides = model.lower, model.upper, model.row_lower, model.row_upper
        self._program = *sides, by_column.indptr, by_column.indices, by_column.data
        if isinstance(parameters, mathopt.SolveParameters):
            parameters = parameters.to_proto().SerializeToString()
        typical = None
        if warm_start is not None:
            scaled, exponents = self._costs(as_rows(np.reshape(warm_start, (1, -1)), self.shape))
            typical = scaled[0], int(exponents[0])
        self._engines = PerThread(partial(make_engine, model, self.backend, self.limits, parameters, typical))
        proven = self.backend if BACKENDS[self.backend].exact else choose_backend(model.terms, None)
        self._completions = PerThread(partial(MathOptEngine, model, proven, Limits()))

    @property
    def linear_model(self) -> tuple[LinearModel, Int64[ndarray, " n"]]:
        """The model, and the places of the priced variables."""
        return self._model, self._priced

    def _costs(self, theta: Rows) -> tuple[TermRows, Int[ndarray, " b"]]:
        """The costs, θ and h, of all terms of the objective, each row scaled by a power of two, and its exponent."""
        costs = np.tile(self._model.coefficients, (len(theta), 1))
        costs[:, self._priced] += theta
        return scale(costs, self._model.terms)

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        clock = self.limits.start()
        if self._model.crossed is not None:
            crossed = Answer(Status.INFEASIBLE, message=self._model.crossed)
            return solve_rows(theta, clock, lambda row, seconds: crossed, self.sense)
        rows = max(1, BLOCK // len(self._model.coefficients))
        firsts = range(0, len(theta), rows)
        return concatenate(((first, self._solve(theta[first : first + rows], clock)) for first in firsts), *theta.shape)

    def _solve(self, theta: Rows, clock: Clock) -> Solutions:
        engine, (costs, exponents) = self._engines.get(), self._costs(theta)
        x, gap = np.full((len(theta), len(self._model.c)), np.nan), np.zeros(len(theta))
        told, duals, shifts = np.full(len(theta), np.nan), dict[int, ndarray](), exponents.tolist()

        def visit(row: int, seconds: float | None) -> Answer:
            found = engine.solve(costs[row], shifts[row], seconds)
            if found.x is not None:
                x[row], gap[row] = found.x, found.gap
            told[row] = found.bound
            if found.duals is not None:
                duals[row] = found.duals
            return Answer(found.status, message=found.message)

        ends = visit_rows(len(theta), clock, visit)
        status = np.array([end.status for end in ends], dtype=np.uint8)
        messages = {row: end.message for row, end in enumerate(ends) if end.message}
        x[:, self._model.integer] = np.rint(x[:, self._model.integer])
        x += 0.0  # no -0.0
        y = np.ascontiguousarray(x[:, self._priced])
        sizes = np.abs(costs) * np.abs(self._model.terms_at(x))
        reasons = self._downgrade_reasons(np.flatnonzero(status == Status.OPTIMAL), costs, sizes, gap, exponents)
        status[list(reasons)] = Status.FEASIBLE
        messages |= reasons
        objective = row_products(theta, y) + self._model.h(x)
        bound = self._bounds(costs, exponents, told, duals)
        better = np.fmin if self.sense is Sense.MIN else np.fmax
        bound = np.where(np.isnan(objective), bound, better(bound, objective))
        return Solutions(y, objective, status=status, messages=messages, bound=bound)

    def _bounds(
        self, costs: TermRows, exponents: Int[ndarray, " b"], told: PerRow, duals: dict[int, ndarray]
    ) -> PerRow:
        """Proven bounds: of an LP's dual solution, or else what the back end told, widened by its tolerance.

        That is 1e-9 (1e-8 in quadratic models) of the bound, or of the largest cost times Σ |xᵢ − x'ᵢ|, for which the
        width of the variables stands: nothing is proven where one has no bounds.
        """
        sign = self.sense.sign
        found = np.full(len(costs), -np.inf)
        widths = max(1.0, float((self._model.upper - self._model.lower).sum()))
        if BACKENDS[self.backend].exact and np.isfinite(widths):
            share = 1e-8 if self._model.terms & Terms.QUADRATIC else 1e-9
            found = sign * told - share * np.maximum(np.abs(told), np.abs(costs).max(axis=1) * widths)
            found = np.where(np.abs(told) < 1e18, found, -np.inf)
        if duals and not self._model.terms:
            rows, proven = np.array(list(duals), dtype=np.int64), np.empty(len(duals))
            y = sign * np.array(list(duals.values()))
            dual_bounds(0, len(rows), sign * costs[rows], y, *self._program, proven)
            found[rows] = proven
        with np.errstate(over="ignore"):
            found = sign * np.ldexp(found, -exponents)
        error = 2.0**-51 * (np.abs(self._model.offset) + np.abs(np.where(np.isfinite(found), found, 0.0)))
        return np.nextafter(found + self._model.offset - sign * error, -sign * np.inf)

    def _downgrade_reasons(
        self, optimal: Int[ndarray, " k"], costs: TermRows, sizes: TermRows, gap: PerRow, exponents: Int[ndarray, " b"]
    ) -> dict[int, str]:
        """The rows whose "optimal" is worth less for these costs, and why; sizes: |costs · terms|, scaled like gap."""
        if not BACKENDS[self.backend].exact:
            return dict.fromkeys(optimal.tolist(), FIRST_ORDER)
        costs, total, reasons = np.abs(costs), sizes.sum(axis=1), dict[int, str]()
        largest, least = costs.max(axis=1), np.where(costs > 0, costs, np.inf).min(axis=1)
        hidden = (least < 1e-7 * largest) & (total > 0) & (total < 1e-3 * largest)
        for row in optimal[hidden[optimal]].tolist():
            reasons[row] = (
                "optimal only as far as floating point can tell: the costs span "
                f"{np.log10(largest[row] / least[row]):.0f} orders of magnitude and y avoids the large ones; "
                "scale them down, or use CP-SAT, which is exact about integers"
            )
        for row in optimal[(gap > PROVEN * np.maximum(total, largest))[optimal]].tolist():
            gain = np.ldexp(gap[row], -exponents[row])
            reasons[row] = (
                f"stopped by a gap that it was allowed: another solution could be better by {gain:.3g} at most"
            )
        return reasons

    def _h(self, y: Row) -> float:
        if not self._open.any():
            x = np.zeros((1, len(self._model.c)))
            x[0, self._priced] = y
            return float(self._model.h(x)[0])
        return float("nan") if self._model.crossed else h_of(self._complete(y), self.sense)

    def _complete(self, y: Row) -> Answer:
        """h(y), as the objective of the answer, and how the search for it ended."""
        lower, upper, integer = (
            part[self._priced] for part in (self._model.lower, self._model.upper, self._model.integer)
        )
        point = nearest_feasible(y, lower, upper, integer)
        if point is None:
            return Answer(Status.INFEASIBLE)
        engine, (costs, exponents) = self._completions.get(), scale(self._open[None], self._model.terms)
        slack = np.where(integer, 0.0, TOLERANCE * np.maximum(1.0, np.abs(y)))
        for width in (0.0, slack):  # equations between rounded entries of y need the slack
            engine.fix(self._priced, np.maximum(point - width, lower), np.minimum(point + width, upper))
            found = engine.solve(costs[0], int(exponents[0]), self.limits.time_limit)
            if found.status is not Status.INFEASIBLE:
                break
        if found.x is None:
            return Answer(found.status, message=found.message)
        x = np.where(self._model.integer, np.rint(found.x), found.x)
        x[self._priced] = y
        return Answer(found.status, objective=float(self._model.h(x[None])[0]), message=found.message)
