"""Top-k masks in one compiled pass: sort, find the threshold, evaluate, scatter.

Each mask is φ(x/ε − τ) with the τ for which it sums to k. So its Jacobian is (diag(w) − w wᵀ / Σ w) / ε with
w = φ'(x/ε − τ), and w is written beside the mask.
"""

import math
from typing import Any

import numpy as np

from combdiff.soft.permutahedron.argsort_kernels import sort_row, sorting_scratch
from combdiff.soft.permutahedron.kinds import HAS_NAN, TOP_KL, TOP_L2
from combdiff.soft.permutahedron.walk_kernels import walk
from combdiff_solvers.compute.kernels import Array, kernel

FAR = 800.0  # values whose gap is that many ε have no share in each other's place


@kernel(counted=False, error_model="numpy")
def _clip(t: Array, low: int, m: int, k: int, eps: float, share: Array, w: Array) -> None:
    """φ = clip(·, 0, 1) of the m values t[low:], in descending order, 0 < k < m; into share[:m] and w[:m].

    τ is searched downwards; `ones` values are at τ + 1 or above, `part` values above τ; it is counted from the k-th
    value, so that it ends between −1 and 0.
    """
    kth = t[low + k - 1]
    ones, part, total = 0, 0, 0.0
    if (t[low + k] - kth) / eps <= -1.0:
        ones = part = k
    while True:
        leaves = min((t[low + ones] - kth) / eps, 2.0) - 1.0 if ones < part else -np.inf
        enters = min((t[low + part] - kth) / eps, 2.0) if part < m else -np.inf
        if (part > ones and total - (k - ones) >= max(leaves, enters) * (part - ones)) or ones == k:
            break
        if leaves >= enters:
            total -= leaves + 1.0
            ones += 1
        else:
            total += enters
            part += 1
    total = 0.0
    for p in range(ones, part):
        total += (t[low + p] - t[low + ones]) / eps
    level = (total - (k - ones)) / max(part - ones, 1)
    for p in range(m):
        inside = ones <= p < part
        w[p] = 1.0 if inside else 0.0
        share[p] = (
            min(max((t[low + p] - t[low + ones]) / eps - level, 0.0), 1.0) if inside else 1.0 if p < ones else 0.0
        )


@kernel(counted=False, error_model="numpy")
def _exp(t: Array, low: int, m: int, k: int, eps: float, decay: Array, share: Array, w: Array) -> None:
    """φ = min(exp, 1); as `_clip`. The fewest ones for which the others share what is left without one above 1."""
    ones, mass, rest = 0, 1.0, 1.0
    for p in range(m - 2, -1, -1):
        decay[p] = math.exp((t[low + p + 1] - t[low + p]) / eps)
        rest = 1.0 + decay[p] * rest  # Σ exp((t_q − t_p)/ε) over q ≥ p
        if p < k and k - p <= rest * (1.0 + 1e-12):
            ones, mass = p, rest
    part = (k - ones) / mass
    for p in range(m):
        share[p] = 1.0 if p < ones else min(part, 1.0)
        w[p] = 0.0 if p < ones else part
        if ones <= p < m - 1:
            part *= decay[p]


@kernel(counted=False, error_model="numpy")
def _laplace(t: Array, low: int, m: int, k: int, eps: float, decay: Array, share: Array, w: Array) -> None:
    """φ(u) = ½ exp(u) for u ≤ 0 and 1 − ½ exp(−u) above; as `_clip`. See `lapsum` for the sums."""
    share[m - 1] = 1.0  # for a while: Σ exp((t_q − t_p)/ε) over q ≥ p
    for p in range(m - 2, -1, -1):
        decay[p] = math.exp(max((t[low + p + 1] - t[low + p]) / eps, -FAR))
        share[p] = 1.0 + decay[p] * share[p + 1]
    above, at = 0.0, 0  # Σ exp((t_p − t_q)/ε) over q ≤ p; the first value that the level does not exceed
    while at < m:
        here = 1.0 + (decay[at - 1] * above if at > 0 else 0.0)
        if at + 0.5 - 0.5 * here + 0.5 * share[at] >= k:
            break
        above = here
        at += 1
    # with `at` values above the level: at − w_above + w_below = k, and w_above w_below = ¼ above below exp(−gap)
    q = float(k - at)
    above, below = 0.5 * above, 0.5 * share[at] if at < m else 0.0
    near = decay[at - 1] if 0 < at < m else 0.0
    root = math.sqrt(q * q + 4.0 * above * below * near)
    if q > 0.0:
        level = (q + root) / (2.0 * below)
        w_below, w_above = 0.5 * level, 0.5 * near / level
    elif q < 0.0:
        level = (root - q) / (2.0 * above)
        w_below, w_above = 0.5 * near / level, 0.5 * level
    else:
        half = math.exp(0.5 * max((t[low + at] - t[low + at - 1]) / eps, -FAR))
        w_below, w_above = 0.5 * half * math.sqrt(above / below), 0.5 * half * math.sqrt(below / above)
    for p in range(at, m):
        share[p] = w[p] = w_below
        if p < m - 1:
            w_below *= decay[p]
    for p in range(at - 1, -1, -1):
        w[p] = w_above
        share[p] = 1.0 - w_above
        if p > 0:
            w_above *= decay[p - 1]


@kernel(counted=False, error_model="numpy")
def _rows(
    first: int, last: int, kind: int, k: int, data: Any, out: Array, weight: Array, sorting: Any, scratch: Any
) -> None:
    """`share_top` with its scratch: of `sorting_scratch`; and t, decay, share and w (n,)."""
    x, bits, mask, strength = data
    t, decay, share, w = scratch
    order, unsorted, n = sorting[0], sorting[1], x.shape[1]
    for r in range(first, last):
        eps = max(strength[r] if strength.size > 1 else strength[0], 1e-100)
        o = 0 if unsorted else r
        if unsorted:
            sort_row(r, o, x, bits, mask, True, sorting)
        low, high, end = walk(r, 1, x, mask, o, order, 0, t)
        if end == HAS_NAN:
            for i in range(n):
                out[r, i], weight[r, i] = np.nan, 0.0
            continue
        m, left = high - low, k - low
        if 0 < left < m:
            if kind == TOP_L2:
                _clip(t, low, m, left, eps, share, w)
            elif kind == TOP_KL:
                _exp(t, low, m, left, eps, decay, share, w)
            else:
                _laplace(t, low, m, left, eps, decay, share, w)
        for p in range(n):
            i = order[o, p]
            value = slope = 0.0
            if p < low:
                value = min(k / low, 1.0)
            elif p < high:
                if 0 < left < m:
                    value, slope = share[p - low], w[p - low]
                else:
                    value = 1.0 if left > 0 else 0.0
            elif p < end:
                value = min(max((k - high) / (end - high), 0.0), 1.0)
            out[r, i], weight[r, i] = value, slope


@kernel()
def share_top(
    first: int, last: int, kind: int, k: int, x: Array, bits: Array, mask: Array, strength: Array, order: Array,
    out: Array, weight: Array,
) -> None:  # fmt: skip
    """The top-k masks of the rows first..last−1.

    Args:
        kind: TOP_L2, TOP_KL or TOP_LAPLACE.
        k: number of places.
        x, bits, mask, strength, order: as of `project_l2`, in descending order.
        out: (rows, n), written: the mask.
        weight: (rows, n) float64, written: w.
    """
    n = x.shape[1]
    scratch = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    sorting = sorting_scratch(bits.itemsize == 8, order, min(1, last - first), n)
    _rows(first, last, kind, k, (x, bits, mask, strength), out, weight, sorting, scratch)
