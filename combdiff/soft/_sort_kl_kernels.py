"""The kl soft sort in one compiled pass: gather, exponentials, pool adjacent violators, evaluate, scatter.

Two neighbouring blocks of the walk (see `_walk_kernels`) with E = Σ exp t and Z = Σ exp(w/ε) are pooled where

    Z₁ E₂ ≤ Z₂ E₁

and position p of a block becomes w_p/ε + log E − log Z.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from combdiff.soft._exp_kernels import exp_inplace
from combdiff.soft._kinds import SORT_L2
from combdiff.soft._l2_kernels import project_l2
from combdiff.soft._walk_kernels import argsort_tiny, finish, walk
from combdiff.soft._windows_kernels import SPAN, rows_of_tile, windows, zero_outside
from combdiff_solvers.kernels import kernel

# Plain annotations: numba compiles these functions, a run-time type checker has no place in them.
Array = Any


@kernel(error_model="numpy", inline="always")
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
    """Pool t[low:high]. Return the number of blocks.

    Block b starts at start[b] and has the sums value[b] (E) and series[b] (Z), both relative to the window of its
    start; u and z are their exponentials. The top of the stack is kept out of the arrays, since most steps change it.
    """
    start[0] = low
    if low == high:
        return 0
    below, first = 0, low
    top_mass, top_length, top_begin = u[low], z[0], low
    for p in range(low + 1, high):
        if many:
            first = window[p]
        mass, length, begin = u[p], z[p - first], p
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


@kernel(error_model="numpy")
def project_sort_kl(
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
    """Sort the rows first..last−1; arguments as of `project_l2`, which does the rows with ε = 0."""
    n = x.shape[1]
    sort_here = order.size == 0
    tile = rows_of_tile(last - first, n)
    walked = np.zeros((tile, n), np.int32) if sort_here else order
    ends = np.empty((tile, 3), np.int64)
    t, u, powers = np.empty(tile * n), np.empty(tile * n), np.empty(tile * n, np.int64)
    window, several = np.empty(tile * n, np.int64), np.empty(tile, np.bool_)
    start, value, series = np.empty(n + 1, np.int64), np.empty(n), np.empty(n)
    z, z_step = np.empty(n), -1.0
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
            several[j] = windows(t, low, high, 1.0, inv, window, u)
            zero_outside(u, base, low, high, base + n)
        exp_inplace(u, 0, rows * n, powers)
        for j in range(rows):
            r, base = top + j, j * n
            if strength.size > 1:
                eps, inv = strength[r], min(1.0 / strength[r], 1e308)
            if eps == 0.0:
                project_l2(r, r + 1, SORT_L2, sign, x, mask, strength, order, out, block)
                continue
            if z_step != inv:
                for p in range(n):
                    z[p] = max(-p * inv, -SPAN)
                exp_inplace(z, 0, n, powers)
                z_step = inv
            low, high, end = ends[j, 0], ends[j, 1], ends[j, 2]
            o = j if sort_here else r
            if high - low < n:
                finish(r, sign, False, o, walked, base, t, low, high, end, out, block)
            many = several[j]
            blocks = _pool(t, low, high, inv, u, z, many, window, start, value, series)
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
                block[r, walked[o, p - base]] = start[b] - base
