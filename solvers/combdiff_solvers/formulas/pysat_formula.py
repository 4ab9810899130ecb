"""PySAT formulas for `combdiff.wrap`."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from pysat.formula import CNF, WCNF
from pysat.formula import Formula as PySatFormula

from combdiff_solvers.formulas.formula import AtMost, Formula, Soft
from combdiff_solvers.formulas.formula_model import wrap_formula
from combdiff_solvers.models.variables import resolve_variables
from combdiff_solvers.protocol import Solver
from combdiff_solvers.wrap import wrap


def formula_of(formula: Any) -> Formula:
    """A copy of a PySAT formula.

    >>> formula_of(CNF(from_clauses=[[1, -2], [2, 3]])).hard
    ((1, -2), (2, 3))
    """
    if isinstance(formula, WCNF):
        variables, hard, at_most = formula.nv, formula.hard, getattr(formula, "atms", ())
    elif isinstance(formula, CNF):
        variables, hard, at_most = formula.nv, formula.clauses, getattr(formula, "atmosts", ())
    else:
        variables, hard, at_most = max(_atoms_of(formula), default=0), [list(clause) for clause in formula], ()
    soft, weights = getattr(formula, "soft", ()), getattr(formula, "wght", ())
    bounds = tuple(
        AtMost.of(zip(given[2] if len(given) == 3 else [1] * len(given[0]), given[0], strict=True), given[1])
        for given in at_most
    )
    used = [*hard, *soft, *(one.literals for one in bounds)]
    return Formula(
        max([variables, *(abs(literal) for clause in used for literal in clause)]),
        tuple(tuple(clause) for clause in hard),
        bounds,
        tuple(Soft(tuple(clause), Fraction(weight)) for clause, weight in zip(soft, weights, strict=True)),
    )


def _atoms_of(formula: PySatFormula) -> dict[int, Any]:
    """The atoms of an And, Or, ..., by PySAT's number for them in the current context."""
    atoms = formula.atoms()
    return {atom if isinstance(atom, int) else PySatFormula.literals([atom])[0]: atom for atom in atoms}


@wrap.register(PySatFormula)
def wrap_pysat_formula(formula: PySatFormula, /, variables: Any = None, **options: Any) -> Solver:
    """`combdiff.wrap` for PySAT's `And`, `Or`, `Implies`, ... of atoms: see `wrap_formula`.

    PySAT turns the formula into clauses; it numbers the atoms, and adds variables of its own, in the current context.
    `variables` are atoms, or PySAT's numbers of them; None for all atoms of the formula in the order of their numbers.

    Raises:
        ValueError: also for a formula without atoms, an atom that is not of the formula, or `price="clauses"`.

    >>> import numpy as np
    >>> from pysat.formula import And, Atom, Or
    >>> x, y, z = Atom("x"), Atom("y"), Atom("z")
    >>> wrap(Or(And(x, y), z), [z, x, y]).solve(np.array([[3.0, 1.0, 1.0], [1.0, 1.0, 1.0]])).y
    array([[0., 1., 1.],
           [1., 0., 0.]])
    """
    if options.get("price") == "clauses":
        raise ValueError(f"price='clauses' wants a CNF or WCNF: a {type(formula).__name__} has no clauses of its own")
    clauses = formula_of(formula)
    atoms = _atoms_of(formula)
    numbers = {atom: number for number, atom in sorted(atoms.items())}

    def number_of(one: Any) -> int:
        number = numbers.get(one, one if isinstance(one, int) else None)
        if number not in atoms:
            raise ValueError(f"{one!r} is not an atom of the formula: they are {', '.join(map(str, numbers))}")
        return int(number)

    given = sorted(atoms) if variables is None else variables
    indices, shape = resolve_variables(given, number_of, "atoms of the formula")
    return wrap_formula(clauses, indices.reshape(shape), **options)


@wrap.register(CNF)
@wrap.register(WCNF)
def wrap_pysat(formula: Any, /, *args: Any, **options: Any) -> Solver:
    """`combdiff.wrap` for a PySAT formula: see `wrap_formula`."""
    return wrap_formula(formula_of(formula), *args, **options)
