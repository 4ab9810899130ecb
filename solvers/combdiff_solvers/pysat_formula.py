"""PySAT formulas for `combdiff.wrap`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import singledispatch
from typing import Any

from pysat.formula import CNF, WCNF, CNFPlus, WCNFPlus

from combdiff_solvers.formula import AtMost, Formula, Soft
from combdiff_solvers.formula_model import wrap_formula
from combdiff_solvers.protocol import Solver
from combdiff_solvers.wrap import wrap

__all__ = ["formula_of"]


@singledispatch
def formula_of(formula: Any) -> Formula:
    """A copy of a PySAT formula.

    >>> formula_of(CNF(from_clauses=[[1, -2], [2, 3]])).hard
    ((1, -2), (2, 3))
    """
    raise TypeError(f"a {type(formula).__name__} is no PySAT formula: CNF, CNFPlus, WCNF or WCNFPlus")


@formula_of.register(CNF)
def _(formula: CNF) -> Formula:
    return _copy(formula.nv, formula.clauses)


@formula_of.register(CNFPlus)
def _(formula: CNFPlus) -> Formula:
    return _copy(formula.nv, formula.clauses, formula.atmosts)


@formula_of.register(WCNF)
def _(formula: WCNF) -> Formula:
    return _copy(formula.nv, formula.hard, (), formula.soft, formula.wght)


@formula_of.register(WCNFPlus)
def _(formula: WCNFPlus) -> Formula:
    return _copy(formula.nv, formula.hard, formula.atms, formula.soft, formula.wght)


def _copy(
    variables: int,
    hard: Sequence[Sequence[int]],
    at_most: Iterable[Sequence[Any]] = (),
    soft: Sequence[Sequence[int]] = (),
    weights: Sequence[Any] = (),
) -> Formula:
    bounds = tuple(
        AtMost.of(zip(given[2] if len(given) == 3 else [1] * len(given[0]), given[0], strict=True), given[1])
        for given in at_most
    )
    used = [*hard, *soft, *(one.literals for one in bounds)]
    largest = max((abs(literal) for clause in used for literal in clause), default=0)
    return Formula(
        max(variables, largest),
        tuple(tuple(clause) for clause in hard),
        bounds,
        tuple(Soft(tuple(clause), Fraction(weight)) for clause, weight in zip(soft, weights, strict=True)),
    )


@wrap.register(CNF)
@wrap.register(WCNF)
def wrap_pysat(formula: Any, /, *args: Any, **options: Any) -> Solver:
    """`combdiff.wrap` for a PySAT formula: see `wrap_formula`."""
    return wrap_formula(formula_of(formula), *args, **options)
