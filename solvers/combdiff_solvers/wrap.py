"""Turn what a user has into a Solver: one dispatch, open to registration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8
from numpy import ndarray

from combdiff_solvers._native import load_adapter
from combdiff_solvers.protocol import Sense, Solutions, Solver, Status, as_rows, check_count

__all__ = ["FunctionSolver", "wrap"]


@singledispatch
def wrap(model: Any, /, *args: Any, **options: Any) -> Solver:
    """Make a `Solver` of a native model or of a Python function.

    What follows the model depends on its kind; for a function see `FunctionSolver`. A third party adds a kind
    of its own with `wrap.register(ModelType)`, as with `functools.singledispatch`.

    Raises:
        TypeError: for a model of a kind that nobody registered.

    >>> cheapest = wrap(lambda theta: (theta == theta.min()).astype(float), shape=(3,))
    >>> cheapest.solve(np.array([[2.0, 1.0, 3.0]])).y
    array([[0., 1., 0.]])
    """
    if load_adapter(model) and wrap.dispatch(type(model)) is not wrap.dispatch(object):
        return wrap(model, *args, **options)
    if callable(model):
        return FunctionSolver(model, *args, **options)
    known = ", ".join(
        f"{kind.__module__.split('.')[0]}'s {kind.__name__}" for kind in wrap.registry if kind is not object
    )
    raise TypeError(
        f"cannot wrap a {type(model).__name__}: give a function of a NumPy array"
        + (f" or one of {known}" if known else "")
        + ", or register the type with combdiff.wrap.register"
    )


class FunctionSolver:
    """Any Python function θ ↦ y as a Solver.

    The function gets one row of θ as a float64 array of `shape` (and, if given, the row's instance as its second
    argument) and returns y in the same shape, or None where no solution exists (INFEASIBLE). With
    `batched=True` it gets all rows at once, (b, *shape), and the list of instances, and returns (b, *shape).

    An exception becomes the status ERROR of its row, with the original message kept in `Solutions.messages`;
    a batched function that raises is called again row by row, so that only the bad rows are lost.
    The function is trusted to be optimal, deterministic and without side effects.

    Args:
        function: the solver. A function defined at the top of a module can be pickled, a lambda cannot.
        shape: of one θ and one y.
        sense: what the function seeks: "min" or "max" of ⟨θ, y⟩.
        batched: whether it takes the whole batch.

    Raises:
        ValueError: for an empty or non-positive shape.

    >>> def one_hot_argmax(theta):
    ...     return np.eye(len(theta))[theta.argmax()]
    >>> solver = FunctionSolver(one_hot_argmax, shape=(3,), sense="max")
    >>> solver.solve(np.array([[2.0, 1.0, 3.0], [5.0, 1.0, 3.0]])).y
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """

    def __init__(
        self,
        function: Callable[..., Any],
        shape: tuple[int, ...],
        sense: Sense | str = Sense.MIN,
        batched: bool = False,
    ) -> None:
        if not shape or min(shape) < 1:
            raise ValueError(f"shape={shape!r} must have at least one axis, each of at least one entry")
        self.function = function
        self.shape = tuple(shape)
        self.sense = Sense(sense)
        self.batched = batched

    def solve(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None = None) -> Solutions:
        """Solve every row of θ, (b, n); n is the product of `shape`."""
        theta = as_rows(theta, self.shape)
        if instances is not None:
            check_count(instances, len(theta))
        y = np.full_like(theta, np.nan)
        status = np.full(len(theta), Status.ERROR, dtype=np.uint8)
        messages: dict[int, str] = {}
        if not (self.batched and self._solve_together(theta, instances, y, status)):
            for row in range(len(theta)):
                self._solve_one(row, theta, instances, y, status, messages)
        return Solutions.from_y(y, theta, status, messages)

    def _solve_together(
        self,
        theta: Float64[ndarray, "b n"],
        instances: Sequence[Any] | None,
        y: Float64[ndarray, "b n"],
        status: UInt8[ndarray, " b"],
    ) -> bool:
        """Fill y and status by one call of the function; False where any row has to be looked at alone."""
        if not len(theta):
            return True
        try:
            answer = self._call(theta.reshape(-1, *self.shape), () if instances is None else (instances,))
            answer = np.asarray(answer, dtype=np.float64)
        except Exception:
            return False
        if answer.shape != (len(theta), *self.shape) or not np.isfinite(answer).all():
            return False
        y[:] = answer.reshape(theta.shape)
        status[:] = Status.OPTIMAL
        return True

    def _solve_one(
        self,
        row: int,
        theta: Float64[ndarray, "b n"],
        instances: Sequence[Any] | None,
        y: Float64[ndarray, "b n"],
        status: UInt8[ndarray, " b"],
        messages: dict[int, str],
    ) -> None:
        problem = theta[row].reshape((1, *self.shape) if self.batched else self.shape)
        instance = () if instances is None else (instances[row],)
        if self.batched and instance:
            instance = ([instance[0]],)
        try:
            answer = self._call(problem, instance)
            if answer is None:
                status[row] = Status.INFEASIBLE
                return
            found = np.asarray(answer, dtype=np.float64)
        except Exception as error:
            messages[row] = f"{type(error).__name__}: {error}"
            return
        if found.shape != problem.shape:
            messages[row] = f"the function returned shape {found.shape}, but shape {problem.shape} was expected"
        elif not np.isfinite(found).all():
            messages[row] = "the function returned NaN or inf; return None where no solution exists"
        else:
            y[row] = found.reshape(-1)
            status[row] = Status.OPTIMAL

    def _call(self, problem: ndarray, instance: tuple[Any, ...]) -> Any:
        return self.function(problem.copy(), *instance)  # the function may write into its argument
