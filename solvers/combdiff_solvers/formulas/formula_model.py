"""`wrap` for formulas: what θ prices, and which back end solves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

from combdiff_solvers.formulas.formula import Formula
from combdiff_solvers.limits import Limits
from combdiff_solvers.models.variables import resolve_variables
from combdiff_solvers.protocol import Sense, Solver
from combdiff_solvers.wrap import options_of, wrap

Price = Literal["variables", "clauses"]
Backend = Literal["auto", "rc2", "cp_sat"]


@wrap.register(Formula)
@options_of()
def wrap_formula(
    formula: Formula,
    /,
    variables: Any = None,
    *,
    price: Price = "variables",
    sense: Sense | str | None = None,
    backend: Backend = "auto",
    limits: Limits | None = None,
) -> Solver:
    """`combdiff.wrap` for a propositional formula (PySAT's `CNF`, `CNFPlus`, `WCNF`, `WCNFPlus`, and files of them).

    Two things can be priced:

    - `price="variables"`: y are the values of `variables` (all of the formula if None), and θ is added to what the
      formula's soft clauses cost (for "min", the default, the weights of the false ones; for "max" the weights of
      those that hold).
    - `price="clauses"`: y tells which soft clauses hold, in their order, and θ takes the place of their weights. In a
      formula without soft clauses all clauses count as soft. The default is "max": weighted MaxSAT. A negative θ
      wants its clause false.

    Args:
        formula: the formula; it is copied.
        variables: a nested sequence or an array of variables (positive integers), which gives the shape of θ.
        price: "variables" or "clauses".
        sense: "min" or "max".
        backend: "rc2" (PySAT; exact, see `SatModel`), "cp_sat" (OR-Tools; see `CpSatModel` for its bound on rounding)
            or "auto". All take `SatInstances`. "auto" gives formulas with cardinality or pseudo-Boolean constraints to
            CP-SAT, whose search does not stall on them, and of the others the rows with more than 64 different |θᵢ|;
            all else, and everything where OR-Tools is not installed, goes to RC2. It looks at no clock. The solver's
            `backend` and its repr say what was chosen; where rows differ, `chosen(theta)` does.
        limits: of time and gaps, given by their names: time_limit, batch_time_limit, relative_gap, absolute_gap.

    Raises:
        ValueError: for an empty formula, unknown or repeated variables, variables beside `price="clauses"`, or an
            unknown `price` or `backend`.

    >>> import numpy as np
    >>> formula = Formula(2, hard=((1,), (-1, 2), (-2,)))
    >>> wrap(formula, price="clauses").solve(np.array([[1.0, 3.0, 2.0], [3.0, 1.0, 2.0]])).y
    array([[0., 1., 1.],
           [1., 0., 1.]])
    """
    for name, given, choices in (("price", price, Price), ("backend", backend, Backend)):
        if given not in get_args(choices):
            raise ValueError(f"{name}={given!r} is none of {', '.join(map(repr, get_args(choices)))}")
    if price == "clauses":
        if variables is not None:
            raise ValueError("price='clauses' gives theta one entry for each soft clause: leave variables out")
        formula, literals = with_clauses_priced(formula)
        shape: tuple[int, ...] = (len(literals),)
    elif variables is None:
        literals, shape = list(range(1, formula.variables + 1)), (formula.variables,)
    else:
        indices, shape = resolve_variables(
            variables, lambda one: _variable(one, formula.variables), "variables of the formula"
        )
        literals = indices.tolist()
    chosen = Sense(sense) if sense is not None else (Sense.MAX if price == "clauses" else Sense.MIN)
    model = formula, literals, shape, chosen, limits or Limits()
    if backend != "rc2":
        try:
            from combdiff_solvers.formulas.formula_cp_sat import CpSatFormula, reason_against
        except ImportError as error:
            if backend == "cp_sat":
                missing = "backend='cp_sat' needs OR-Tools: pip install 'combdiff[ortools]'"
                raise ImportError(f"{missing} ({error})") from error
        else:
            unfit = reason_against(formula) is not None
            if backend == "cp_sat" or (formula.at_most and not unfit):
                return CpSatFormula(*model)
            from combdiff_solvers.formulas.formula_auto import MOST_PRICES, AutoFormula

            if not unfit and len(literals) + len({abs(one.weight) for one in formula.soft}) > MOST_PRICES:
                return AutoFormula(*model)
    from combdiff_solvers.formulas.sat import SatModel

    return SatModel(*model)


def _variable(one: Any, variables: int) -> int:
    """Check a variable of the user's.

    Raises:
        TypeError: for what is no integer.
        ValueError: for a negation, or a variable that is not of the formula.
    """
    if isinstance(one, bool) or not hasattr(one, "__index__"):
        raise TypeError(f"{one!r} is a {type(one).__name__}: a variable of a formula is a positive integer")
    variable = int(one)
    if -variables <= variable < 0:
        raise ValueError(f"{variable} is a negation: price {-variable} itself, as <θ, 1 − x> = Σ θ − <θ, x>")
    if not 1 <= variable <= variables:
        raise ValueError(f"{variable} is not a variable of the formula: they are 1..{variables}")
    return variable


def with_clauses_priced(formula: Formula) -> tuple[Formula, Sequence[int]]:
    """The formula with literals that are true just where its soft clauses hold, and those literals."""
    clauses = [one.clause for one in formula.soft] or list(formula.hard)
    if not clauses:
        raise ValueError("price='clauses' needs clauses, and the formula has none")
    hard = list(formula.hard) if formula.soft else []
    literals, free = [], formula.variables + 1
    for clause in clauses:
        if len(clause) == 1:
            literals.append(clause[0])
            continue
        hard += [(-free, *clause), *((free, -literal) for literal in clause)]
        literals.append(free)
        free += 1
    return replace(formula, variables=free - 1, hard=tuple(hard), soft=()), literals
