"""The l2 projection onto the permutahedron in one compiled pass: sort, gather, pool, evaluate, scatter.

Two neighbouring blocks of the walk (see `walk_kernels`) of sizes c and means t̄ are pooled where

    l2 rank   t̄₁ − t̄₂ ≤ ε (c₁ + c₂) / 2
    l2 sort   t̄₁ − t̄₂ ≥ (c₁ + c₂) / 2ε

in float64, with sums of differences to the first t of a block, so that an offset of x costs no digits. The result is
evaluated per block, so that singletons are exact.
"""

from typing import Any

import numpy as np

from combdiff.soft.permutahedron.argsort_kernels import sort_row, sorting_scratch
from combdiff.soft.permutahedron.kinds import RANK_L2
from combdiff.soft.permutahedron.walk_kernels import finish, walk
from combdiff_solvers.compute.kernels import Array, kernel


@kernel(counted=False, error_model="numpy", inline="always")
def _pool(t: Array, low: int, high: int, eps: float, rank: bool, start: Array, total: Array) -> int:
    """Pool t[low:high]; block b starts at start[b] and has Σ (t − t[start[b]]) = total[b]. Return the number of blocks.

    First runs of entries of which each is to be pooled with the next: that holds whatever else is, and takes no branch.
    Then the runs, on a stack in the same arrays, whose top is kept out of them, since most steps change it. Means are
    compared crosswise, so that no step waits for a division.
    """
    start[0] = low
    if low == high:
        return 0
    side = 1.0 if rank else -1.0  # pooled are small gaps, or large ones
    bar = side * (eps if rank else 1.0 / eps)
    runs, begin, head, own = 0, low, t[low], 0.0
    total[0] = 0.0
    for p in range(low + 1, high):
        apart = side * (t[p - 1] - t[p]) > bar
        runs += apart
        begin = p if apart else begin
        head = t[p] if apart else head
        own = 0.0 if apart else own + (t[p] - head)
        start[runs], total[runs] = begin, own
    runs += 1
    start[runs] = high
    if runs == high - low:
        return runs

    bar *= 0.5
    below, top_total, top_begin = 0, total[0], low
    for run in range(1, runs):
        own, begin, end = total[run], start[run], start[run + 1]
        while True:
            left, right = float(begin - top_begin), float(end - begin)
            drop = t[top_begin] - t[begin]
            gap = (drop * left + top_total) * right - own * left
            if side * gap > bar * (left + right) * (left * right):
                total[below], start[below] = top_total, top_begin
                below += 1
                break
            own = top_total + (own - drop * right)
            begin = top_begin
            if below == 0:
                break
            below -= 1
            top_total, top_begin = total[below], start[below]
        top_total, top_begin = own, begin
    total[below], start[below], start[below + 1] = top_total, top_begin, high
    return below + 1


@kernel(counted=False, error_model="numpy")
def l2_rows(
    first: int, last: int, rank: bool, sign: int, data: Any, out: Array, block: Array, sorting: Any, scratch: Any
) -> None:
    """`project_l2` with its scratch: of `sorting_scratch`; and t (n,), start (n + 1,) and total (n,)."""
    x, bits, mask, strength = data
    t, start, total = scratch
    order, unsorted, n = sorting[0], sorting[1], x.shape[1]
    for r in range(first, last):
        eps = strength[r] if strength.size > 1 else strength[0]
        inv = min(1.0 / eps, 1e308) if eps > 0 else 0.0
        o = 0 if unsorted else r
        if unsorted:
            sort_row(r, o, x, bits, mask, sign > 0, sorting)
        low, high, k = walk(r, sign, x, mask, o, order, 0, t)
        if high - low < n:
            finish(r, sign, rank, o, order, 0, t, (low, high, k), out, block)
        blocks = _pool(t, low, high, eps, rank, start, total)
        if rank:
            for b in range(blocks):
                begin, end = start[b], start[b + 1]
                mean = total[b] / (end - begin)
                weight = k - 0.5 * (begin + end - 1)
                for p in range(begin, end):
                    i = order[o, p]
                    out[r, i] = weight + (t[p] - t[begin] - mean) * inv
                    block[r, i] = begin
        else:
            for b in range(blocks):
                begin, end = start[b], start[b + 1]
                if end == begin + 1:  # the common case, and exact
                    level, slope = t[begin], 0.0
                else:
                    level = t[begin] + (total[b] / (end - begin) + 0.5 * (end - begin - 1) * inv)
                    slope = -inv
                for p in range(begin, end):
                    out[r, p] = sign * (level + (p - begin) * slope) + 0.0  # no -0.0
                    block[r, order[o, p]] = begin


@kernel()
def project_l2(
    first: int, last: int, kind: int, sign: int, x: Array, bits: Array, mask: Array, strength: Array, order: Array,
    out: Array, block: Array,
) -> None:  # fmt: skip
    """Project the rows first..last−1.

    Args:
        kind: RANK_L2 or SORT_L2.
        sign: +1 walks x downwards, −1 upwards.
        x: (rows, n) float32 or float64.
        bits: the same memory as unsigned integers; not read of tiny rows.
        mask: (rows, n) bool, or empty where every entry counts.
        strength: (rows,) or (1,) float64, ε.
        order: (rows, n) int32, the walk; or empty: rows are tiny and not masked, or long, and sorted here.
        out, block: (rows, n), written; ranks by entry, sorted values by position.
    """
    n = x.shape[1]
    sorting = sorting_scratch(bits.itemsize == 8, order, min(1, last - first), n)
    scratch = np.empty(n), np.empty(n + 1, np.int64), np.empty(n)
    l2_rows(first, last, kind == RANK_L2, sign, (x, bits, mask, strength), out, block, sorting, scratch)
