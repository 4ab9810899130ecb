"""linopy models as a Solver."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from linopy import Model, Variable

from combdiff_solvers.models.front_ends.reading import listed, not_linear
from combdiff_solvers.models.linear_model import LinearModel
from combdiff_solvers.models.linear_solver import linear_solver
from combdiff_solvers.models.variables import resolve_variables
from combdiff_solvers.protocol import Solver
from combdiff_solvers.wrap import options_of, wrap


@wrap.register(Model)
@options_of(linear_solver)
def wrap_linopy(model: Model, /, variables: Any, **options: Any) -> Solver:
    """`combdiff.wrap` for a linopy `Model`: see `MathOptModel`, `CpSatModel` (backend="cp_sat") and `Limits`.

    `variables` are a `Variable`, whose shape is that of θ, or a sequence or dict of them, whose entries follow each
    other in one axis.

    Raises:
        ValueError: for SOS and indicator constraints, semi-continuous variables, a quadratic objective, and entries of
            a variable that are masked. Each is named.

    >>> model = Model()
    >>> x = model.add_variables(binary=True, coords=[range(2), range(2)], name="x")
    >>> one = model.add_constraints(x.sum() == 1)
    >>> solver = wrap(model, x)
    >>> solver.shape, solver.solve(np.array([[3.0, 1.0, 2.0, 4.0]])).y
    ((2, 2), array([[0., 1., 0., 0.]]))
    """
    if len(list(model.variables.sos)):
        raise not_linear(f"the SOS constraint of {listed(list(model.variables.sos))}", "reformulate it first")
    if len(model.variables.semi_continuous):
        raise not_linear(f"the variable {listed(list(model.variables.semi_continuous))}", "it is semi-continuous")
    indicators = [name for name, one in model.constraints.items() if getattr(one, "is_indicator", False)]
    if indicators:
        raise not_linear(f"the constraint {listed(indicators)}", "it is an indicator constraint")
    if model.objective.is_quadratic:
        raise not_linear("the objective", "it is quadratic")
    found = model.matrices  # in units that linopy scaled for its solvers: y of its columns are scale · x
    columns, scale = len(found.vlabels), found.var_scaling
    A = scipy.sparse.csr_matrix((0, columns)) if found.A is None else found.A @ scipy.sparse.diags_array(scale)
    sides = np.array(found.b, dtype=np.float64)
    read = LinearModel(
        np.array(found.c, dtype=np.float64) * scale / float(model.objective.scaling),
        scipy.sparse.csr_matrix(A),
        np.isin(found.vtypes, ("B", "I")),
        np.where(found.sense == "<", -np.inf, sides),
        np.where(found.sense == ">", np.inf, sides),
        found.lb / scale,
        found.ub / scale,
        maximize=model.objective.sense == "max",
        offset=float(getattr(model.objective.expression, "const", 0.0)),
    )
    places = {label: place for place, label in enumerate(found.vlabels.tolist())}

    def labels_of(variable: Any) -> Any:
        if not isinstance(variable, Variable):
            raise TypeError(f"{variable!r} is a {type(variable).__name__}, not a variable of the linopy model")
        if variable.model is not model:
            raise ValueError(f"variable {variable.name} is not of this model")
        return variable.labels.values

    def place(label: Any) -> int:
        if label not in places:
            raise ValueError("variables holds entries that are masked, which have no value: select the others first")
        return places[label]

    if isinstance(variables, dict):
        variables = list(variables.values())
    many = isinstance(variables, list | tuple) and len(variables) > 0
    labels = np.concatenate([np.ravel(labels_of(one)) for one in variables]) if many else labels_of(variables)
    return linear_solver(read, *resolve_variables(labels, place, "linopy variables"), **options)
