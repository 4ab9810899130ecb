"""Schedules that go from a start to an end."""

from __future__ import annotations

import math
from abc import abstractmethod

from combdiff.temperature.schedule import Schedule, positive, whole


class Ramp(Schedule):
    """A positive number that goes from `start` to `end` in `steps` calls of `step()`, and stays there.

    Args:
        start: value before the first step.
        end: value from the last step on.
        steps: number of steps between, at least 1.

    Raises:
        ValueError: for a value that is not positive and finite, or no steps.
    """

    _state = ("count",)

    def __init__(self, start: float, end: float, steps: int) -> None:
        self.start, self.end = positive("start", start), positive("end", end)
        self.steps = whole("steps", steps, 1)
        self.count = 0

    def step(self) -> None:
        """Go on by one step."""
        self.count += 1

    def __float__(self) -> float:
        return self._at(min(1.0, self.count / self.steps))

    @abstractmethod
    def _at(self, progress: float) -> float:
        """The value at a progress in [0, 1]."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.start:g} → {self.end:g} in {self.steps} steps, now {float(self):g})"


class Geometric(Ramp):
    """Changes by the same factor in each step: start · (end/start)^progress.

    >>> float(Geometric(1.0, 0.01, steps=2))
    1.0
    """

    def _at(self, progress: float) -> float:
        return math.exp((1 - progress) * math.log(self.start) + progress * math.log(self.end))


class Linear(Ramp):
    """Changes by the same amount in each step.

    >>> schedule = Linear(1.0, 0.5, steps=2)
    >>> schedule.step(); float(schedule)
    0.75
    """

    def _at(self, progress: float) -> float:
        return (1 - progress) * self.start + progress * self.end


class Cosine(Ramp):
    """Changes slowly at both ends: end + (start − end) (1 + cos(π progress)) / 2.

    Source: Loshchilov & Hutter (2017), "SGDR", equation 5, without restarts.

    >>> schedule = Cosine(1.0, 0.2, steps=4)
    >>> schedule.step(); round(float(schedule), 3)
    0.883
    """

    def _at(self, progress: float) -> float:
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * progress)) / 2
