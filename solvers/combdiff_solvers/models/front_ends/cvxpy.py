"""CVXPY problems as a Solver."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse
from cvxpy.reductions.eval_params import EvalParams

from combdiff_solvers.models.front_ends.reading import listed, not_linear
from combdiff_solvers.models.linear_model import LinearModel
from combdiff_solvers.models.linear_solver import linear_solver
from combdiff_solvers.protocol import Solver
from combdiff_solvers.wrap import options_of, wrap


@wrap.register(cp.Problem)
@options_of(linear_solver)
def wrap_cvxpy(problem: cp.Problem, /, variables: Any, **options: Any) -> Solver:
    """`combdiff.wrap` for a CVXPY `Problem`: see `MathOptModel`, `CpSatModel` (backend="cp_sat") and `Limits`.

    The problem may hold integers and whatever CVXPY turns into linear rows: absolute values, maxima, norms of order 1
    and ∞, ... Parameters count as the values that they have now. `variables` are a `Variable` (or any affine
    expression), whose shape is that of θ, or a sequence of them, whose entries follow each other in one axis.

    Raises:
        TypeError: for a priced expression that is not affine.
        ValueError: for a constraint or objective that is not linear and does not become so (by its name), or a
            parameter without a value.

    >>> x = cp.Variable((2, 2), boolean=True)
    >>> problem = cp.Problem(cp.Minimize(2 * cp.abs(x[0, 1] - x[1, 0])), [cp.sum(x) == 2])
    >>> solver = wrap(problem, x)
    >>> solver.shape, solver.solve(np.array([[3.0, 1.0, 2.0, 4.0]])).objective
    ((2, 2), array([3.]))
    """
    priced, shape = _stack(variables)
    known = {one.id for one in problem.variables()}
    for one in priced.variables():
        if one.id not in known:
            raise ValueError(f"variable {one.name()} is not of this problem")
    fixed = EvalParams().apply(problem)[0] if problem.parameters() else problem
    _refuse_nonlinear(fixed)
    theta = cp.Parameter(priced.size, value=np.zeros(priced.size))
    # CVXPY itself says what θ costs the columns of its standard form, whatever it did to the variables
    posed = type(fixed.objective)(fixed.objective.expr + theta @ priced)
    data, *_ = cp.Problem(posed, fixed.constraints).get_problem_data(cp.SCIPY)
    form, sign = data["param_prob"], -1.0 if isinstance(posed, cp.Maximize) else 1.0
    first = form.param_id_to_col[theta.id]
    prices = sign * scipy.sparse.csr_matrix(form.q.tocsc()[:, first : first + priced.size].T)  # of y = T z + t
    return linear_solver(*_read(data, prices, sign), shape, **options)


def _stack(variables: Any) -> tuple[cp.Expression, tuple[int, ...]]:
    """The priced entries one after the other, row by row, and the shape of θ."""
    if isinstance(variables, dict):
        variables = list(variables.values())
    parts = list(variables) if isinstance(variables, list | tuple) else [variables]
    if not parts:
        raise ValueError("variables is empty: give the CVXPY variables that theta prices")
    for part in parts:
        if not (isinstance(part, cp.Expression) and part.is_affine() and part.variables()):
            raise TypeError(f"{part} is a {type(part).__name__}, not a variable of the CVXPY problem or affine in one")
    if len(parts) > 1:
        return cp.hstack([cp.vec(part, order="C") for part in parts]), (sum(part.size for part in parts),)
    return cp.vec(parts[0], order="C"), parts[0].shape or (1,)


def _refuse_nonlinear(problem: cp.Problem) -> None:
    """Raise for parts that no linear rows say, with their variables."""
    for part, expressions in [("the objective", [problem.objective.expr])] + [
        (f"the constraint {one}", one.args) for one in problem.constraints
    ]:
        for expression in expressions:
            if not expression.is_pwl():
                names = listed(sorted({one.name() for one in expression.variables()}))
                raise not_linear(part, f"it holds a nonlinear function of {names}")
    if not problem.is_dcp():
        wrong = [str(one) for one in problem.constraints if not one.is_dcp()] or ["the objective"]
        raise not_linear(listed(wrong), "it is not convex, so CVXPY makes no rows of it")


def _read(data: dict[str, Any], prices: scipy.sparse.csr_matrix, sign: float) -> tuple[LinearModel, Any]:
    """The model of CVXPY's standard form, and the columns that θ prices."""
    form, T, t = data["param_prob"], prices[:, :-1], prices[:, [-1]].toarray()[:, 0]
    columns, counts = T.shape[1], np.diff(T.indptr)
    chosen = T.indices if (counts == 1).all() and (T.data == 1).all() and not t.any() else np.zeros(0, dtype=np.int64)
    plain = len(np.unique(chosen)) == len(counts)
    extra = 0 if plain else len(counts)  # columns of their own for y, with rows T z - y = -t
    blocks = [scipy.sparse.csr_matrix((0, columns)) if data[name] is None else data[name] for name in ("A", "G")]
    equal, less = (
        np.zeros(0) if data[name] is None else np.asarray(data[name], dtype=np.float64) for name in ("b", "h")
    )
    A = scipy.sparse.vstack([*blocks, T[: len(counts) if extra else 0]])
    if extra:
        tail = scipy.sparse.vstack([scipy.sparse.csr_matrix((len(equal) + len(less), extra)), -scipy.sparse.eye(extra)])
        A = scipy.sparse.hstack([A, tail])
    boolean, whole = np.zeros((2, columns + extra), dtype=bool)
    boolean[list(data["bool_vars_idx"])] = True
    whole[list(data["int_vars_idx"])] = True
    lower, upper = (
        np.pad(np.full(columns, none) if data.get(name) is None else data[name], (0, extra), constant_values=none)
        for name, none in (("lower_bounds", -np.inf), ("upper_bounds", np.inf))
    )
    cost = sign * np.asarray(form.q.tocsc()[:, [-1]].todense(), dtype=np.float64)[:, 0]
    ends = -t[:extra]
    model = LinearModel(
        np.pad(cost[:-1], (0, extra)),
        scipy.sparse.csr_matrix(A),
        boolean | whole,
        np.concatenate([equal, np.full(len(less), -np.inf), ends]),
        np.concatenate([equal, less, ends]),
        np.where(boolean, np.maximum(lower, 0.0), lower),
        np.where(boolean, np.minimum(upper, 1.0), upper),
        maximize=sign < 0,
        offset=float(cost[-1]),
    )
    return model, chosen.astype(np.int64) if plain else np.arange(columns, columns + extra)
