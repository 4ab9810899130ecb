"""Windows: parts of a walk that are so narrow that exponentials relative to their first position are safe numbers.

Sums of exponentials are kept relative to the window they start in, so that nothing over- or underflows, one vector loop
takes all exponentials, and only blocks of different windows cost another exp.
"""

from typing import Any

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel

SPAN = 300.0  # of the exponents of a window
TILE = 512  # entries whose exponentials are taken at once: short rows fill vectors, and all scratch stays in the cache


@kernel(counted=False, error_model="numpy", inline="always")
def windows(t: Array, low: int, high: int, scale: float, step: float, window: Array, u: Array) -> bool:
    """Cut t[low:high] such that (t[first] − t[last]) scale and (last − first) step are at most SPAN in every window.

    window[p] is where the window of p starts; u[p] = (t[p] − t[window[p]]) scale.

    Returns:
        Whether there are several; if not, `window` is not written, and the only one starts at `low`.
    """
    if low == high or ((t[low] - t[high - 1]) * scale <= SPAN and (high - low) * step <= SPAN):
        for p in range(low, high):
            u[p] = (t[p] - t[low]) * scale
        return False
    begin = low
    for p in range(low, high):
        if (t[begin] - t[p]) * scale > SPAN or (p - begin) * step > SPAN:
            begin = p
        window[p] = begin
        u[p] = (t[p] - t[begin]) * scale
    return True


@kernel(counted=False, inline="always")
def zero_outside(u: Array, base: int, low: int, high: int, end: int) -> None:
    """u[base:low] = u[high:end] = 0."""
    for p in range(base, low):
        u[p] = 0.0
    for p in range(high, end):
        u[p] = 0.0


@kernel(counted=False, inline="always")
def rows_of_tile(rows: int, n: int) -> int:
    """How many of the rows of length n are taken at once."""
    return max(1, min(rows, TILE // max(n, 1)))


@kernel()
def tile_scratch(rows: int, n: int) -> Any:
    """What a kl projection needs for a tile: t and its exponentials, those of −p/ε for one row, powers of two, windows
    and whether there are several, the ends of each walk; and for one row: where blocks start, and two sums of each."""
    return (
        np.empty(rows * n),
        np.empty(rows * n),
        np.empty(n),
        np.empty(rows * n, np.int64),
        np.empty(rows * n, np.int64),
        np.empty(rows, np.bool_),
        np.empty((rows, 3), np.int64),
        (np.empty(n + 1, np.int64), np.empty(n), np.empty(n)),
    )
