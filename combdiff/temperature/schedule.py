"""What a schedule is, and the one that never changes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np


class Schedule(ABC):
    """A positive number that changes by `step()`: `float(schedule)` is its value now.

    A subclass names in `_state` the attributes that a checkpoint keeps.
    """

    _state: ClassVar[Sequence[str]] = ()

    @abstractmethod
    def step(self) -> None:
        """Go on by one step."""

    @abstractmethod
    def __float__(self) -> float:
        """The value now."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps, as of a learning-rate scheduler."""
        return {name: getattr(self, name) for name in self._state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises:
            ValueError: for the state of another kind of schedule.
        """
        if set(state) != set(self._state):
            raise ValueError(
                f"the state has {sorted(state)}, but {type(self).__name__} keeps {sorted(self._state)}: it is of "
                "another schedule"
            )
        self.__dict__.update(state)


class Constant(Schedule):
    """Always the same value, where a schedule is wanted.

    >>> Constant(0.5)
    Constant(0.5)
    """

    def __init__(self, value: float) -> None:
        self.value = positive("value", value)

    def step(self) -> None:
        """Change nothing."""

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"Constant({self.value:g})"


def positive(name: str, value: float) -> float:
    """`value` as a float.

    Raises:
        ValueError: unless it is positive and finite.
    """
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not (number and 0.0 < value < math.inf):
        raise ValueError(f"{name}={value!r} must be a positive, finite number")
    return float(value)


def whole(name: str, value: int, least: int) -> int:
    """`value` as an int.

    Raises:
        ValueError: unless it is a whole number of at least `least`.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}={value!r} must be a whole number, at least {least}")
    return int(value)
