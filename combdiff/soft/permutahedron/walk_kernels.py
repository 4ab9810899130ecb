"""The walk through a row in descending order of t = ±x, which every projection starts with, and its hard ends.

Position p = 0..k−1 of the walk weighs w_p = k − p, where k entries of the row count. A projection splits the finite
part of the walk into *blocks* of neighbours (Blondel et al. 2020, Proposition 3 and Lemma 3): two neighbouring blocks
are pooled while the value of the first does not exceed that of the second.
"""

from typing import Any

import numpy as np

from combdiff.soft.permutahedron.kinds import HARD, HAS_NAN
from combdiff_solvers.compute.kernels import Array, kernel


@kernel(counted=False, inline="always")
def walk(r: int, sign: int, x: Array, mask: Array, o: int, order: Array, base: int, t: Array) -> tuple[int, int, int]:
    """Write t of row r, in the order order[o], from t[base] on.

    Returns:
        low, high, end: indices into t; the k entries that count end at `end`, the finite ones are t[low:high].
        Where a NaN counts, `end` is HAS_NAN.
    """
    n = x.shape[1]
    k = n
    if mask.size > 0:
        k = 0
        for i in range(n):
            k += mask[r, i]
    has_nan = False
    for p in range(k):
        value = sign * x[r, order[o, p]]
        t[base + p] = value
        has_nan |= value != value
    low, high = base, base + k
    if has_nan:
        return low, low, HAS_NAN
    while low < high and t[low] == np.inf:
        low += 1
    while high > low and t[high - 1] == -np.inf:
        high -= 1
    return low, high, base + k


@kernel(counted=False, inline="always")
def finish(
    r: int, sign: int, rank: bool, o: int, order: Array, base: int, t: Array, ends: Any, out: Array, block: Array
) -> None:
    """Write the results of row r that are not soft, if there are any; arguments and `ends` as of `walk`."""
    low, high, end = ends
    n = order.shape[1]
    if end == HAS_NAN:
        for i in range(n):
            out[r, i] = np.nan
            block[r, i] = HAS_NAN
        return
    for p in range(base, base + n):
        if low <= p < high:
            continue
        level = 0.0
        if p < end:
            level = end - 0.5 * ((base + low if p < low else high + end) - 1) if rank else sign * t[p]
        i = order[o, p - base]
        block[r, i] = HARD
        out[r, i if rank else p - base] = level
