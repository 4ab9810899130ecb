"""When a solver has to stop: time for a row, time for a batch, and gaps."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TypedDict


class LimitOptions(TypedDict, total=False):
    """The keywords of `Limits`, as solvers take them."""

    time_limit: float | None
    batch_time_limit: float | None
    relative_gap: float
    absolute_gap: float


@dataclass(frozen=True)
class Limits:
    """Where the search for one row may end before the proof.

    A row that a limit ends is FEASIBLE if it has an incumbent, and LIMIT if it has none. Time limits make an
    answer depend on the machine; gaps and no limits at all do not.

    Args:
        time_limit: seconds for each row.
        batch_time_limit: seconds for one call of `solve`; the rows that it leaves no time for are LIMIT.
        relative_gap: stop when the incumbent is proven within this fraction of the objective. Such rows are FEASIBLE.
        absolute_gap: stop when it is proven within this amount of the objective. Likewise.

    Raises:
        ValueError: for a time that is not above zero, or a gap that is negative or NaN.

    >>> Limits(time_limit=0.0)
    Traceback (most recent call last):
    ValueError: time_limit=0.0 must be a number of seconds above zero, or None for no limit
    """

    time_limit: float | None = None
    batch_time_limit: float | None = None
    relative_gap: float = 0.0
    absolute_gap: float = 0.0

    def __post_init__(self) -> None:
        for name in ("time_limit", "batch_time_limit"):
            seconds = getattr(self, name)
            if seconds is not None and not seconds > 0:
                raise ValueError(f"{name}={seconds!r} must be a number of seconds above zero, or None for no limit")
        for name in ("relative_gap", "absolute_gap"):
            gap = getattr(self, name)
            if not (math.isfinite(gap) and gap >= 0):
                raise ValueError(f"{name}={gap!r} must be a finite number, not negative (0 asks for the optimum)")

    @property
    def exact(self) -> bool:
        """Whether no gap is allowed."""
        return self.relative_gap == 0 and self.absolute_gap == 0

    def start(self) -> Clock:
        """Begin a batch."""
        return Clock(self)


class Clock:
    """The time that a batch has left.

    >>> Limits(time_limit=3.0).start().seconds()
    3.0
    """

    def __init__(self, limits: Limits) -> None:
        self._per_row = limits.time_limit
        self._end = None if limits.batch_time_limit is None else time.monotonic() + limits.batch_time_limit

    def seconds(self) -> float | None:
        """What the next row may take; None for no limit, and 0 or less when the batch's time is spent."""
        if self._end is None:
            return self._per_row
        left = self._end - time.monotonic()
        return left if self._per_row is None else min(left, self._per_row)
