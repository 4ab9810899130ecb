"""Fair timing: contestants take turns, and the ratio of their medians is what counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median


def least(contestants: Mapping[str, Callable[[], object]], rounds: int = 15, warm_up: int = 2) -> dict[str, float]:
    """The least seconds of each contestant, run in turns: for steps so short that any disturbance outweighs them."""
    return {name: min(times) for name, times in _taken(contestants, rounds, warm_up).items()}


def race(contestants: Mapping[str, Callable[[], object]], rounds: int = 15, warm_up: int = 2) -> dict[str, float]:
    """The median seconds of each contestant, run in turns so that a busy machine slows all alike.

    >>> sorted(race({"a": lambda: sum(range(10)), "b": lambda: None}, rounds=3))
    ['a', 'b']
    """
    return {name: median(times) for name, times in _taken(contestants, rounds, warm_up).items()}


def _taken(contestants: Mapping[str, Callable[[], object]], rounds: int, warm_up: int) -> dict[str, list[float]]:
    for _ in range(warm_up):
        for run in contestants.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return seconds
