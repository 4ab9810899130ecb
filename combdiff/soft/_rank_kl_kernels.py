"""The kl soft ranks in one compiled pass: gather, exponentials, pool adjacent violators, evaluate, scatter.

Two neighbouring blocks of the walk (see `_walk_kernels`) with E = Σ exp(t/ε) and W = Σ w are pooled where

    E₁ W₂ ≤ E₂ W₁

and the ranks of a block are its softmax of t/ε times W.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from combdiff.soft._exp_kernels import exp_inplace
from combdiff.soft._kinds import RANK_L2
from combdiff.soft._l2_kernels import project_l2
from combdiff.soft._walk_kernels import argsort_tiny, finish, walk
from combdiff.soft._windows_kernels import rows_of_tile, windows, zero_outside
from combdiff_solvers.kernels import kernel

# Plain annotations: numba compiles these functions, a run-time type checker has no place in them.
Array = Any


@kernel(error_model="numpy", inline="always")
def _pool(
    t: Array,
    low: int,
    high: int,
    end: int,
    inv: float,
    far: float,
    u: Array,
    many: bool,
    window: Array,
    start: Array,
    value: Array,
    weights: Array,
) -> int:
    """Pool t[low:high], where position p weighs end − p. Return the number of blocks.

    Block b starts at start[b], and has the sums value[b] (E, relative to the window of its start) and weights[b] (W);
    u holds the exponentials. The top of the stack is kept out of the arrays, since most steps change it.

    Args:
        far: blocks further apart than this, in t/ε, are never pooled.
    """
    start[0] = low
    if low == high:
        return 0
    below = 0
    top_mass, top_weight, top_begin = u[low], float(end - low), low
    for p in range(low + 1, high):
        mass, weight, begin = u[p], float(end - p), p
        while True:
            scaled, apart = mass, False
            if many and window[top_begin] != window[begin]:
                apart = (t[top_begin] - t[begin]) * inv > far
                if not apart:
                    scaled = mass * np.exp((t[window[begin]] - t[window[top_begin]]) * inv)
            if apart or top_mass * weight > scaled * top_weight:
                value[below], weights[below], start[below] = top_mass, top_weight, top_begin
                below += 1
                break
            mass = top_mass + scaled
            weight += top_weight
            begin = top_begin
            if below == 0:
                break
            below -= 1
            top_mass, top_weight, top_begin = value[below], weights[below], start[below]
        top_mass, top_weight, top_begin = mass, weight, begin
    value[below], weights[below], start[below], start[below + 1] = top_mass, top_weight, top_begin, high
    return below + 1


@kernel(error_model="numpy")
def project_rank_kl(
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
    """Rank the rows first..last−1; arguments as of `project_l2`, which does the rows with ε = 0."""
    n = x.shape[1]
    sort_here = order.size == 0
    tile = rows_of_tile(last - first, n)
    walked = np.zeros((tile, n), np.int32) if sort_here else order
    ends = np.empty((tile, 3), np.int64)
    t, u, powers = np.empty(tile * n), np.empty(tile * n), np.empty(tile * n, np.int64)
    window, several = np.empty(tile * n, np.int64), np.empty(tile, np.bool_)
    start, value, weights = np.empty(n + 1, np.int64), np.empty(n), np.empty(n)
    far = 2.0 * np.log(n + 1.0) + 1.0
    eps, inv = strength[0], min(1.0 / strength[0], 1e308)
    for top in range(first, last, tile):
        rows = min(tile, last - top)
        for j in range(rows):
            r, base = top + j, j * n
            if strength.size > 1:
                inv = min(1.0 / strength[r], 1e308)
            o = j if sort_here else r
            if sort_here:
                argsort_tiny(r, x, sign > 0, o, walked)
            low, high, end = walk(r, sign, x, mask, o, walked, base, t)
            ends[j, 0], ends[j, 1], ends[j, 2] = low, high, end
            several[j] = windows(t, low, high, inv, 0.0, window, u)
            zero_outside(u, base, low, high, base + n)
        exp_inplace(u, 0, rows * n, powers)
        for j in range(rows):
            r, base = top + j, j * n
            if strength.size > 1:
                eps, inv = strength[r], min(1.0 / strength[r], 1e308)
            if eps == 0.0:
                project_l2(r, r + 1, RANK_L2, sign, x, mask, strength, order, out, block)
                continue
            low, high, end = ends[j, 0], ends[j, 1], ends[j, 2]
            o = j if sort_here else r
            if high - low < n:
                finish(r, sign, True, o, walked, base, t, low, high, end, out, block)
            many = several[j]
            blocks = _pool(t, low, high, end, inv, far, u, many, window, start, value, weights)
            for b in range(blocks):
                if many and window[start[b]] != window[start[b + 1] - 1]:
                    for p in range(start[b], start[b + 1]):
                        u[p] *= np.exp((t[window[p]] - t[window[start[b]]]) * inv)
                weights[b] = (start[b + 1] - start[b]) * (end - 0.5 * (start[b] + start[b + 1] - 1))
                value[b] = 1.0 / value[b]
            b = 0
            for p in range(low, high):
                b += p == start[b + 1]
                i = walked[o, p - base]
                out[r, i] = weights[b] * (u[p] * value[b])
                block[r, i] = start[b] - base
