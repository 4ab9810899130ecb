"""The projection onto the permutahedron in one compiled pass: gather, pool adjacent violators, evaluate, scatter.

A row is walked in descending order of t = ±x. Position p = 0..k−1 of the walk weighs w_p = k − p. The projection
splits the walk into *blocks* of neighbours (Blondel et al. 2020, Proposition 3 and Lemma 3); two neighbouring blocks
are
pooled while the value of the first does not exceed that of the second. Pooling runs in float64 on a stack and
compares *differences* of neighbours only, so that an offset of x costs no digits:

    l2 rank   t̄₁ − t̄₂ ≤ ε (c₁ + c₂) / 2      t̄: mean of a block, c: its size
    l2 sort   t̄₁ − t̄₂ ≥ (c₁ + c₂) / 2ε
    kl rank   E₁ W₂ ≤ E₂ W₁                   E = Σ exp(t/ε), W = Σ w
    kl sort   Z₁ E₂ ≤ Z₂ E₁                   E = Σ exp t,    Z = Σ exp(w/ε)

E and Z are kept relative to the first position of a *window* of the walk that spans at most SPAN in the exponent,
so that nothing over- or underflows, the exponentials are taken by one vector loop, and only blocks of different
windows cost another exp. The result is evaluated per block. `block` names, for every *entry* of x, the position
at which its block starts: this and x are all that derivatives of any order need. HARD marks entries that are
not soft (masked or infinite), POISONED the rows that hold a NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from combdiff.soft._exp_kernels import exp_inplace

RANK_L2, SORT_L2, RANK_KL, SORT_KL = 0, 1, 2, 3
HARD, POISONED = -1, -2
SPAN = 300.0

# Plain annotations: numba compiles these functions, a run-time type checker has no place in them.
Array = Any


@njit(nogil=True, cache=True, inline="always")
def _insertion(r: int, x: Array, mask: Array, masked: bool, flip: bool, order: Array) -> None:
    """Argsort one tiny row into order[0]; masked entries last."""
    n = x.shape[1]
    size = 0
    for i in range(n):
        if masked and not mask[r, i]:
            continue
        value = x[r, i]
        at = size
        while at > 0 and (x[r, order[0, at - 1]] < value if flip else x[r, order[0, at - 1]] > value):
            order[0, at] = order[0, at - 1]
            at -= 1
        order[0, at] = i
        size += 1
    if masked:
        for i in range(n):
            if not mask[r, i]:
                order[0, size] = i
                size += 1


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _pool_l2(t: Array, low: int, high: int, eps: float, rank: bool, share: Array, start: Array, value: Array) -> int:
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


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _windows(t: Array, low: int, high: int, scale: float, step: float, window: Array, u: Array) -> None:
    """window[p] is where the window of p starts; u[p] = (t[p] − t[window[p]]) scale; both spans are at most SPAN."""
    begin = low
    if low < high and (t[low] - t[high - 1]) * scale <= SPAN and (high - low) * step <= SPAN:
        for p in range(low, high):
            window[p] = low
            u[p] = (t[p] - t[low]) * scale
        return
    for p in range(low, high):
        if (t[begin] - t[p]) * scale > SPAN or (p - begin) * step > SPAN:
            begin = p
        window[p] = begin
        u[p] = (t[p] - t[begin]) * scale


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _pool_rank_kl(
    t: Array,
    low: int,
    high: int,
    inv: float,
    k: int,
    u: Array,
    window: Array,
    start: Array,
    value: Array,
    weights: Array,
) -> int:
    """As `_pool_l2`; value[b] is E, relative to window[start[b]], weights[b] is W; u: the exponentials."""
    start[0] = low
    if low == high:
        return 0
    below = 0
    many = window[high - 1] != low
    far = 2.0 * np.log(k + 1.0) + 1.0  # blocks further apart than this are never pooled
    top_mass, top_weight, top_begin = u[low], float(k - low), low
    for p in range(low + 1, high):
        mass, weight, begin = u[p], float(k - p), p
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


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _pool_sort_kl(
    t: Array,
    low: int,
    high: int,
    inv: float,
    u: Array,
    z: Array,
    window: Array,
    start: Array,
    value: Array,
    series: Array,
) -> int:
    """As `_pool_l2`; value[b] is E and series[b] is Z, relative to window[start[b]]; u, z: their exponentials."""
    start[0] = low
    if low == high:
        return 0
    below = 0
    many = window[high - 1] != low
    top_mass, top_length, top_begin = u[low], z[low - window[low]], low
    for p in range(low + 1, high):
        mass, length, begin = u[p], z[p - window[p]], p
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


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _offset_of_mean(t: Array, begin: int, end: int) -> float:
    """The mean of t[begin:end] minus t[begin], without the rounding of the running means."""
    total = 0.0
    for p in range(begin + 1, end):
        total += t[p] - t[begin]
    return total / (end - begin)


@njit(nogil=True, cache=True, error_model="numpy")
def project(
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
        kind: RANK_L2, SORT_L2, RANK_KL or SORT_KL.
        sign: +1 walks x downwards, −1 upwards.
        x: (rows, n) float32 or float64.
        mask: (rows, n) bool, or empty where every entry counts.
        strength: (rows,) or (1,) float64, ε.
        order: (rows, n) int32, the walk; or empty: rows are tiny and are sorted here.
        out, block: (rows, n), written; ranks by entry, sorted values by position.
    """
    n = x.shape[1]
    masked, sort_here = mask.size > 0, order.size == 0
    rank, kl = kind in (RANK_L2, RANK_KL), kind in (RANK_KL, SORT_KL)
    t, value = np.empty(n), np.empty(n)
    start = np.empty(n + 1, np.int64)
    u, window, powers = (np.empty(n), np.empty(n, np.int64), np.empty(n, np.int64)) if kl else (t, start, start)
    z, series = (np.empty(n), np.empty(n)) if kl else (t, t)
    if sort_here:
        order = np.empty((1, n), np.int32)
    z_step = -1.0
    share = np.empty(n + 1)
    for c in range(n + 1):
        share[c] = 1.0 / c
    for r in range(first, last):
        eps = strength[r] if strength.size > 1 else strength[0]
        inv = 1.0 / eps if eps > 0 else 0.0
        soft_kl = kl and eps > 0
        o = 0 if sort_here else r
        if sort_here:
            _insertion(r, x, mask, masked, sign > 0, order)
        k = n
        if masked:
            k = 0
            for i in range(n):
                k += mask[r, i]
        poisoned = False
        for p in range(k):
            t[p] = sign * x[r, order[o, p]]
            poisoned |= t[p] != t[p]
        if poisoned:
            for i in range(n):
                out[r, i] = np.nan
                block[r, i] = POISONED
            continue
        low, high = 0, k
        while low < k and t[low] == np.inf:
            low += 1
        while high > low and t[high - 1] == -np.inf:
            high -= 1

        if soft_kl and rank:
            _windows(t, low, high, inv, 0.0, window, u)
            exp_inplace(u, low, high, powers)
            blocks = _pool_rank_kl(t, low, high, inv, k, u, window, start, value, series)
        elif soft_kl:
            _windows(t, low, high, 1.0, inv, window, u)
            exp_inplace(u, low, high, powers)
            if z_step != inv:
                for p in range(n):
                    z[p] = max(-p * inv, -SPAN)
                exp_inplace(z, 0, n, powers)
                z_step = inv
            blocks = _pool_sort_kl(t, low, high, inv, u, z, window, start, value, series)
        else:
            blocks = _pool_l2(t, low, high, eps, rank, share, start, value)

        if rank:
            for b in range(blocks):
                begin, end = start[b], start[b + 1]
                size, weight = end - begin, k - 0.5 * (begin + end - 1)
                if size == 1:
                    out[r, order[o, begin]] = weight
                    block[r, order[o, begin]] = begin
                elif soft_kl:
                    scale = size * weight / value[b]
                    if window[begin] != window[end - 1]:
                        for p in range(begin, end):
                            u[p] *= np.exp((t[window[p]] - t[window[begin]]) * inv)
                    for p in range(begin, end):
                        out[r, order[o, p]] = scale * u[p]
                        block[r, order[o, p]] = begin
                else:
                    mean = _offset_of_mean(t, begin, end)
                    for p in range(begin, end):
                        out[r, order[o, p]] = weight + (t[p] - t[begin] - mean) * inv
                        block[r, order[o, p]] = begin
        else:
            for b in range(blocks):
                begin = start[b]
                size = start[b + 1] - begin
                if size == 1:
                    level, slope = t[begin], 0.0
                elif soft_kl:
                    offset = (begin - window[begin]) * inv
                    level, slope = t[window[begin]] + np.log(value[b] / series[b]) - offset, -inv
                else:
                    mean = _offset_of_mean(t, begin, begin + size)
                    level, slope = t[begin] + (mean + 0.5 * (size - 1) * inv), -inv
                for p in range(begin, begin + size):
                    out[r, p] = sign * (level + (p - begin) * slope)
                    block[r, order[o, p]] = begin

        for p in range(low):
            i = order[o, p]
            block[r, i] = HARD
            out[r, i if rank else p] = k - 0.5 * (low - 1) if rank else sign * t[p]
        for p in range(high, k):
            i = order[o, p]
            block[r, i] = HARD
            out[r, i if rank else p] = k - 0.5 * (high + k - 1) if rank else sign * t[p]
        for p in range(k, n):
            i = order[o, p]
            block[r, i] = HARD
            out[r, i if rank else p] = 0.0
