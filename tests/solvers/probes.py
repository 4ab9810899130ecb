"""Solvers that misbehave on purpose. Worker processes import this module, so it must not import torch."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from combdiff_solvers import Sense, Solutions, Status, TopK


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
        return Solutions.from_y(y, theta, self.sense, status, messages)

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
        return Solutions.from_y(y, theta, self.sense)


class Exits(Probe):
    """A row above 300 ends its process without a word, one above 200 raises SystemExit."""

    def misbehave(self, first: float) -> None:
        if first > 300:
            os._exit(7)
        if first > 200:
            sys.exit(3)


class Interrupted(Probe):
    """A row above 100 raises what Ctrl-C raises."""

    def misbehave(self, first: float) -> None:
        if first > 100:
            raise KeyboardInterrupt


class ExitsWhenLoaded(Probe):
    """Cannot be unpickled."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        sys.exit(5)


class DiesWhenLoaded(Probe):
    """Ends the process that unpickles it."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        os._exit(7)


class NoPickle(str):
    """A text that cannot be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle this text")


class Unsendable(Probe):
    """The message of a row above 100 cannot be pickled."""

    def solve(self, theta: ndarray, instances: Sequence[Any] | None = None) -> Solutions:
        """Solve every row of θ, (b, n)."""
        found = super().solve(theta, instances)
        messages = {int(row): NoPickle("nothing") for row in np.flatnonzero(theta[:, 0] > 100)}
        return replace(found, messages=messages)


class DropsRows(Probe):
    """A row above 100 is not answered."""

    def solve(self, theta: ndarray, instances: Sequence[Any] | None = None) -> Solutions:
        """Solve every row of θ, (b, n), but for some."""
        found = super().solve(theta, instances)
        kept = theta[:, 0] <= 100
        return Solutions(found.y[kept], found.objective[kept], bound=found.bound[kept], status=found.status[kept])


class WithTerm(Probe):
    """h(y) = 10 · y₀, and 100 · y₀ where the row's instance is "dear"."""

    def value(self, y: ndarray, theta: ndarray, instances: Sequence[Any] | None = None) -> ndarray:
        """⟨θ, y⟩ + h(y)."""
        factor = np.array(
            [100.0 if instances is not None and instances[row] == "dear" else 10.0 for row in range(len(y))]
        )
        found: ndarray = (theta * y).sum(axis=1) + factor * y[:, 0]
        return found


def build_misfit(kind: str) -> Any:
    """What a `Factory` of shape (3,) and sense "max" may be given, and what it refuses."""
    return {"fits": TopK(3, 1), "shape": TopK(4, 1), "sense": TopK(3, 1, "min"), "nothing": "nonsense"}[kind]
