"""The kl projections in one compiled pass: sort, gather, exponentials, pool adjacent violators, evaluate, scatter.

Two neighbouring blocks of the walk (see `walk_kernels`) are pooled where

    kl rank   E₁ W₂ ≤ E₂ W₁     E = Σ exp(t/ε), W = Σ w
    kl sort   Z₁ E₂ ≤ Z₂ E₁     E = Σ exp t, Z = Σ exp(w/ε)

The ranks of a block are its softmax of t/ε times W; its position p holds the sorted value w_p/ε + log E − log Z.
"""

from typing import Any

import numpy as np

from combdiff.soft.permutahedron.argsort_kernels import sort_row, sorting_scratch
from combdiff.soft.permutahedron.exp_kernels import exp_inplace
from combdiff.soft.permutahedron.kinds import RANK_KL
from combdiff.soft.permutahedron.l2_kernels import l2_rows
from combdiff.soft.permutahedron.walk_kernels import finish, walk
from combdiff.soft.permutahedron.windows_kernels import SPAN, rows_of_tile, tile_scratch, windows, zero_outside
from combdiff_solvers.compute.kernels import Array, kernel


@kernel(counted=False, error_model="numpy", inline="always")
def _pool(
    rank: bool, many: bool, t: Array, ends: Any, inv: float, u: Array, z: Array, window: Array, blocks: Any
) -> int:
    """Pool the finite part of a walk, runs first, as in `l2_kernels`. Return the number of blocks.

    Two neighbours are pooled where a₁ b₂ ≤ a₂ b₁, with (a, b) = (E, W) for ranks and (Z, E) for sorted values. Block k
    starts at start[k] and has the sums a[k] and b[k], where E and Z are relative to the window of its start; u and z
    are the exponentials of single entries.
    """
    low, high, end = ends
    start, a, b = blocks
    start[0] = low
    if low == high:
        return 0
    runs, begin, window_start, whole = 0, low, low, True
    if rank:
        sum_a, sum_b = u[low], float(end - low)
    else:
        sum_a, sum_b = z[0], u[low]
    a[0], b[0] = sum_a, sum_b
    for p in range(low + 1, high):
        if many:
            window_start = window[p]
        if rank:
            own_a, own_b = u[p], float(end - p)
            apart = u[p - 1] * own_b > own_a * (own_b + 1.0)
        else:
            own_a, own_b = z[p - window_start], u[p]
            apart = t[p - 1] - t[p] < inv
        if many and window[p - 1] != window_start:  # no run goes on beyond its window, even if a block does
            whole &= (t[p - 1] - t[p]) * inv > np.log1p(1.0 / own_b) if rank else apart
            apart = True
        runs += apart
        begin = p if apart else begin
        sum_a = own_a + (0.0 if apart else sum_a)
        sum_b = own_b + (0.0 if apart else sum_b)
        start[runs], a[runs], b[runs] = begin, sum_a, sum_b
    runs += 1
    if runs == high - low and whole:
        start[runs] = high
        return runs

    below, top_a, top_b, top_begin = 0, a[0], b[0], low
    for run in range(1, runs):
        sum_a, sum_b, begin = a[run], b[run], start[run]
        while True:
            near, far = low, low
            if many:
                near, far = window[top_begin], window[begin]
            excess, fall_a, fall_b = 1.0, 0.0, 0.0
            if near != far:  # by how much the exponents of the second window lie below those of the first
                fall_a = (t[near] - t[far]) * inv if rank else (far - near) * inv
                fall_b = 0.0 if rank else t[near] - t[far]
                excess = np.exp(fall_a - fall_b)
            if top_a * sum_b * excess > sum_a * top_b:
                a[below], b[below], start[below] = top_a, top_b, top_begin
                below += 1
                break
            if near != far:
                sum_a *= np.exp(-fall_a)
                sum_b *= np.exp(-fall_b)
            sum_a += top_a
            sum_b += top_b
            begin = top_begin
            if below == 0:
                break
            below -= 1
            top_a, top_b, top_begin = a[below], b[below], start[below]
        top_a, top_b, top_begin = sum_a, sum_b, begin
    a[below], b[below], start[below], start[below + 1] = top_a, top_b, top_begin, high
    return below + 1


@kernel(counted=False, error_model="numpy")
def _rows(
    first: int, last: int, rank: bool, sign: int, data: Any, out: Array, block: Array, sorting: Any, scratch: Any
) -> None:
    """`project_kl` with its scratch: of `sorting_scratch` and `tile_scratch`."""
    x, bits, mask, strength = data
    t, u, z, powers, window, several, ends, blocks = scratch
    start, a, b = blocks
    order, unsorted, n, tile = sorting[0], sorting[1], x.shape[1], len(several)
    z_step = -1.0
    eps, inv = strength[0], min(1.0 / strength[0], 1e308)
    for top in range(first, last, tile):
        rows = min(tile, last - top)
        for j in range(rows):
            r, base = top + j, j * n
            if strength.size > 1:
                inv = min(1.0 / strength[r], 1e308)
            o = j if unsorted else r
            if unsorted:
                sort_row(r, o, x, bits, mask, sign > 0, sorting)
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
                l2_rows(r, r + 1, rank, sign, data, out, block, sorting, (t, start, a))
                continue
            low, high, end = ends[j, 0], ends[j, 1], ends[j, 2]
            o = j if unsorted else r
            if high - low < n:
                finish(r, sign, rank, o, order, base, t, (low, high, end), out, block)
            many = several[j]
            if rank:
                if many:  # (two copies, so that the common one is short)
                    count = _pool(True, True, t, (low, high, end), inv, u, z, window, blocks)
                else:
                    count = _pool(True, False, t, (low, high, end), inv, u, z, window, blocks)
                for k in range(count):
                    head, tail = start[k], start[k + 1]
                    if many and window[head] != window[tail - 1]:
                        for p in range(head, tail):
                            u[p] *= np.exp((t[window[p]] - t[window[head]]) * inv)
                    b[k] = (tail - head) * (end - 0.5 * (head + tail - 1))
                    a[k] = 1.0 / a[k]
                k = 0
                for p in range(low, high):
                    k += p == start[k + 1]
                    i = order[o, p - base]
                    out[r, i] = b[k] * (u[p] * a[k])
                    block[r, i] = start[k] - base
                continue
            if z_step != inv:
                for p in range(n):
                    z[p] = max(-p * inv, -SPAN)
                exp_inplace(z, 0, n, powers)
                z_step = inv
            if many:
                count = _pool(False, True, t, (low, high, end), inv, u, z, window, blocks)
            else:
                count = _pool(False, False, t, (low, high, end), inv, u, z, window, blocks)
            for k in range(count):
                head = start[k]
                if start[k + 1] == head + 1:
                    a[k] = t[head]
                else:
                    near = window[head] if many else low
                    a[k] = t[near] + np.log(b[k] / a[k]) - (head - near) * inv
            k = 0
            for p in range(low, high):
                k += p == start[k + 1]
                out[r, p - base] = sign * (a[k] - (p - start[k]) * inv)
                block[r, order[o, p - base]] = start[k] - base


@kernel()
def project_kl(
    first: int, last: int, kind: int, sign: int, x: Array, bits: Array, mask: Array, strength: Array, order: Array,
    out: Array, block: Array,
) -> None:  # fmt: skip
    """Project the rows first..last−1; arguments as of `project_l2`; rows with ε = 0 are done as there.

    Args:
        kind: RANK_KL or SORT_KL.
    """
    n = x.shape[1]
    tile = rows_of_tile(last - first, n)
    sorting, scratch = sorting_scratch(bits.itemsize == 8, order, tile, n), tile_scratch(tile, n)
    _rows(first, last, kind == RANK_KL, sign, (x, bits, mask, strength), out, block, sorting, scratch)
