"""Linear and mixed-integer programs given as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.limits import LimitOptions, Limits
from combdiff_solvers.protocol import BatchSolver, PerRow, Rows, Sense, Sets, Solutions


class MixedInteger(BatchSolver):
    """min (or max) ⟨θ, y⟩ + ⟨h, x⟩ over lower ≤ A x ≤ b, bounds[0] ≤ x ≤ bounds[1], some x integer; y ⊂ x.

    In the manner of `scipy.optimize.milp`, whose c is θ here (plus `h`) and arrives with every call of `solve`.

    Back ends: `"glop"` (LP: an exact vertex), `"pdlp"` (LP, first order: FEASIBLE, no vertex), `"scip"`, `"highs"`
    (MIP and LP), `"cp_sat"` (all variables integer and bounded, exact in the objective; rows are made integer; on
    knapsacks several times faster than the others). None takes GLOP for an LP and SCIP otherwise. What their statuses
    mean is said in `MathOptModel` and `CpSatModel`.

    Args:
        A: constraint matrix (rows, variables), dense or scipy.sparse. None for no rows.
        b: upper sides of the rows: a number or one for each; +inf for none.
        lower: lower sides; give `lower=b` for equations. None for none.
        integrality: 1 for an integer variable and 0 for a continuous one; a number or one for each (default 0).
        bounds: (lower, upper) of the variables, each a number or one for each (default 0 and inf).
        priced: indices of the variables that θ prices, in any shape, which is θ's; None for all.
        h: costs of all variables beside θ; None for none.
        sense: "min" or "max".
        backend: see above.
        warm_start: typical costs, in whose solution each search begins.
        limits: `time_limit`, `batch_time_limit`, `relative_gap` and `absolute_gap`: see `Limits`.

    Raises:
        ValueError: for shapes that do not fit, NaN, an index out of range or twice, or a back end that cannot do it.
        ImportError: when OR-Tools is not installed.

    >>> knapsack = MixedInteger([[3, 4, 2]], 6, integrality=1, bounds=(0, 1), sense="max")
    >>> knapsack.solve(np.array([[5.0, 6.0, 3.0]])).y
    array([[0., 1., 1.]])
    """

    def __init__(
        self,
        A: Any,
        b: Any = np.inf,
        *,
        lower: Any = None,
        integrality: Any = 0,
        bounds: tuple[Any, Any] = (0, np.inf),
        priced: Any = None,
        h: Any = None,
        sense: Sense | str = Sense.MIN,
        backend: str | None = None,
        warm_start: ndarray | None = None,
        parameters: Mapping[str, Any] | Any = None,
        **limits: Unpack[LimitOptions],
    ) -> None:
        try:
            import scipy.sparse

            from combdiff_solvers.models.linear_model import LinearModel
            from combdiff_solvers.models.linear_solver import linear_solver
            from combdiff_solvers.models.variables import resolve_variables
        except ImportError as error:
            raise ImportError(f"MixedInteger needs OR-Tools: pip install 'combdiff[ortools]' ({error})") from error
        self.limits = Limits(**limits)
        columns = _count(A, integrality, *bounds, h)
        matrix = scipy.sparse.csr_matrix((0, columns) if A is None else np.atleast_2d(A) if isinstance(A, list) else A)
        whole = _spread("integrality", integrality, columns)
        if not np.isin(whole, (0, 1)).all():
            raise ValueError("integrality must be 0 or 1 for each variable (semi-continuous ones are not supported)")
        model = LinearModel(
            _spread("h", 0.0 if h is None else h, columns),
            matrix,
            whole > 0,
            _spread("lower", -np.inf if lower is None else lower, matrix.shape[0]),
            _spread("b", b, matrix.shape[0]),
            _spread("bounds[0]", bounds[0], columns),
            _spread("bounds[1]", bounds[1], columns),
            maximize=Sense(sense) is Sense.MAX,
        )

        def index_of(index: Any) -> int:
            if not 0 <= index < columns:
                raise ValueError(f"priced has index {index}, but the variables are 0..{columns - 1}")
            return int(index)

        found = resolve_variables(np.arange(columns) if priced is None else np.array(priced), index_of, "indices")
        self.linear_model = model, found[0]  # and the places of the priced variables
        self._solver = linear_solver(model, *found, sense, backend, self.limits, warm_start, parameters)
        self.sense, self.shape = self._solver.sense, self._solver.shape

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        return self._solver.solve_checked(theta, instances)

    def value_checked(self, y: Rows, theta: Rows, instances: Sets) -> PerRow:
        """⟨θ, y⟩ + ⟨h, x⟩ of every row, shape (b,), where x is the best completion of y; NaN where there is none.

        >>> opening = MixedInteger([[1, -1]], 0, integrality=1, bounds=(0, 1), priced=[0], h=[0, 5])  # x₀ ≤ x₁
        >>> opening.value(np.array([[1.0], [0.0]]), np.array([[-7.0], [-7.0]]))
        array([-2.,  0.])
        """
        return self._solver.value_checked(y, theta, instances)


def _count(A: Any, *others: Any) -> int:
    """How many variables there are."""
    if A is None:
        return max(np.size(other) for other in others if other is not None)
    shape = A.shape if hasattr(A, "shape") else np.shape(A)
    if not 1 <= len(shape) <= 2:
        raise ValueError(f"A has shape {shape}, but it should be (rows, variables)")
    return int(shape[-1])


def _spread(name: str, values: Any, count: int) -> Float64[ndarray, " k"]:
    """A number or `count` numbers as an array of `count`."""
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in ((), (count,)):
        raise ValueError(f"{name} has shape {array.shape}, but it should be a number or have shape ({count},)")
    return np.broadcast_to(array, (count,)).copy()
