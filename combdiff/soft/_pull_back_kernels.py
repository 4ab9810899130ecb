"""The vector–Jacobian product of the projection onto the permutahedron with respect to x, in one compiled pass.

Within a block B (c entries, softmax s_B of t, or t/ε, over the block) the Jacobians are

    l2 rank   (I − 11ᵀ/c) / ε          symmetric: neither the order nor x is needed
    kl rank   (diag r − r rᵀ/Σr) / ε   r: the ranks themselves
    l2 sort   11ᵀ/c                    positions of the block against its entries
    kl sort   1 s_Bᵀ

and zero between blocks; for t = −x ranks change their sign, sorted values do not. At ε = 0 ranks are flat, and the
sorted values permute x.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from combdiff.soft._exp_kernels import exp_inplace
from combdiff.soft._pool_kernels import POISONED, RANK_KL, RANK_L2, SORT_KL

# Plain annotations: numba compiles these functions, a run-time type checker has no place in them.
Array = Any


@njit(nogil=True, cache=True, error_model="numpy")
def pull_back(
    first: int,
    last: int,
    kind: int,
    sign: int,
    x: Array,
    strength: Array,
    out: Array,
    block: Array,
    grad_out: Array,
    grad: Array,
) -> None:
    """Rows first..last−1 of the product of `grad_out` (rows, n) with the Jacobian of `_pool_kernels.project`.

    Args:
        kind, sign, x, strength: as there.
        out, block: what it wrote.
        grad: (rows, n), written.
    """
    n = x.shape[1]
    total, count = np.empty(n), np.empty(n)
    if kind == SORT_KL:
        peak, share, powers = np.empty(n), np.empty(n), np.empty(n, np.int64)
    else:
        peak, share, powers = total, total, np.empty(0, np.int64)
    for r in range(first, last):
        if n and block[r, 0] == POISONED:
            for i in range(n):
                grad[r, i] = np.nan
            continue
        eps = strength[r] if strength.size > 1 else strength[0]
        inv = 1.0 / eps if eps > 0 else 0.0
        for i in range(n):
            total[i] = count[i] = 0.0
        if kind in (RANK_L2, RANK_KL):
            by_rank = kind == RANK_KL and eps > 0
            for i in range(n):
                b = block[r, i]
                if b >= 0:
                    weight = np.float64(out[r, i]) if by_rank else 1.0
                    total[b] += weight * grad_out[r, i]
                    count[b] += weight
            for i in range(n):
                b = block[r, i]
                weight = sign * inv * out[r, i] if by_rank else sign * inv
                grad[r, i] = weight * (grad_out[r, i] - total[b] / count[b]) if b >= 0 else 0.0
            continue
        soft_kl = kind == SORT_KL and eps > 0
        for i in range(n):
            b = block[r, i]
            if b >= 0:
                if soft_kl and (count[b] == 0 or sign * x[r, i] > peak[b]):
                    peak[b] = sign * x[r, i]
                count[b] += 1
        begin = 0
        while begin < n:
            size = int(count[begin])
            mass = 0.0
            for p in range(begin, begin + size):
                mass += grad_out[r, p]
            total[begin] = mass
            begin += max(size, 1)
        if soft_kl:
            for i in range(n):
                b = block[r, i]
                share[i] = sign * x[r, i] - peak[b] if b >= 0 else 0.0
            exp_inplace(share, 0, n, powers)
            for i in range(n):
                count[i] = 0.0
            for i in range(n):
                b = block[r, i]
                if b >= 0:
                    count[b] += share[i]
        for i in range(n):
            b = block[r, i]
            weight = share[i] if soft_kl else 1.0
            grad[r, i] = weight * total[b] / count[b] if b >= 0 else 0.0
