"""The blocks of the projection in plain torch operations, for any device: no loop over entries, no copy to the host.

Pooling adjacent violators finds the upper convex hull of the points (Σ W, Σ S) cumulated along the walk; the edges of
the hull are the blocks. An edge that crosses the middle of a segment is its *bridge*. The bridges of all segments of
length 2, 4, 8, ... are found independently of each other, a whole level at a time; what lies strictly below any of them
is no corner of the hull, and the rest is. A bridge comes from a few tangent steps: the line through the current
two points is moved up until nothing on either side is above it; its height over the middle grows with each step.

Sums are taken from the middle outwards, in the logarithm for kl, so that only neighbours are compared. Sums of
exponentials still say nothing about the small ones far out, so the blocks of kl are checked against their own sums
afterwards, cut where they should not have been pooled, and pooled where they should: exact where the kernels are. Work
O(n log n) for each step, memory O(n).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from combdiff.soft.arguments import Mask, Values
from combdiff.soft.permutahedron.formula import evaluate, inverse, working
from combdiff.soft.permutahedron.kinds import HARD, HAS_NAN, RANK_KL, RANK_L2, SORT_KL

L2_STEPS, KL_STEPS = 200, 30  # a bridge takes three or four; blocks of kl are corrected afterwards
DIGITS = 1e-13  # heights that differ by less, relatively, are equal


def project_anywhere(
    x: Values, strength: Float[Tensor, "rows 1"] | Float[Tensor, "1 1"], mask: Mask, kind: int, sign: int
) -> tuple[Values, Int[Tensor, "rows n"]]:
    """What the kernels compute, on the device of x: the projection and the block of each entry."""
    rows, n = x.shape
    if rows == 0 or n == 0:
        return torch.empty_like(x), torch.empty(x.shape, dtype=torch.int32, device=x.device)
    t = working(sign * x)
    valid = torch.ones_like(t, dtype=torch.bool) if mask is None else mask
    order = torch.where(valid, t, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    if mask is not None:  # masked entries behind -inf
        order = order.gather(-1, mask.gather(-1, order).to(torch.uint8).argsort(dim=-1, descending=True, stable=True))
    walk = t.gather(-1, order)
    k = valid.sum(-1, keepdim=True)
    position = torch.arange(n, device=x.device).expand_as(t)
    soft = (position < k) & walk.isfinite()
    low = ((position < k) & (walk == torch.inf)).sum(-1, keepdim=True)
    high = low + soft.sum(-1, keepdim=True)

    corner = _corners(torch.where(soft, walk, 0.0), k, low, high, working(strength), kind)
    begin = torch.where(corner, position, -1).cummax(-1).values
    begin = torch.where(soft, begin, HARD)
    has_nan = (t.isnan() & valid).any(-1, keepdim=True)
    begin = torch.where(has_nan, HAS_NAN, begin)
    block = torch.empty_like(begin).scatter(-1, order, begin).to(torch.int32)

    if kind in (RANK_L2, RANK_KL):
        ends = torch.where(position < low, k - 0.5 * (low - 1), k - 0.5 * (high + k - 1))
        hard = torch.empty_like(t).scatter(-1, order, torch.where(position < k, ends, 0.0).to(t.dtype))
    else:
        hard = torch.where(position < k, sign * walk, 0.0)
    hard = torch.where(has_nan, torch.nan, hard).to(x.dtype)
    out = evaluate(x, strength, mask, kind, sign, hard, block)
    return torch.where(strength >= 0, out, torch.nan), block


def _corners(t: Tensor, k: Tensor, low: Tensor, high: Tensor, strength: Tensor, kind: int) -> Tensor:
    """Whether a block starts at each position of the walk; the walk is soft from low to high."""
    rows, n = t.shape
    position = torch.arange(n, device=t.device)
    covered = torch.zeros(rows, n + 2, dtype=torch.long, device=t.device)  # bin n + 1 is never read
    half = 1
    while half < n:
        middle = torch.arange(half, n, 2 * half, device=t.device)  # shape: (segments,)
        step = torch.arange(half, device=t.device)
        straddles = (middle > low) & (middle < high)
        sides = []
        for at in (middle[:, None] - 1 - step, middle[:, None] + step):  # positions, from the middle outwards
            allowed = straddles[..., None] & (at >= low[..., None]) & (at < high[..., None])
            near = at.clamp(max=n - 1)
            gap = t[:, near] - t[:, middle, None]  # shape: (rows, segments, half)
            away = (at - middle[:, None]).to(t.dtype)
            part = _sums_l2 if kind < RANK_KL else _sums_kl
            weight = (k[..., None] - at).clamp(min=1).to(t.dtype)
            sides.append((*part(gap, away, weight, strength[..., None], kind), allowed))
        a, b = _bridge(sides[0], sides[1], straddles, logarithmic=kind >= RANK_KL)
        wide = a + b > 1
        covered.scatter_add_(-1, torch.where(wide, middle - a + 1, n + 1), wide.long())
        covered.scatter_add_(-1, torch.where(wide, middle + b, n + 1), -wide.long())
        half *= 2
    corner = covered[:, :n].cumsum(-1) == 0
    if kind >= RANK_KL:
        corner = _corrected(corner, t, k, low, high, inverse(strength), kind)
    distinct = torch.ones_like(corner)
    if kind in (RANK_L2, RANK_KL):
        distinct[:, 1:] = t[:, 1:] != t[:, :-1]
    return torch.where(strength > 0, corner, distinct) | (position == low)


def _corrected(corner: Tensor, t: Tensor, k: Tensor, low: Tensor, high: Tensor, inv: Tensor, kind: int) -> Tensor:
    """The corners of kl from corners that may be wrong: by sums of each block alone."""
    n = t.shape[-1]
    position = torch.arange(n, device=t.device).expand_as(t)
    soft = (position >= low) & (position < high)
    corner = corner | (position == low) | (position == high) | ~soft
    begin = torch.where(corner, position, -1).cummax(-1).values

    def exponents(begin: Tensor) -> tuple[Tensor, Tensor]:
        """Of the two sums, relative to the head of each block."""
        gap, ahead = t - t.gather(-1, begin), (begin - position).to(t.dtype) * inv
        return (gap * inv, (k - position).clamp(min=1).to(t.dtype).log()) if kind == RANK_KL else (gap, ahead)

    # a block is wrong to pool its first entries with the rest where their values, as two blocks, are in order
    until = torch.where(corner, position, n).flip(-1).cummin(-1).values.flip(-1)  # where the next one starts, or this
    until = torch.cat([until[:, 1:], torch.full_like(until[:, :1], n)], -1)
    parts = exponents(begin)
    before = [_running(part, position - begin) for part in parts]
    after = [_running(part.flip(-1), (until - 1 - position).flip(-1)).flip(-1) for part in parts]
    excess = (before[0] - before[1])[:, :-1] - (after[0] - after[1])[:, 1:]
    wrong = (excess > DIGITS * n) if kind == RANK_KL else (excess < -DIGITS * n)
    corner = torch.cat([corner[:, :1], corner[:, 1:] | wrong], -1)

    for _ in range(n):
        begin = torch.where(corner, position, -1).cummax(-1).values
        sums = [torch.zeros_like(t).scatter_add(-1, begin, part.exp()).log() for part in exponents(begin)]
        head, level = t.gather(-1, begin), (sums[0] - sums[1]).gather(-1, begin)
        drop, fall = head[:, :-1] - head[:, 1:], level[:, :-1] - level[:, 1:]
        if kind == RANK_KL:
            pooled = drop * inv + fall <= 0
        else:
            pooled = drop + fall + (begin[:, :-1] - begin[:, 1:]).to(t.dtype) * inv >= 0
        pooled &= corner[:, 1:] & soft[:, 1:] & soft[:, :-1]
        if not bool(pooled.any()):
            break
        corner = torch.cat([corner[:, :1], corner[:, 1:] & ~pooled], -1)
    return corner & soft


def _running(exponents: Tensor, back: Tensor) -> Tensor:
    """log Σ exp over each entry and the `back` ones before it, by doubling."""
    total, step = exponents, 1
    while step < exponents.shape[-1]:
        earlier = torch.nn.functional.pad(total[:, :-step], (step, 0), value=-torch.inf)
        total = torch.where(back >= step, torch.logaddexp(total, earlier), total)
        step *= 2
    return total


def _sums_l2(gap: Tensor, away: Tensor, weight: Tensor, strength: Tensor, kind: int) -> tuple[Tensor, Tensor]:
    """(S, W) from the middle outwards: sums of t/ε − w, or of w/ε − t, times min(ε, 1); and numbers of entries."""
    fine = torch.where(strength > 1, 1.0 / strength, 1.0)
    coarse = strength.clamp(max=1.0)
    y = gap * fine + away * coarse if kind == RANK_L2 else -away * fine - gap * coarse
    return y.cumsum(-1), torch.ones_like(y).cumsum(-1)


def _sums_kl(gap: Tensor, away: Tensor, weight: Tensor, strength: Tensor, kind: int) -> tuple[Tensor, Tensor]:
    """(log S, log W) from the middle outwards: sums of exp(t/ε) and w, or of exp(w/ε) and exp(t)."""
    inv = inverse(strength)
    if kind == SORT_KL:
        return (-away * inv).expand_as(gap).logcumsumexp(-1), gap.logcumsumexp(-1)
    return (gap * inv).logcumsumexp(-1), weight.log().expand_as(gap).logcumsumexp(-1)


def _bridge(
    left: tuple[Tensor, Tensor, Tensor], right: tuple[Tensor, Tensor, Tensor], active: Tensor, logarithmic: bool
) -> tuple[Tensor, Tensor]:
    """How far the bridge reaches left and right of each middle; (0, 0) where the middle is a corner of its segment.

    A side is (S, W, allowed), or their logarithms. The bridge has the slope ΔS/ΔW; its ends are the points that lie
    furthest above a line of that slope through the middle.
    """

    def furthest(gain: Tensor, loss: Tensor, allowed: Tensor, reach: Tensor) -> Tensor:
        """The point with the largest gain − loss; the middle, where that is negative; the current one in a tie."""
        height = gain - loss
        if logarithmic:  # log(exp(gain) − exp(loss)), where it is one
            above = height > 0
            height = torch.where(above, gain + torch.log(-torch.expm1(torch.where(above, -height, -1.0))), -torch.inf)
        best = torch.where(allowed, height, -torch.inf).max(-1)
        now = [part.gather(-1, (reach - 1).clamp(min=0)[..., None])[..., 0] for part in (gain, loss, height)]
        ground = torch.full_like(now[2], -torch.inf if logarithmic else 0.0)
        current = torch.where(reach > 0, now[2], ground)
        if logarithmic:
            bar = torch.where(reach > 0, torch.logaddexp(current, now[0] + math.log(DIGITS)), ground)
            moves = (best.values > bar) | ((reach > 0) & (now[1] > now[0] + DIGITS))
        else:
            slack = torch.where(reach > 0, DIGITS * (now[0].abs() + now[1].abs()), 0.0)
            moves = torch.maximum(best.values, ground) > current + slack
        return torch.where(moves, torch.where(best.values > ground, best.indices + 1, 0), reach)

    def picked(sums: Tensor, reach: Tensor) -> Tensor:
        value = sums.gather(-1, (reach - 1).clamp(min=0)[..., None])[..., 0]
        return torch.where(reach > 0, value, -torch.inf if logarithmic else 0.0)

    def slope_of(a: Tensor, b: Tensor, before: Tensor) -> Tensor:
        rise = picked(left[0], a), picked(right[0], b)
        run = picked(left[1], a), picked(right[1], b)
        if logarithmic:
            slope = torch.logaddexp(*rise) - torch.logaddexp(*run)
        else:
            slope = (rise[0] + rise[1]) / (run[0] + run[1]).clamp(min=1)
        return torch.where(a + b > 0, slope, before)

    a, b = active.long(), active.long()
    slope = slope_of(a, b, torch.zeros(a.shape, dtype=left[0].dtype, device=a.device))
    for _ in range(KL_STEPS if logarithmic else L2_STEPS):
        line = slope[..., None]
        line_left, line_right = (line + left[1], line + right[1]) if logarithmic else (line * left[1], line * right[1])
        nearer = furthest(line_left, left[0], left[2], a), furthest(right[0], line_right, right[2], b)
        if bool(((nearer[0] == a) & (nearer[1] == b)).all()):
            break
        a, b = nearer
        slope = slope_of(a, b, slope)
    return a, b
