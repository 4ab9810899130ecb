"""highspy models as a Solver."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse
from highspy import Highs, HighsVarType, MatrixFormat, ObjSense, kHighsInf
from highspy.highs import highs_var

from combdiff_solvers.models.front_ends.reading import not_linear
from combdiff_solvers.models.linear_model import LinearModel
from combdiff_solvers.models.linear_solver import linear_solver
from combdiff_solvers.models.variables import resolve_native
from combdiff_solvers.protocol import Solver
from combdiff_solvers.wrap import options_of, wrap


@wrap.register(Highs)
@options_of(linear_solver)
def wrap_highs(model: Highs, /, variables: Any, **options: Any) -> Solver:
    """`combdiff.wrap` for a highspy `Highs`: see `MathOptModel`, `CpSatModel` (backend="cp_sat") and `Limits`.

    Its model is copied as arrays; its options are not. `variables` are its `highs_var`s or the places of its columns,
    in any shape. None for `backend` takes GLOP or SCIP of OR-Tools, `"highs"` the HiGHS that OR-Tools holds.

    Raises:
        ValueError: for a quadratic objective, and semi-continuous or semi-integer variables.

    >>> model = Highs()
    >>> x = [model.addBinary() for _ in range(3)]
    >>> row = model.addConstr(x[0] + x[1] + x[2] == 2)
    >>> wrap(model, x, backend="highs").solve(np.array([[3.0, 1.0, 2.0]])).y
    array([[0., 1., 1.]])
    """
    if model.getModel().hessian_.dim_:
        raise not_linear("the objective", "it has a Hessian")
    program = model.getLp()
    kinds = list(program.integrality_) or [HighsVarType.kContinuous] * program.num_col_
    for place, kind in enumerate(kinds):
        if kind not in (HighsVarType.kContinuous, HighsVarType.kInteger):
            raise not_linear(f"column {place}", f"its type is {kind.name}")
    matrix, shape = program.a_matrix_, (program.num_row_, program.num_col_)
    compressed = matrix.value_, matrix.index_, matrix.start_
    by_column = matrix.format_ == MatrixFormat.kColwise
    sides = program.row_lower_, program.row_upper_, program.col_lower_, program.col_upper_
    read = LinearModel(
        np.array(program.col_cost_, dtype=np.float64),
        (scipy.sparse.csc_matrix if by_column else scipy.sparse.csr_matrix)(compressed, shape=shape).tocsr(),
        np.array([kind == HighsVarType.kInteger for kind in kinds], dtype=bool),
        *(np.where(np.abs(side) < kHighsInf, side, np.copysign(np.inf, side)) for side in map(np.array, sides)),
        maximize=program.sense_ == ObjSense.kMaximize,
        offset=float(program.offset_),
        names=tuple(program.col_names_),
    )

    def place_of(variable: Any) -> int | None:
        try:
            own = not isinstance(variable, highs_var) or variable.highs.getLp.__self__ is model  # a weak reference
        except ReferenceError:  # of a model that is gone
            own = False
        return int(variable) if own and 0 <= int(variable) < shape[1] else None

    return linear_solver(read, *resolve_native(variables, (highs_var, Integral), place_of, "highspy"), **options)
