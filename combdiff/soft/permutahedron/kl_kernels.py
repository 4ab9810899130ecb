"""The kl projections in one compiled pass: sort, gather, exponentials, pool adjacent violators, evaluate, scatter.

Two neighbouring blocks of the walk (see `walk_kernels`) are pooled where

    kl rank   E₁ W₂ ≤ E₂ W₁     E = Σ exp(t/ε), W = Σ w
    kl sort   Z₁ E₂ ≤ Z₂ E₁     E = Σ exp t, Z = Σ exp(w/ε)

The ranks of a block are its softmax of t/ε times W; its position p holds the sorted value w_p/ε + log E − log Z.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from combdiff.soft.permutahedron.argsort_kernels import sort_row, sorting_scratch
from combdiff.soft.permutahedron.exp_kernels import exp_inplace
from combdiff.soft.permutahedron.kinds import RANK_KL
from combdiff.soft.permutahedron.l2_kernels import l2_rows
from combdiff.soft.permutahedron.walk_kernels import finish, walk
from combdiff.soft.permutahedron.windows_kernels import SPAN, rows_of_tile, tile_scratch, windows, zero_outside
from combdiff_solvers.compute.kernels import kernel

# Plain annotations: numba compiles these functions, a run-time type checker has no place in them.
Array = Any


@kernel(counted=False, error_model="numpy", inline="always")
def _pool_rank(
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
    """Pool t[low:high], where position p weighs end − p; runs first, as in `l2_kernels`. Return the number of blocks.

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


@kernel(counted=False, error_model="numpy", inline="always")
def _pool_sort(
    t: Array,
    low: int,
    high: int,
    inv: float,
    u: Array,
    z: Array,
    many: bool,
    window: Array,
    start: Array,
    value: Array,
    series: Array,
) -> int:
    """Pool t[low:high]; runs first, as in `l2_kernels`. Return the number of blocks.

    Block b starts at start[b] and has the sums value[b] (E) and series[b] (Z), both relative to the window of its
    start; u and z are their exponentials.
    """
    start[0] = low
    if low == high:
        return 0
    runs, begin, mass, length, first, whole = 0, low, u[low], z[0], low, True
    value[0], series[0] = mass, length
    for p in range(low + 1, high):
        apart = t[p - 1] - t[p] < inv
        if many:
            first = window[p]
            if window[p - 1] != first:  # no run goes on beyond its window, even if a block does
                whole &= apart
                apart = True
        own = z[p - first]
        runs += apart
        begin = p if apart else begin
        mass = u[p] + (0.0 if apart else mass)
        length = own + (0.0 if apart else length)
        start[runs], value[runs], series[runs] = begin, mass, length
    runs += 1
    if runs == high - low and whole:
        start[runs] = high
        return runs

    below, top_mass, top_length, top_begin = 0, value[0], series[0], low
    for run in range(1, runs):
        mass, length, begin = value[run], series[run], start[run]
        while True:
            near, far = low, low
            if many:
                near, far = window[top_begin], window[begin]
            excess = 1.0
            if near != far:
                excess = np.exp((far - near) * inv - (t[near] - t[far]))
            if top_length * mass * excess > length * top_mass:
                value[below], series[below], start[below] = top_mass, top_length, top_begin
                below += 1
                break
            if near != far:
                mass *= np.exp(t[far] - t[near])
                length *= np.exp((near - far) * inv)
            mass += top_mass
            length += top_length
            begin = top_begin
            if below == 0:
                break
            below -= 1
            top_mass, top_length, top_begin = value[below], series[below], start[below]
        top_mass, top_length, top_begin = mass, length, begin
    value[below], series[below], start[below], start[below + 1] = top_mass, top_length, top_begin, high
    return below + 1


@kernel(counted=False, error_model="numpy")
def _rows(
    first: int,
    last: int,
    rank: bool,
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
    z: Array,
) -> None:
    """`project_kl` with its scratch: `sorting` of `sorting_scratch`, `scratch` of `tile_scratch`, z (n,)."""
    t, u, powers, window, several, ends, start, value, other = scratch
    n = x.shape[1]
    far = 2.0 * np.log(n + 1.0) + 1.0
    z_step = -1.0
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
            several[j] = windows(t, low, high, inv if rank else 1.0, 0.0 if rank else inv, window, u)
            zero_outside(u, base, low, high, base + n)
        exp_inplace(u, 0, rows * n, powers)
        for j in range(rows):
            r, base = top + j, j * n
            if strength.size > 1:
                eps, inv = strength[r], min(1.0 / strength[r], 1e308)
            if eps == 0.0:
                # (in row 0 of the scratch, which was served before)
                l2 = r, r + 1, rank, sign, x, bits, mask, strength, order, out, block, unsorted, sorting
                l2_rows(*l2, t, start, value)
                continue
            low, high, end = ends[j, 0], ends[j, 1], ends[j, 2]
            o = j if unsorted else r
            if high - low < n:
                finish(r, sign, rank, o, order, base, t, low, high, end, out, block)
            many = several[j]
            if rank:
                if many:  # (two copies, so that the common one is short)
                    blocks = _pool_rank(t, low, high, end, inv, far, u, True, window, start, value, other)
                else:
                    blocks = _pool_rank(t, low, high, end, inv, far, u, False, window, start, value, other)
                for b in range(blocks):
                    if many and window[start[b]] != window[start[b + 1] - 1]:
                        for p in range(start[b], start[b + 1]):
                            u[p] *= np.exp((t[window[p]] - t[window[start[b]]]) * inv)
                    other[b] = (start[b + 1] - start[b]) * (end - 0.5 * (start[b] + start[b + 1] - 1))
                    value[b] = 1.0 / value[b]
                b = 0
                for p in range(low, high):
                    b += p == start[b + 1]
                    i = order[o, p - base]
                    out[r, i] = other[b] * (u[p] * value[b])
                    block[r, i] = start[b] - base
                continue
            if z_step != inv:
                for p in range(n):
                    z[p] = max(-p * inv, -SPAN)
                exp_inplace(z, 0, n, powers)
                z_step = inv
            if many:
                blocks = _pool_sort(t, low, high, inv, u, z, True, window, start, value, other)
            else:
                blocks = _pool_sort(t, low, high, inv, u, z, False, window, start, value, other)
            for b in range(blocks):
                begin = start[b]
                if start[b + 1] == begin + 1:
                    value[b] = t[begin]
                else:
                    near = window[begin] if many else low
                    value[b] = t[near] + np.log(value[b] / other[b]) - (begin - near) * inv
            b = 0
            for p in range(low, high):
                b += p == start[b + 1]
                out[r, p - base] = sign * (value[b] - (p - start[b]) * inv)
                block[r, order[o, p - base]] = start[b] - base


@kernel()
def project_kl(
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
    """Project the rows first..last−1; arguments as of `project_l2`; rows with ε = 0 are done as there.

    Args:
        kind: RANK_KL or SORT_KL.
    """
    n, rank, unsorted = x.shape[1], kind == RANK_KL, order.size == 0
    tile = rows_of_tile(last - first, n)
    sorting = sorting_scratch(bits, tile if unsorted else 0, n)
    walks = sorting[0] if unsorted else order
    z = np.empty(0 if rank else n)
    scratch = tile_scratch(tile, n)
    _rows(first, last, rank, sign, x, bits, mask, strength, walks, out, block, unsorted, sorting, tile, scratch, z)
