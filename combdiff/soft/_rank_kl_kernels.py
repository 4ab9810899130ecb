"""The kl soft ranks in one compiled pass: sort, gather, exponentials, pool adjacent violators, evaluate, scatter.

Two neighbouring blocks of the walk (see `_walk_kernels`) with E = Σ exp(t/ε) and W = Σ w are pooled where

    E₁ W₂ ≤ E₂ W₁

and the ranks of a block are its softmax of t/ε times W.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from combdiff.soft._argsort_kernels import sort_row, sorting_scratch
from combdiff.soft._exp_kernels import exp_inplace
from combdiff.soft._l2_kernels import l2_rows
from combdiff.soft._walk_kernels import finish, walk
from combdiff.soft._windows_kernels import rows_of_tile, tile_scratch, windows, zero_outside
from combdiff_solvers.compute.kernels import kernel

# Plain annotations: numba compiles these functions, a run-time type checker has no place in them.
Array = Any


@kernel(counted=False, error_model="numpy", inline="always")
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
    """Pool t[low:high], where position p weighs end − p; runs first, as in `_l2_kernels`. Return the number of blocks.

    Block b starts at start[b], and has the sums value[b] (E, relative to the window of its start) and weights[b] (W);
    u holds the exponentials.

    Args:
        far: blocks further apart than this, in t/ε, are never pooled.
    """
    start[0] = low
    if low == high:
        return 0
    runs, begin, mass, weight, whole = 0, low, u[low], float(end - low), True
    value[0], weights[0] = mass, weight
    for p in range(low + 1, high):
        own = float(end - p)
        apart = u[p - 1] * own > u[p] * (own + 1.0)
        if many and window[p - 1] != window[p]:  # no run goes on beyond its window, even if a block does
            whole &= (t[p - 1] - t[p]) * inv > np.log1p(1.0 / own)
            apart = True
        runs += apart
        begin = p if apart else begin
        mass = u[p] + (0.0 if apart else mass)
        weight = own + (0.0 if apart else weight)
        start[runs], value[runs], weights[runs] = begin, mass, weight
    runs += 1
    if runs == high - low and whole:
        start[runs] = high
        return runs

    below, top_mass, top_weight, top_begin = 0, value[0], weights[0], low
    for run in range(1, runs):
        mass, weight, begin = value[run], weights[run], start[run]
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


@kernel(counted=False, error_model="numpy")
def _rows(
    first: int,
    last: int,
    sign: int,
    x: Array,
    bits: Array,
    mask: Array,
    strength: Array,
    order: Array,
    out: Array,
    block: Array,
    unsorted: bool,
    sorting: Any,
    tile: int,
    scratch: Any,
) -> None:
    t, u, powers, window, several, ends, start, value, weights = scratch
    n = x.shape[1]
    far = 2.0 * np.log(n + 1.0) + 1.0
    eps, inv = strength[0], min(1.0 / strength[0], 1e308)
    for top in range(first, last, tile):
        rows = min(tile, last - top)
        for j in range(rows):
            r, base = top + j, j * n
            if strength.size > 1:
                inv = min(1.0 / strength[r], 1e308)
            o = r
            if unsorted:
                o = j
                sort_row(r, x, bits, mask, sign > 0, o, sorting)
            low, high, end = walk(r, sign, x, mask, o, order, base, t)
            ends[j, 0], ends[j, 1], ends[j, 2] = low, high, end
            several[j] = windows(t, low, high, inv, 0.0, window, u)
            zero_outside(u, base, low, high, base + n)
        exp_inplace(u, 0, rows * n, powers)
        for j in range(rows):
            r, base = top + j, j * n
            if strength.size > 1:
                eps, inv = strength[r], min(1.0 / strength[r], 1e308)
            if eps == 0.0:
                # (in row 0 of the scratch, which was served before)
                l2 = r, r + 1, True, sign, x, bits, mask, strength, order, out, block, unsorted, sorting
                l2_rows(*l2, t, start, value)
                continue
            low, high, end = ends[j, 0], ends[j, 1], ends[j, 2]
            o = j if unsorted else r
            if high - low < n:
                finish(r, sign, True, o, order, base, t, low, high, end, out, block)
            many = several[j]
            if many:  # (two copies, so that the common one is short)
                blocks = _pool(t, low, high, end, inv, far, u, True, window, start, value, weights)
            else:
                blocks = _pool(t, low, high, end, inv, far, u, False, window, start, value, weights)
            for b in range(blocks):
                if many and window[start[b]] != window[start[b + 1] - 1]:
                    for p in range(start[b], start[b + 1]):
                        u[p] *= np.exp((t[window[p]] - t[window[start[b]]]) * inv)
                weights[b] = (start[b + 1] - start[b]) * (end - 0.5 * (start[b] + start[b + 1] - 1))
                value[b] = 1.0 / value[b]
            b = 0
            for p in range(low, high):
                b += p == start[b + 1]
                i = order[o, p - base]
                out[r, i] = weights[b] * (u[p] * value[b])
                block[r, i] = start[b] - base


@kernel()
def project_rank_kl(
    first: int,
    last: int,
    kind: int,
    sign: int,
    x: Array,
    bits: Array,
    mask: Array,
    strength: Array,
    order: Array,
    out: Array,
    block: Array,
) -> None:
    """Rank the rows first..last−1; arguments as of `project_l2`; rows with ε = 0 are done as there."""
    n, unsorted = x.shape[1], order.size == 0
    tile = rows_of_tile(last - first, n)
    sorting = sorting_scratch(bits, tile if unsorted else 0, n)
    walks = sorting[0] if unsorted else order
    scratch = tile_scratch(tile, n)
    _rows(first, last, sign, x, bits, mask, strength, walks, out, block, unsorted, sorting, tile, scratch)
