"""The kl soft sort in one compiled pass: sort, gather, exponentials, pool adjacent violators, evaluate, scatter.

Two neighbouring blocks of the walk (see `_walk_kernels`) with E = Σ exp t and Z = Σ exp(w/ε) are pooled where

    Z₁ E₂ ≤ Z₂ E₁

and position p of a block becomes w_p/ε + log E − log Z.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from combdiff.soft._argsort_kernels import sort_row, sorting_scratch
from combdiff.soft._exp_kernels import exp_inplace
from combdiff.soft._l2_kernels import l2_rows
from combdiff.soft._walk_kernels import finish, walk
from combdiff.soft._windows_kernels import SPAN, rows_of_tile, tile_scratch, windows, zero_outside
from combdiff_solvers.compute.kernels import kernel

# Plain annotations: numba compiles these functions, a run-time type checker has no place in them.
Array = Any


@kernel(counted=False, error_model="numpy", inline="always")
def _pool(
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
    """Pool t[low:high]; runs first, as in `_l2_kernels`. Return the number of blocks.

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
    t, u, powers, window, several, ends, start, value, series = scratch
    n = x.shape[1]
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
            several[j] = windows(t, low, high, 1.0, inv, window, u)
            zero_outside(u, base, low, high, base + n)
        exp_inplace(u, 0, rows * n, powers)
        for j in range(rows):
            r, base = top + j, j * n
            if strength.size > 1:
                eps, inv = strength[r], min(1.0 / strength[r], 1e308)
            if eps == 0.0:
                # (in row 0 of the scratch, which was served before)
                l2 = r, r + 1, False, sign, x, bits, mask, strength, order, out, block, unsorted, sorting
                l2_rows(*l2, t, start, value)
                continue
            if z_step != inv:
                for p in range(n):
                    z[p] = max(-p * inv, -SPAN)
                exp_inplace(z, 0, n, powers)
                z_step = inv
            low, high, end = ends[j, 0], ends[j, 1], ends[j, 2]
            o = j if unsorted else r
            if high - low < n:
                finish(r, sign, False, o, order, base, t, low, high, end, out, block)
            many = several[j]
            if many:  # (two copies, so that the common one is short)
                blocks = _pool(t, low, high, inv, u, z, True, window, start, value, series)
            else:
                blocks = _pool(t, low, high, inv, u, z, False, window, start, value, series)
            for b in range(blocks):
                begin = start[b]
                if start[b + 1] == begin + 1:
                    value[b] = t[begin]
                else:
                    near = window[begin] if many else low
                    value[b] = t[near] + np.log(value[b] / series[b]) - (begin - near) * inv
            b = 0
            for p in range(low, high):
                b += p == start[b + 1]
                out[r, p - base] = sign * (value[b] - (p - start[b]) * inv)
                block[r, order[o, p - base]] = start[b] - base


@kernel()
def project_sort_kl(
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
    """Sort the rows first..last−1; arguments as of `project_l2`; rows with ε = 0 are done as there."""
    n, unsorted = x.shape[1], order.size == 0
    tile = rows_of_tile(last - first, n)
    sorting = sorting_scratch(bits, tile if unsorted else 0, n)
    walks = sorting[0] if unsorted else order
    scratch = tile_scratch(tile, n)
    _rows(first, last, sign, x, bits, mask, strength, walks, out, block, unsorted, sorting, tile, scratch, np.empty(n))
