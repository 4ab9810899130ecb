"""Solvers that misbehave on purpose. Worker processes import this module, so it must not import torch."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from combdiff_solvers import Sense, Solutions, Status


class Probe:
    """Picks the least entry of θ; what else it does depends on the first entry of a row.

    Args:
        n: number of entries.
        seconds: how long a row takes.
        folder: where rows leave marks.
    """

    def __init__(self, n: int = 4, seconds: float = 0.0, folder: str = "") -> None:
        self.shape: tuple[int, ...] = (n,)
        self.sense = Sense.MIN
        self.seconds = seconds
        self.folder = folder

    def solve(self, theta: ndarray, instances: Sequence[Any] | None = None) -> Solutions:
        """Solve every row of θ, (b, n)."""
        y = np.zeros_like(theta)
        y[np.arange(len(theta)), theta.argmin(axis=1)] = 1.0
        status = np.zeros(len(theta), dtype=np.uint8)
        messages = {}
        for row in range(len(theta)):
            time.sleep(self.seconds)
            if instances is not None and instances[row] == "nothing":
                y[row], status[row], messages[row] = np.nan, Status.INFEASIBLE, "nothing is feasible"
            self.misbehave(theta[row, 0])
        return Solutions.from_y(y, theta, status, messages)

    def misbehave(self, first: float) -> None:
        """Overridden."""


class Raises(Probe):
    """A row that begins with a number above 100 raises."""

    def misbehave(self, first: float) -> None:
        if first > 100:
            raise RuntimeError(f"no {first:g}, please")


class Dies(Probe):
    """A row above 200 always kills its process, one above 100 does so once."""

    def misbehave(self, first: float) -> None:
        mark = Path(self.folder) / f"{first:g}"
        if first > 200 or (first > 100 and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Reports(Probe):
    """y tells the process, the number of the solver in it, and whether torch was loaded."""

    made = 0

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        type(self).made += 1

    def solve(self, theta: ndarray, instances: Sequence[Any] | None = None) -> Solutions:
        """Solve every row of θ, (b, n)."""
        time.sleep(self.seconds * len(theta))
        y = np.zeros_like(theta)
        y[:, :3] = os.getpid(), self.made, "torch" in sys.modules
        return Solutions.from_y(y, theta)
