"""A solver whose rows take as long as one likes: for the benchmarks of pools. Worker processes import it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from combdiff_solvers.protocol import BatchSolver, Sense, Solutions


class Busy(BatchSolver):
    """Picks the least entry of each row after so many seconds of work in Python, which holds the GIL.

    >>> Busy(3, 0.0).solve(np.array([[2.0, 1.0, 3.0]])).y
    array([[0., 1., 0.]])
    """

    def __init__(self, n: int, seconds: float) -> None:
        self.shape: tuple[int, ...] = (n,)
        self.sense = Sense.MIN
        self.seconds = seconds

    def solve_checked(self, theta: ndarray, instances: Sequence[Any] | None) -> Solutions:
        y = np.zeros_like(theta)
        for row, cost in enumerate(theta):
            end = time.thread_time() + self.seconds
            while time.thread_time() < end:
                pass
            y[row, cost.argmin()] = 1.0
        return Solutions.from_y(y, theta, self.sense)
