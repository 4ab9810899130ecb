"""Temperatures: how smooth a layer is, fixed or by a schedule.

Every smoothing layer has one temperature (σ, λ, ...) as an attribute: a positive float, or a schedule whose
`step()` is called where the learning rate's is.

>>> import combdiff, combdiff.solvers
>>> sigma = Geometric(1.0, 0.1, steps=2)
>>> layer = combdiff.Perturbed(combdiff.solvers.TopK(3), sigma=sigma)
>>> sigma.step()
>>> round(float(layer.sigma), 3)
0.316
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class Schedule:
    """A positive number that goes from `start` to `end` in `steps` calls of `step()`, and stays there.

    Args:
        start: value before the first step.
        end: value from the last step on.
        steps: number of steps between, at least 1.

    Raises:
        ValueError: for a value that is not positive and finite, or no steps.
    """

    def __init__(self, start: float, end: float, steps: int) -> None:
        if steps < 1:
            raise ValueError(f"steps={steps} must be at least 1")
        self.start = positive("start", start)
        self.end = positive("end", end)
        self.steps = steps
        self.count = 0

    def step(self) -> None:
        """Go on by one step."""
        self.count += 1

    def __float__(self) -> float:
        return self._at(min(1.0, self.count / self.steps))

    def _at(self, progress: float) -> float:
        """The value at a progress in [0, 1]."""
        raise TypeError(f"{type(self).__name__} must say in _at(progress) how it goes from start to end")

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps, as of a learning-rate scheduler."""
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.count = state["count"]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.start:g} → {self.end:g} in {self.steps} steps, now {float(self):g})"


class Geometric(Schedule):
    """Changes by the same factor in each step: start · (end/start)^progress.

    >>> float(Geometric(1.0, 0.01, steps=2))
    1.0
    """

    def _at(self, progress: float) -> float:
        return math.exp((1 - progress) * math.log(self.start) + progress * math.log(self.end))


class Linear(Schedule):
    """Changes by the same amount in each step.

    >>> schedule = Linear(1.0, 0.5, steps=2)
    >>> schedule.step(); float(schedule)
    0.75
    """

    def _at(self, progress: float) -> float:
        return (1 - progress) * self.start + progress * self.end


class Temperature:
    """A layer's temperature attribute: refuses what is neither a positive number nor a schedule.

    `temperature = sigma` in the body of a class gives it the name that all methods share, beside its own.
    """

    _name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = self._name or name

    def __set__(self, layer: object, value: float | Schedule) -> None:
        layer.__dict__[self._name] = value if isinstance(value, Schedule) else positive(self._name, value)

    def __get__(self, layer: object | None, owner: type) -> Any:
        return self if layer is None else layer.__dict__[self._name]


def positive(name: str, value: float) -> float:
    """`value` as a float.

    Raises:
        ValueError: unless it is positive and finite.
    """
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not (number and 0.0 < value < math.inf):
        raise ValueError(f"{name}={value!r} must be a positive, finite number")
    return float(value)
