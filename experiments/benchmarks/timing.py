"""Fair timing, where contestants take turns and the ratio of their medians counts; and the memory of the process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median


def race(
    contestants: Mapping[str, Callable[[], object]],
    rounds: int = 15,
    warm_up: int = 2,
    by: Callable[[list[float]], float] = median,
) -> dict[str, float]:
    """The median seconds of each contestant, run in turns so that a busy machine slows all alike.

    By `min` they are the least seconds: for steps so short that any disturbance outweighs them.

    >>> sorted(race({"a": lambda: sum(range(10)), "b": lambda: None}, rounds=3))
    ['a', 'b']
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(warm_up + rounds):
        for name, run in contestants.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return {name: by(times[warm_up:]) for name, times in seconds.items()}


def resident_mib(field: str = "VmRSS") -> float:
    """What this process holds in memory (`VmHWM`: has held at most), by a line of Linux's /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024
