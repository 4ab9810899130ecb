"""CPMpy models as a Solver: one constraint model, solved as CP-SAT, as a mixed-integer program or as a formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import cpmpy as cp
import numpy as np
from cpmpy.expressions.variables import NegBoolView, _NumVarImpl
from cpmpy.solvers.ortools import CPM_ortools
from cpmpy.tools.explain import mus
from cpmpy.transformations.get_variables import get_variables_model
from cpmpy.transformations.normalize import toplevel_list

from combdiff_solvers.limits import Limits
from combdiff_solvers.models.cp_sat import CpSatModel
from combdiff_solvers.models.linear_solver import linear_solver
from combdiff_solvers.models.variables import resolve_native, resolve_sense
from combdiff_solvers.protocol import BatchSolver, PerRow, Rows, Sense, Sets, Solutions, Solver, Status
from combdiff_solvers.wrap import options_of, wrap


@wrap.register(cp.Model)
@options_of(linear_solver)
def wrap_cpmpy(
    model: cp.Model,
    /,
    variables: Any,
    *,
    backend: str | None = None,
    sense: Sense | str | None = None,
    explain: bool = False,
    **options: Any,
) -> Solver:
    """`combdiff.wrap` for a CPMpy `Model`, whose constraints CPMpy itself rewrites for the back end.

    `backend`: None or "cp_sat" (`CpSatModel`); "scip", "highs" (`MathOptModel`); "rc2" or "sat" (`wrap_formula`, "sat"
    being its "auto"), where the priced variables must be Boolean. Limits as ever. `variables` are Boolean or integer
    variables of the model in any shape, such as `cpmpy.boolvar(shape=(3, 4))`.

    With `explain=True` the message of an INFEASIBLE row names constraints that contradict each other, none of which
    can be left out (`cpmpy.tools.explain.mus`), by what `set_description` called them.

    Raises:
        ValueError: for an integer variable that is priced on "rc2" or "sat", and as these solvers do.

    >>> x = cp.intvar(0, 4, shape=3, name="x")
    >>> model = cp.Model(cp.AllDifferent(x), x[0] < x[1])
    >>> wrap(model, x).solve(np.array([[-1.0, 1.5, 0.5]])).y
    array([[1., 2., 0.]])
    >>> wrap(model, x, backend="highs").solve(np.array([[-1.0, 1.5, 0.5]])).objective
    array([2.])
    """
    own = get_variables_model(model)
    places = {one.name: place for place, one in enumerate(own)}  # CPMpy tells variables apart by their names

    def known(variable: _NumVarImpl) -> int | None:
        if isinstance(variable, NegBoolView):
            raise TypeError(f"{variable} is a negated literal: price the variable itself, as <θ, 1 − x> = Σ θ − <θ, x>")
        return places.get(variable.name)

    found, shape = resolve_native(variables, _NumVarImpl, known, "CPMpy", ": tie a variable to it by a constraint")
    priced = [own[place] for place in found.tolist()]
    if model.has_objective():
        sense = resolve_sense(sense, not model.objective_is_min, True)
    if backend in (None, "cp_sat"):
        native = CPM_ortools(model)
        indices = [native.solver_var(one).index for one in priced]
        solver: BatchSolver = CpSatModel(native.ort_model.proto, indices, shape, sense, **options)
    elif backend in ("rc2", "sat"):
        solver = _as_formula(model, priced, shape, "auto" if backend == "sat" else backend, sense, options)
    else:
        from combdiff_solvers.formulas.cpmpy_linear import linear_model_of

        read, columns = linear_model_of(model, priced)
        solver = linear_solver(read, columns, shape, sense, backend, **options)
    return Explained(solver, model.constraints) if explain else solver


def _as_formula(
    model: cp.Model,
    priced: Sequence[_NumVarImpl],
    shape: tuple[int, ...],
    backend: str,
    sense: Sense | str | None,
    options: dict[str, Any],
) -> Any:
    for one in priced:
        if not one.is_bool():
            raise ValueError(f"theta prices Booleans of a formula, and {one} is an integer: use backend='cp_sat'")
    from combdiff_solvers.formulas.cpmpy_formula import formula_of
    from combdiff_solvers.formulas.formula_model import wrap_formula

    formula, numbers = formula_of(model, priced)
    limits = options.pop("limits", Limits())
    return wrap_formula(formula, numbers.reshape(shape), sense=sense, backend=backend, **options, **asdict(limits))


class Explained(BatchSolver):
    """A solver whose infeasible rows name the constraints that contradict each other.

    The subset is found once, when a row is first infeasible, whatever θ is. A row that only its instance makes
    infeasible has no such message.

    >>> wet, dry = cp.boolvar(name="wet"), cp.boolvar(name="dry")
    >>> rules = [wet | dry, wet & dry, ~(wet & dry)]
    >>> for rule, name in zip(rules, ["some weather", "both", "not both"], strict=True):
    ...     rule.set_description(name)
    >>> wrap(cp.Model(rules), [wet, dry], explain=True).solve(np.zeros((1, 2))).messages
    {0: 'these constraints contradict each other: both; not both'}
    """

    def __init__(self, solver: BatchSolver, constraints: Sequence[Any]) -> None:
        self.solver, self.sense, self.shape = solver, solver.sense, solver.shape
        self.takes_instances = solver.takes_instances
        self._constraints = toplevel_list(list(constraints), merge_and=False)

    @cached_property
    def reason(self) -> str | None:
        """A minimal unsatisfiable subset of the constraints in words; None where there is none."""
        if cp.Model(self._constraints).solve():
            return None
        chosen = {id(one) for one in mus(self._constraints)}
        names = "; ".join(str(one) for one in self._constraints if id(one) in chosen)
        return f"these constraints contradict each other: {names}"

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        found = self.solver.solve_checked(theta, instances)
        lost = np.flatnonzero(found.status == Status.INFEASIBLE).tolist()
        if not lost or self.reason is None:
            return found
        return replace(found, messages={**found.messages, **dict.fromkeys(lost, self.reason)})

    def value_checked(self, y: Rows, theta: Rows, instances: Sets) -> PerRow:
        """As the solver's own."""
        return self.solver.value_checked(y, theta, instances)
