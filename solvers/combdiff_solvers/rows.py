"""The loop over the rows of a batch, for solvers that take one row at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float64, UInt8
from numpy import ndarray

from combdiff_solvers.limits import Clock
from combdiff_solvers.protocol import Sense, Solutions, Status

T = TypeVar("T")

WHOLE = 1e-6
"""a y of integers that is nearer to one stands for it"""

SPENT = "the batch_time_limit was spent before this row began: raise it, or solve smaller batches"


class Answer(NamedTuple):
    """One solved row: y and its objective where the status has a solution, what the solver said, and a proven bound."""

    status: Status
    y: Float64[ndarray, " n"] | None = None
    objective: float = float("nan")
    message: str | None = None
    bound: float = float("nan")  # in the user's sense and units; NaN where nothing is proven


class End(NamedTuple):
    """How the solve of a row ended, and what the solver said."""

    status: Status
    message: str | None = None


def visit_rows(
    rows: int, clock: Clock, visit: Callable[[int, float | None], End | Answer]
) -> tuple[UInt8[ndarray, " b"], dict[int, str]]:
    """Call `visit(row, seconds)` for every row; an exception becomes that row's ERROR."""
    status = np.full(rows, Status.ERROR, dtype=np.uint8)
    messages: dict[int, str] = {}
    for row in range(rows):
        seconds = clock.seconds()
        if seconds is not None and seconds <= 0:
            status[row], messages[row] = Status.LIMIT, SPENT
            continue
        try:
            end = visit(row, seconds)
        except Exception as error:
            messages[row] = f"{type(error).__name__}: {error}"
            continue
        status[row] = end.status
        if end.message:
            messages[row] = end.message
    return status, messages


def solve_rows(
    theta: Float64[ndarray, "b n"],
    clock: Clock,
    solve_row: Callable[[int, float | None], Answer],
    sense: Sense | None = None,
) -> Solutions:
    """The answers of `solve_row(row, seconds)` for every row; an exception becomes that row's ERROR.

    With a `sense` they have bounds, which are infinite where an answer has none.
    """
    y = np.full_like(theta, np.nan)
    objective = np.full(len(theta), np.nan)
    bound = None if sense is None else np.full(len(theta), -sense.sign * np.inf)

    def visit(row: int, seconds: float | None) -> Answer:
        answer = solve_row(row, seconds)
        if bound is not None and not np.isnan(answer.bound):
            bound[row] = answer.bound
        if answer.status.has_solution:
            y[row], objective[row] = answer.y, answer.objective
        return answer

    status, messages = visit_rows(len(theta), clock, visit)
    return Solutions(y, objective, status=status, messages=messages, bound=bound)


def value_rows(
    theta: Float64[ndarray, "b n"], y: Float64[ndarray, "b n"], h: Callable[[int], float]
) -> Float64[ndarray, " b"]:
    """⟨θ, y⟩ + `h(row)` for every row; NaN, without a call, where y has an entry that is no finite number.

    Raises:
        ValueError: when y has another shape than θ.
    """
    if y.shape != theta.shape:
        raise ValueError(f"y has shape {y.shape}, but theta {theta.shape}: each row of theta needs one point")
    values = np.full(len(theta), np.nan)
    for row in np.flatnonzero(np.isfinite(y).all(axis=1)).tolist():
        values[row] = theta[row] @ y[row] + h(row)
    return values


def h_of(completion: Answer, sense: Sense) -> float:
    """h(y) from the solve of a model where y is fixed and θ is 0.

    NaN where y has no completion that is proven best, infinite where the completions have no bound.

    Raises:
        RuntimeError: when the solver failed.
    """
    if completion.status is Status.ERROR:
        raise RuntimeError(f"the best completion of y was not found: {completion.message}")
    if completion.status is Status.UNBOUNDED:
        return -sense.sign * float("inf")
    return completion.objective if completion.status is Status.OPTIMAL else float("nan")


class PerThread(Generic[T]):
    """One `T` for each thread, built when the thread first asks; never pickled, so a copy begins without any.

    >>> numbers = PerThread(lambda: [0])
    >>> numbers.get() is numbers.get()
    True
    """

    def __init__(self, build: Callable[[], T]) -> None:
        self._build = build
        self._local = threading.local()

    def get(self) -> T:
        """This thread's own."""
        try:
            value: T = self._local.value
        except AttributeError:
            value = self._local.value = self._build()
        return value

    def __getstate__(self) -> dict[str, Any]:
        return {"_build": self._build}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._local = threading.local()
