"""The vector–Jacobian product of the projection onto the permutahedron with respect to x, in one compiled pass.

Within a block B (c entries, softmax s_B of t, or t/ε, over the block) the Jacobians are

    l2 rank   (I − 11ᵀ/c) / ε          symmetric: neither the order nor x is needed
    kl rank   (diag r − r rᵀ/Σr) / ε   r: the ranks themselves
    l2 sort   11ᵀ/c                    positions of the block against its entries
    kl sort   1 s_Bᵀ

and zero between blocks; for t = −x ranks change their sign, sorted values do not. At ε = 0 ranks are flat, and the
sorted values permute x.
"""

from typing import Any

import numpy as np

from combdiff.soft.permutahedron.exp_kernels import exp_inplace
from combdiff.soft.permutahedron.kinds import HAS_NAN, RANK_KL, RANK_L2, SORT_KL
from combdiff.soft.permutahedron.windows_kernels import rows_of_tile
from combdiff_solvers.compute.kernels import Array, kernel


@kernel(counted=False, inline="always")
def _fill_nan(r: int, block: Array, grad: Array) -> bool:
    """Whether row r holds a NaN; if so, its gradient is written."""
    n = block.shape[1]
    if n == 0 or block[r, 0] != HAS_NAN:
        return False
    for i in range(n):
        grad[r, i] = np.nan
    return True


@kernel(counted=False, error_model="numpy")
def _rank_rows(
    first: int, last: int, kl: bool, sign: int, strength: Array, out: Array, block: Array, grads: Any, sums: Any
) -> None:
    grad_out, grad = grads
    total, count = sums
    n = out.shape[1]
    for r in range(first, last):
        if _fill_nan(r, block, grad):
            continue
        eps = strength[r] if strength.size > 1 else strength[0]
        slope = sign / eps if eps > 0 else 0.0
        by_rank = kl and eps > 0
        for p in range(n):
            total[p] = count[p] = 0.0
        for i in range(n):
            b = block[r, i]
            if b >= 0:
                weight = np.float64(out[r, i]) if by_rank else 1.0
                total[b] += weight * grad_out[r, i]
                count[b] += weight
        for p in range(n):
            total[p] /= count[p]
        for i in range(n):
            b = block[r, i]
            weight = slope * out[r, i] if by_rank else slope
            grad[r, i] = weight * (grad_out[r, i] - total[b]) if b >= 0 else 0.0


@kernel(counted=False, error_model="numpy")
def _sort_rows(
    first: int, last: int, kl: bool, sign: int, x: Array, block: Array, grads: Any, sums: Any, tile: Any
) -> None:
    grad_out, grad = grads
    total, count = sums
    rows, share, powers = tile
    n = x.shape[1]
    for top in range(first, last, rows):
        rows = min(rows, last - top)
        if kl:  # share[j n + i] = t_i minus the largest t of its block; 0 for what is in none
            for j in range(rows):
                for p in range(n):
                    total[p] = -np.inf
                for i in range(n):
                    b = block[top + j, i]
                    if b >= 0:
                        total[b] = max(total[b], np.float64(sign * x[top + j, i]))
                for i in range(n):
                    b = block[top + j, i]
                    share[j * n + i] = sign * x[top + j, i] - total[b] if b >= 0 else 0.0
            exp_inplace(share, 0, rows * n, powers)
        for j in range(rows):
            r, base = top + j, j * n
            if _fill_nan(r, block, grad):
                continue
            for p in range(n):
                total[p] = count[p] = 0.0
            low, soft = n, 0
            for i in range(n):
                b = block[r, i]
                if b >= 0:
                    count[b] += share[base + i]
                    low = min(low, b)
                    soft += 1
            b = low
            for p in range(low, low + soft):  # the positions that blocks cover
                b = p if count[p] > 0 else b
                total[b] += grad_out[r, p]
            for p in range(n):
                total[p] /= count[p]
            for i in range(n):
                b = block[r, i]
                grad[r, i] = share[base + i] * total[b] if b >= 0 else 0.0


@kernel()
def pull_back(
    first: int, last: int, kind: int, sign: int, x: Array, strength: Array, out: Array, block: Array, grad_out: Array,
    grad: Array,
) -> None:  # fmt: skip
    """Rows first..last−1 of the product of `grad_out` (rows, n) with the Jacobian of a projection.

    Args:
        kind, sign, x, strength: as in `project_l2` and `project_kl`.
        out, block: what they wrote.
        grad: (rows, n), written.
    """
    n, kl = x.shape[1], kind in (RANK_KL, SORT_KL)
    sums = np.empty(n), np.empty(n)
    if kind in (RANK_L2, RANK_KL):
        _rank_rows(first, last, kl, sign, strength, out, block, (grad_out, grad), sums)
    else:
        rows = rows_of_tile(last - first, n)
        tile = rows, np.ones(rows * n), np.empty(rows * n if kl else 0, np.int64)
        _sort_rows(first, last, kl, sign, x, block, (grad_out, grad), sums, tile)
