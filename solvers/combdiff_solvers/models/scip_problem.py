"""What SCIP solves: a linear model as arrays, or the text of what arrays cannot hold.

Arrays take 4 ms to read from a set cover of 200×500 with 5,000 entries, and 7 ms to build; writing the text takes 24 ms
and reading it 4. `getValsLinear` would be no way to read them: it goes by names, which may come twice.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from jaxtyping import Float64
from numpy import ndarray
from pyscipopt import Model, Variable
from pyscipopt.scip import Expr, ExprCons, Term

from combdiff_solvers.models.linear_model import LinearModel

_PLUGINS = {
    "constraints": "constraint handler",
    "pricers": "pricer",
    "benders": "Benders decomposition",
    "propagating": "propagator",
    "presolving": "presolver",
    "separating": "separator",
    "heuristics": "heuristic",
    "branching": "branching rule",
    "nodeselection": "node selector",
    "relaxing": "relaxator",
    "cutselection": "cut selector",
}
"""what a plugin is, by the first part of the names of its parameters"""


@dataclass(frozen=True, eq=False)
class ScipProblem:
    """What SCIP is to solve, so that it can be sent anywhere.

    Args:
        model: the variables and, where there is no text, the constraints. It may come from any reader or front end.
        parameters: of SCIP, those that are not its defaults.
        text: constraints that arrays cannot hold, as the CIP file of the whole model, with variables x0, x1, ...
        indicators: variables that SCIP made for cardinality constraints, which mean nothing by themselves.

    Raises:
        ValueError: for a model from elsewhere that holds what is not linear.

    >>> from combdiff_solvers.models.lp_format import read_lp
    >>> model, variables = ScipProblem(read_lp("max\\n x + y\\nst\\n x + 2 y <= 2\\nbinaries\\n x y\\nend")).build()
    >>> [variable.vtype() for variable in variables], model.getNConss()
    (['BINARY', 'BINARY'], 1)
    """

    model: LinearModel
    parameters: Mapping[str, Any] = field(default_factory=dict)
    text: str | None = None
    indicators: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if self.model.rest:
            raise ValueError(f"pyscipopt is given linear arrays, and the model has {self.model.rest.terms.in_words}")

    @classmethod
    def of(cls, model: Model) -> ScipProblem:
        """A model's original problem and parameters; it is not changed.

        Raises:
            ValueError: without variables, and for what a copy of the model cannot hold: plugins written in Python, and
                indicator variables of cardinality constraints that are used elsewhere.
        """
        parameters = model.getParams()
        _refuse_plugins(parameters)
        variables, infinity = model.getVars(transformed=False), model.infinity()
        rows = _linear_rows(model, variables)
        A, *sides = rows or (scipy.sparse.csr_matrix((0, len(variables))), [], [])
        sides += [[one.getLbOriginal() for one in variables], [one.getUbOriginal() for one in variables]]
        arrays = [np.array(side, dtype=np.float64) for side in sides]
        names = tuple(one.name for one in variables)
        own = LinearModel(
            np.array([one.getObj() for one in variables], dtype=np.float64),
            A,
            np.array([one.vtype() != "CONTINUOUS" for one in variables], dtype=bool),
            *(np.where(np.abs(side) < infinity, side, np.copysign(np.inf, side)) for side in arrays),
            maximize=model.getObjectiveSense() == "maximize",
            offset=float(model.getObjoffset()),
            names=names,
        )
        text = None if rows else _cip_text(model)
        indicators = _cardinality_indicators(text, names, own.c) if text else frozenset[int]()
        changed = {name: value for name, value in parameters.items() if value != _defaults().get(name, value)}
        return cls(own, changed, text, indicators)

    def build(self) -> tuple[Model, list[Variable]]:
        """A new SCIP model, and its variables in order.

        Raises:
            ValueError: when SCIP cannot read what it wrote.
        """
        model = Model()
        model.hideOutput()
        if self.text is None:
            variables = _build_linear(self.model, model)
        else:
            found = _read_cip(self.text, model)
            variables = [found[f"x{place}"] for place in range(len(self.model.c))]
        model.setParams(dict(self.parameters))
        return model, variables


def _linear_rows(model: Model, variables: list[Variable]) -> tuple[Any, list[float], list[float]] | None:
    """The matrix, left and right sides of a model's constraints; None where arrays cannot hold the model.

    They hold linear constraints of binary, integer and continuous variables that are not negations of others.
    """
    implied = any(one.isImpliedIntegral() for one in variables)
    rows = model.getConss(transformed=False)
    if implied or not all(row.isLinear() for row in rows):
        return None
    places = {one.ptr(): place for place, one in enumerate(variables)}
    columns = [[places.get(one.ptr(), -1) for one in model.getConsVars(row) or ()] for row in rows]
    if any(-1 in row for row in columns):
        return None
    entries = [value for row in rows for value in model.getConsVals(row) or ()]
    starts = np.cumsum([0, *map(len, columns)])
    at = [place for row in columns for place in row]
    A = scipy.sparse.csr_matrix((entries, at, starts), shape=(len(rows), len(variables)), dtype=np.float64)
    return A, [model.getLhs(row) for row in rows], [model.getRhs(row) for row in rows]


def _build_linear(own: LinearModel, model: Model) -> list[Variable]:
    """Put arrays into an empty model, and return its variables in order."""
    most, A = model.infinity(), own.A
    lower, upper, row_lower, row_upper = (
        np.clip(side, -most, most).tolist() for side in (own.lower, own.upper, own.row_lower, own.row_upper)
    )
    kinds = ["I" if whole else "C" for whole in own.integer.tolist()]
    variables = [model.addVar(vtype=kind, lb=lb, ub=ub) for kind, lb, ub in zip(kinds, lower, upper, strict=True)]
    terms = [Term(variable) for variable in variables]
    starts, entries = A.indptr.tolist(), list(zip(A.indices.tolist(), A.data.tolist(), strict=True))
    for row, sides in enumerate(zip(row_lower, row_upper, strict=True)):
        linear = {terms[column]: value for column, value in entries[starts[row] : starts[row + 1]]}
        model.addCons(ExprCons(Expr(linear), *sides))
    return variables


def _cip_text(model: Model) -> str:
    """The original problem of a model as SCIP writes it, with 15 digits."""
    with tempfile.TemporaryDirectory(prefix="combdiff") as folder:
        file = Path(folder, "model.cip")
        model.writeProblem(str(file), trans=False, genericnames=True, verbose=False)
        return file.read_text()


def _read_cip(text: str, model: Model) -> dict[str, Variable]:
    """Read such a text into an empty model, and return its variables by their names."""
    with tempfile.TemporaryDirectory(prefix="combdiff") as folder:
        file = Path(folder, "model.cip")
        file.write_text(text)
        try:
            model.readProblem(str(file))
        except OSError as error:
            raise ValueError(f"SCIP cannot read back the model that it wrote: {error}") from error
    return {one.name: one for one in model.getVars(transformed=False)}


@cache
def _defaults() -> Mapping[str, Any]:
    found: Mapping[str, Any] = Model().getParams()
    return found


def _refuse_plugins(parameters: Mapping[str, Any]) -> None:
    """Raise for a model with plugins of the user's: the text of a model does not hold them.

    They show by parameters that a new model does not have (event handlers and readers have none).
    """
    found = {tuple(name.split("/")[:2]) for name in parameters.keys() - _defaults().keys()}
    plugins = [f"the {_PLUGINS[kind]} {name!r}" for kind, name in sorted(found) if kind in _PLUGINS]
    if plugins:
        raise ValueError(
            f"the model has {', '.join(plugins)}, which a copy of a SCIP model cannot have: state the constraints in "
            "the model itself, or wrap a function that builds and solves the model for each theta"
        )


def _cardinality_indicators(problem: str, names: Sequence[str], costs: Float64[ndarray, " v"]) -> frozenset[int]:
    """The variables that SCIP made for cardinality constraints, `ind_NAME` for the variable NAME.

    A model's text leaves them out, and SCIP does not hold them to what they indicate: with x ≤ 1, at most two of three
    x above zero and max Σ x − 10 · Σ indicators it ends at 0 with presolve, at 2 without.

    Raises:
        ValueError: where one of them has a cost, stands in another constraint, or is the user's own.
    """
    constraints = problem[problem.find("\nCONSTRAINTS") :]
    used = {int(place) for place in re.findall(r"<x([0-9]+)>", constraints)}
    places = {name: place for place, name in enumerate(names)}
    times = Counter(names)
    indicators = set()
    for line in re.findall(r"^ *\[cardinality\].*$", constraints, flags=re.MULTILINE):
        for place in re.findall(r"<x([0-9]+)>", line):
            name = f"ind_{names[int(place)]}"
            if times[name] != 1:
                raise ValueError(
                    f"a cardinality constraint has no indicator variable {name!r} of SCIP's own making: {_INSTEAD}"
                )
            indicator = places[name]
            if costs[indicator] or indicator in used:
                raise ValueError(
                    f"the indicator variable {name!r} of a cardinality constraint has a cost or stands in another "
                    f"constraint: {_INSTEAD}"
                )
            indicators.add(indicator)
    return frozenset(indicators)


_INSTEAD = (
    "SCIP does not hold such variables to what they indicate; leave indvars out (with unique names of variables), or "
    "state the constraint as x <= upper * b for binaries b, and a bound on their sum"
)
