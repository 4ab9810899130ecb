"""The loop over the rows of a batch, for solvers that take one row at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from combdiff_solvers.limits import Clock
from combdiff_solvers.protocol import PerRow, Row, Rows, Sense, Solutions, Status

T = TypeVar("T")

WHOLE = 1e-6  # a y of integers that is nearer to one stands for it

SPENT = "the batch_time_limit was spent before this row began: raise it, or solve smaller batches"


class Answer(NamedTuple):
    """One row's end: y and its objective where the status has a solution, what is proven, what the solver said.

    `bound` is that of `Solutions`; NaN where nothing is proven.
    """

    status: Status
    y: Row | None = None
    objective: float = float("nan")
    message: str | None = None
    bound: float = float("nan")


def failure(error: BaseException | str) -> Answer:
    """The ERROR of a row whose solve raised, or failed for a reason."""
    return Answer(Status.ERROR, message=error if isinstance(error, str) else f"{type(error).__name__}: {error}")


def visit_rows(rows: int, clock: Clock, visit: Callable[[int, float | None], Answer]) -> list[Answer]:
    """The answers of `visit(row, seconds)` for every row; an exception becomes that row's ERROR."""
    answers = []
    for row in range(rows):
        seconds = clock.seconds()
        if seconds is not None and seconds <= 0:
            answers.append(Answer(Status.LIMIT, message=SPENT))
            continue
        try:
            answers.append(visit(row, seconds))
        except Exception as error:
            answers.append(failure(error))
    return answers


def as_solutions(answers: Sequence[Answer], width: int, sense: Sense) -> Solutions:
    """The answers of the rows of a batch; a bound that is NaN becomes the one that says nothing."""
    rows = len(answers)
    y, objective = np.full((rows, width), np.nan), np.full(rows, np.nan)
    for row, answer in enumerate(answers):
        if answer.status.has_solution:
            y[row], objective[row] = answer.y, answer.objective
    bound = np.array([answer.bound for answer in answers], dtype=np.float64)
    return Solutions(
        y,
        objective,
        bound=np.where(np.isnan(bound), -sense.sign * np.inf, bound),
        status=np.array([answer.status for answer in answers], dtype=np.uint8),
        messages={row: answer.message for row, answer in enumerate(answers) if answer.message},
    )


def answer_of(solutions: Solutions, row: int) -> Answer:
    """One row of a batch, in memory of its own."""
    status = Status(int(solutions.status[row]))
    y = solutions.y[row].copy() if status.has_solution else None
    return Answer(status, y, float(solutions.objective[row]), solutions.messages.get(row), float(solutions.bound[row]))


def solve_rows(theta: Rows, clock: Clock, solve_row: Callable[[int, float | None], Answer], sense: Sense) -> Solutions:
    """The answers of `solve_row(row, seconds)` for every row; an exception becomes that row's ERROR."""
    return as_solutions(visit_rows(len(theta), clock, solve_row), theta.shape[1], sense)


def value_rows(theta: Rows, y: Rows, h: Callable[[int], float]) -> PerRow:
    """⟨θ, y⟩ + `h(row)` for every row; NaN, without a call, where y has an entry that is no finite number."""
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
