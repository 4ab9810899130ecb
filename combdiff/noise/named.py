"""Arguments: numbers that count, and objects by their short names."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

T = TypeVar("T")


def whole(name: str, value: int) -> int:
    """A number that counts something.

    Raises:
        ValueError: for anything but a whole number, at least 1.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}={value!r} must be a whole number, at least 1")
    return int(value)


def named(name: str, value: str | T, kind: type[T], known: dict[str, type[T]]) -> T:
    """An object of a kind: `value` itself, or what its short name stands for.

    Raises:
        ValueError: for an unknown short name.
        TypeError: for anything else.
    """
    if isinstance(value, kind):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r} is a {type(value).__name__}, but must be a {kind.__name__} or its name")
    if value not in known:
        raise ValueError(
            f"{name}={value!r} is none of {', '.join(map(repr, known))} (or give a {kind.__name__} of your own)"
        )
    return known[value]()
