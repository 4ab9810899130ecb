"""The l2 projection onto the permutahedron in one compiled pass: gather, pool adjacent violators, evaluate, scatter.

Two neighbouring blocks of the walk (see `_walk_kernels`) of sizes c and means t̄ are pooled where

    l2 rank   t̄₁ − t̄₂ ≤ ε (c₁ + c₂) / 2
    l2 sort   t̄₁ − t̄₂ ≥ (c₁ + c₂) / 2ε

in float64 and on *differences* of neighbours only, so that an offset of x costs no digits. The result is evaluated per
block, so that singletons are exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from combdiff.soft._kinds import RANK_L2
from combdiff.soft._walk_kernels import argsort_tiny, finish, walk
from combdiff_solvers.kernels import kernel

# Plain annotations: numba compiles these functions, a run-time type checker has no place in them.
Array = Any


@kernel(error_model="numpy", inline="always")
def _pool(t: Array, low: int, high: int, eps: float, rank: bool, share: Array, start: Array, value: Array) -> int:
    """Pool t[low:high]; block b starts at start[b] and has the mean value[b]. Return the number of blocks.

    share[c] is 1/c. The top of the stack is kept out of the arrays, since most steps change it.
    """
    start[0] = low
    if low == high:
        return 0
    below = 0
    half = 0.5 * eps if rank else 0.5 / eps
    top_mean, top_begin = t[low], low
    for p in range(low + 1, high):
        mean, begin = t[p], p
        while True:
            gap = top_mean - mean
            total = p + 1 - top_begin
            if (gap > half * total) if rank else not (gap >= half * total):
                value[below], start[below] = top_mean, top_begin
                below += 1
                break
            mean += gap * (begin - top_begin) * share[total]
            begin = top_begin
            if below == 0:
                break
            below -= 1
            top_mean, top_begin = value[below], start[below]
        top_mean, top_begin = mean, begin
    value[below], start[below], start[below + 1] = top_mean, top_begin, high
    return below + 1


@kernel(error_model="numpy", inline="always")
def _offset_of_mean(t: Array, begin: int, end: int) -> float:
    """The mean of t[begin:end] minus t[begin], without the rounding of the running means."""
    total = 0.0
    for p in range(begin + 1, end):
        total += t[p] - t[begin]
    return total / (end - begin)


@kernel(error_model="numpy")
def project_l2(
    first: int,
    last: int,
    kind: int,
    sign: int,
    x: Array,
    mask: Array,
    strength: Array,
    order: Array,
    out: Array,
    block: Array,
) -> None:
    """Project the rows first..last−1.

    Args:
        kind: RANK_L2 or SORT_L2.
        sign: +1 walks x downwards, −1 upwards.
        x: (rows, n) float32 or float64.
        mask: (rows, n) bool, or empty where every entry counts.
        strength: (rows,) or (1,) float64, ε.
        order: (rows, n) int32, the walk; or empty: rows are tiny, not masked, and sorted here.
        out, block: (rows, n), written; ranks by entry, sorted values by position.
    """
    n = x.shape[1]
    sort_here, rank = order.size == 0, kind == RANK_L2
    if sort_here:
        order = np.zeros((1, n), np.int32)
    t, value, start, share = np.empty(n), np.empty(n), np.empty(n + 1, np.int64), np.empty(n + 1)
    for c in range(n + 1):
        share[c] = 1.0 / c
    for r in range(first, last):
        eps = strength[r] if strength.size > 1 else strength[0]
        inv = min(1.0 / eps, 1e308) if eps > 0 else 0.0
        o = 0 if sort_here else r
        if sort_here:
            argsort_tiny(r, x, sign > 0, o, order)
        low, high, k = walk(r, sign, x, mask, o, order, 0, t)
        if high - low < n:
            finish(r, sign, rank, o, order, 0, t, low, high, k, out, block)
        blocks = _pool(t, low, high, eps, rank, share, start, value)
        if rank:
            for b in range(blocks):
                begin, end = start[b], start[b + 1]
                offset = _offset_of_mean(t, begin, end) if end > begin + 1 else 0.0
                weight = k - 0.5 * (begin + end - 1)
                for p in range(begin, end):
                    out[r, order[o, p]] = weight + (t[p] - t[begin] - offset) * inv
                    block[r, order[o, p]] = begin
        else:
            for b in range(blocks):
                begin, end = start[b], start[b + 1]
                if end == begin + 1:  # the common case, and exact
                    level, slope = t[begin], 0.0
                else:
                    level = t[begin] + (_offset_of_mean(t, begin, end) + 0.5 * (end - begin - 1) * inv)
                    slope = -inv
                for p in range(begin, end):
                    out[r, p] = sign * (level + (p - begin) * slope) + 0.0  # no -0.0
                    block[r, order[o, p]] = begin
