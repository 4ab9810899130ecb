"""Soft ranks, sorted values and top-k masks from sums of Laplace distribution functions, in O(n log n).

With F(u) = ½ exp(u) for u ≤ 0 and 1 − ½ exp(−u) for u > 0, the number of values up to a level b is softened to

    N(b) = Σ_i F((b − x_i) / ε)

and b_c is the level with N(b_c) = c. Then rank_i = N(x_i) + ½; entry j has the share F((b_i − x_j)/ε) −
F((b_{i−1} − x_j)/ε) of position i (a doubly stochastic matrix, formed by `lapsum_matrix` alone), and
F((x_i − b_{n−k})/ε) of a place among the k largest. Between two neighbouring values N is a sum of two exponentials, so
levels have a closed form once the values are sorted. Torch operations throughout, in float64: smooth in x and ε, all
transforms and derivatives; masks and their first gradients have a compiled kernel beside them (see `top_kernels`).

The sort is not the one of the paper's own package: that one returns the levels b_{i−½} themselves, which leave the
range of the values as ε grows, and do not sum to what the values sum to. Here position i is the mean of the values
under its row of the matrix, so results stay between the smallest and the largest value, keep the sum, and tend to the
mean. Top-k masks are the same.

Source: Struski, Bednarczyk, Podolak & Tabor (2025), "LapSum: one method to differentiate them all".
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from combdiff.soft.arguments import Eps, Mask, Matrices, Values, strength_tensor
from combdiff.soft.ends import without_ends
from combdiff.soft.permutahedron.formula import exponent

_FAR = 800.0  # exp(-_FAR) is 0 in float64
_NONE = -1e4  # logarithm of an empty sum; a number, so that derivatives stay finite


class _Walk(NamedTuple):
    """The values of each row in ascending order, masked ones last; one entry an entry of the row unless noted."""

    eps: Float[Tensor, "rows 1"] | Float[Tensor, "1 1"]
    order: Int[Tensor, "rows n"]
    counts: Bool[Tensor, "rows n"]
    values: Values
    step: Values  # (x_j − x_{j−1}) / ε, at most _FAR: values further apart know nothing of each other
    u: Values  # their cumulative sum

    def sums(self, weights: Values | None = None) -> tuple[Tensor, Tensor]:
        """Σ_{i ≤ j} w_i exp((x_i − x_j)/ε) and Σ_{i ≥ j} w_i exp((x_j − x_i)/ε) over what counts; else 1."""
        w = self.counts.to(self.u.dtype) if weights is None else torch.where(self.counts, weights, 0.0)
        below = _decaying_sums(w, self.u)
        above = _decaying_sums(w.flip(-1), -self.u.flip(-1)).flip(-1)
        return torch.where(self.counts, below, 1.0), torch.where(self.counts, above, 1.0)


def _decaying_sums(w: Tensor, u: Tensor) -> Tensor:
    """Σ_{i ≤ j} w_i exp(u_i − u_j) for non-decreasing u, by doubling: no exponent is positive."""
    span = 1
    while span < w.shape[-1]:
        decay = torch.exp(u[..., :-span] - u[..., span:])
        w = w + torch.nn.functional.pad(decay * w[..., :-span], (span, 0))
        span *= 2
    return w


def _walk(x: Tensor, strength: Eps, mask: Tensor | None) -> _Walk:
    x = x.double()
    eps = strength_tensor(strength, x).clamp(1e-100, 1e100)
    valid = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
    order = torch.where(valid, x.detach(), torch.inf).argsort(dim=-1, stable=True)
    counts = valid.gather(-1, order)
    values = torch.where(valid, x, 0.0).gather(-1, order)
    step = exponent(torch.where(counts[..., 1:], values[..., 1:] - values[..., :-1], 0.0), eps, _FAR)
    step = torch.cat([torch.zeros_like(x[..., :1]), step], -1)
    return _Walk(eps, order, counts, values, step, step.cumsum(-1))


def _counted(walk: _Walk, below: Tensor, above: Tensor) -> Tensor:
    """N at each value, given the sums of the walk; infinite for masked ones."""
    place = torch.arange(1, walk.u.shape[-1] + 1, device=walk.u.device)
    count = place - 0.5 * below + 0.5 * (above - 1.0)
    return torch.where(walk.counts, count + 0.0 * walk.u, torch.inf)  # of one value the count has no gradient else


def _levels(walk: _Walk, targets: Float[Tensor, "rows m"]) -> tuple[Tensor, Tensor]:
    """Where N reaches each target strictly between 0 and the number of values: (j, δ).

    The level is x_j + δ ε, between the values x_j and x_{j+1} counted from 1; for j = 0 it is x_1 + δ ε.
    """
    n = walk.u.shape[-1]
    below, above = walk.sums()
    counted = _counted(walk, below.detach(), above.detach()).detach()
    j = torch.searchsorted(counted.contiguous(), targets.contiguous(), right=True)
    at, after = (j - 1).clamp(min=0), j.clamp(max=n - 1)
    last = walk.counts.sum(-1, keepdim=True)
    log_a = torch.where(j > 0, below.gather(-1, at).log(), _NONE)
    gap = torch.where(j > 0, walk.step.gather(-1, after), 0.0)
    log_b = torch.where(j < last, above.gather(-1, after).log() - gap, _NONE)
    # N = j − ½ A τ + ½ B / τ with τ = exp(−δ): a quadratic equation, solved in logarithms
    q = targets - j
    log_q = q.abs().clamp(min=1e-300).log()
    root = 0.5 * _logaddexp(2.0 * log_q, log_a + log_b)
    both = _logaddexp(root, log_q)
    log_tau = torch.where(q > 0, torch.where(q > 0, log_b, 0.0) - both, both - torch.where(q > 0, 0.0, log_a))
    return j, -log_tau


def _logaddexp(a: Tensor, b: Tensor) -> Tensor:
    """log(exp a + exp b), with second derivatives where one is far below the other."""
    return torch.maximum(a, b) + torch.log1p(torch.exp(-(a - b).abs()))


def lapsum_ranks(x: Values, strength: Eps, mask: Mask, descending: bool) -> Values:
    """Ranks N(x_i) + ½ of each row; arguments as of `soft_rank`, in rows."""
    x, mask, ends = without_ends(x, mask, descending)
    walk = _walk(-x if descending else x, strength, mask)
    ranks = torch.where(walk.counts, _counted(walk, *walk.sums()) + 0.5, 0.0)
    ranks = torch.zeros_like(ranks).scatter(-1, walk.order, ranks).to(x.dtype)
    return ranks if ends is None else ends.place_ranks(ranks)


def lapsum_sorted(x: Values, strength: Eps, mask: Mask, descending: bool) -> Values:
    """Sorted values, shares of the positions times values; arguments as of `soft_sort`, in rows."""
    rows, n = x.shape
    if rows * n == 0:
        return x.clone()
    x, mask, ends = without_ends(x, mask, descending)
    walk = _walk(-x if descending else x, strength, mask)
    size = walk.counts.sum(-1, keepdim=True)
    place = torch.arange(1, n + 1, device=x.device, dtype=torch.float64)
    inner = place < size
    j, delta = _levels(walk, torch.where(inner, place, 0.5))
    # a position shares values without a gap of _FAR ε only; they are summed in units of ε from the first of them, so
    # that neither an offset nor an outlier costs the others their digits (the origin cancels: shares sum to 1)
    fixed = walk.u.detach()
    origin = torch.where(walk.step >= _FAR, fixed, 0.0).cummax(-1).values
    weights = torch.where(walk.counts, walk.u - origin, 0.0)
    below, above = walk.sums(weights)
    total = weights.cumsum(-1)
    at, after = (j - 1).clamp(min=0), j.clamp(max=n - 1)
    gap = torch.where(j > 0, walk.step.gather(-1, after), 0.0)
    # (where a level lies below x_1, δ is negative and nothing is below it; elsewhere 0 ≤ δ ≤ gap)
    part = torch.where(j > 0, total.gather(-1, at) - 0.5 * below.gather(-1, at) * torch.exp(-delta), 0.0)
    part = part + torch.where(j < size, 0.5 * above.gather(-1, after) * torch.exp(delta - gap), 0.0)
    part = torch.where(inner, part, total[..., -1:])
    mean = part.diff(dim=-1, prepend=torch.zeros_like(part[..., :1]))
    ordered = walk.values + (mean - weights) * walk.eps
    ordered = torch.where(place <= size, -ordered if descending else ordered, 0.0).to(x.dtype)
    return ordered if ends is None else ends.place_values(ordered, descending)


def lapsum_matrix(x: Values, eps: Tensor, mask: Mask) -> Matrices:
    """The doubly stochastic matrix of shares F((b_i − x_j)/ε) − F((b_{i−1} − x_j)/ε).

    >>> lapsum_matrix(torch.tensor([[2.0, 1.0]]), torch.tensor([[1.0]]), None)
    tensor([[[0.3033, 0.6967],
             [0.6967, 0.3033]]])
    """
    walk = _walk(x, eps, mask)
    place = torch.arange(1, x.shape[-1] + 1, device=x.device, dtype=torch.float64)
    inner = place < walk.counts.sum(-1, keepdim=True)
    j, delta = _levels(walk, torch.where(inner, place, 0.5))
    level = walk.u.gather(-1, (j - 1).clamp(min=0)) + delta
    below = torch.where(inner[..., None], _laplace(level[..., :, None] - walk.u[..., None, :]), 1.0)
    share = below.diff(dim=-2, prepend=torch.zeros_like(below[..., :1, :]))
    order = walk.order[..., None, :].expand_as(share)
    return torch.zeros_like(share).scatter(-1, order, share).to(x.dtype)


def lapsum_top(x: Values, k: int | Tensor, strength: Eps, mask: Mask) -> Values:
    """The share of each entry in a place among the k largest; arguments as of `soft_topk`, in rows.

    k may be a float64 tensor (rows, 1) or (1, 1), too.
    """
    x, mask, ends = without_ends(x, mask, descending=True)
    left: Tensor | int = k if ends is None else ends.left(k)
    walk = _walk(x, strength, mask)
    size = walk.counts.sum(-1, keepdim=True).double()
    is_soft = (size > left) & (left > 0)
    j, delta = _levels(walk, torch.where(is_soft, size - left, 0.5))
    level = walk.u.gather(-1, (j - 1).clamp(min=0)) + delta
    if isinstance(k, Tensor):
        level = _differentiable_level(walk, level, torch.where(is_soft, left, 0.5))
    share = torch.where(is_soft, _laplace(walk.u - level), (size <= left).to(level.dtype))
    share = torch.where(walk.counts, share, 0.0)
    share = torch.zeros_like(share).scatter(-1, walk.order, share).to(x.dtype)
    share = share if ends is None else ends.place_shares(share, k).to(x.dtype)
    return torch.where(k.isnan(), torch.nan, share) if isinstance(k, Tensor) else share


def lapsum_log_top(x: Values, k: int | Tensor, strength: Eps, mask: Mask) -> Values:
    """The logarithm of `lapsum_top`, from distances that are not cut off."""
    counted = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
    x, mask, ends = without_ends(x, mask, descending=True)
    left: Tensor | int = k if ends is None else ends.left(k)
    walk = _walk(x, strength, mask)
    size = walk.counts.sum(-1, keepdim=True).double()
    is_soft = (size > left) & (left > 0)
    targets = torch.where(is_soft, size - left, 0.5)
    j, delta = _levels(walk, targets)
    at, after = (j - 1).clamp(min=0), j.clamp(max=x.shape[-1] - 1)
    if isinstance(k, Tensor):
        level = walk.u.gather(-1, at) + delta
        delta = _differentiable_level(walk, level, torch.where(is_soft, left, 0.5)) - walk.u.gather(-1, at)
    base = walk.values.gather(-1, at)
    # a gap that `_walk` cut short: the level is in its middle, or near one end of it if k is a fraction
    cut = (walk.values.gather(-1, after) - base) / walk.eps - walk.step.gather(-1, after)
    share_of_cut = 0.5 + 0.5 * (targets - j).sign()
    delta = delta + torch.where((j > 0) & (walk.step.gather(-1, after) >= _FAR), share_of_cut * cut, 0.0)
    v = (walk.values - base) / walk.eps - delta
    inside = -math.log(2.0) + torch.where(v > 0, 0.0, v)
    logs = torch.where(v > 0, torch.log1p(-0.5 * torch.exp(-torch.where(v > 0, v, 0.0))), inside)
    logs = torch.where(is_soft, logs, torch.where(size <= left, 0.0, -torch.inf))
    logs = torch.zeros_like(logs).scatter(-1, walk.order, logs).to(x.dtype)
    if ends is not None:
        hard = ends.place_shares(torch.zeros_like(logs), k.detach() if isinstance(k, Tensor) else k).to(x.dtype)
        logs = torch.where(ends.first | ends.last | ends.has_nan, hard.log(), logs)
    logs = torch.where(counted, logs, -torch.inf)
    return torch.where(k.isnan(), torch.nan, logs) if isinstance(k, Tensor) else logs


def _laplace(v: Tensor) -> Tensor:
    """F(v), without a NaN in any derivative."""
    low = 0.5 * torch.exp(torch.where(v > 0, 0.0, v).clamp(min=-_FAR))
    high = 1.0 - 0.5 * torch.exp(-torch.where(v > 0, v, 0.0).clamp(max=_FAR))
    return torch.where(v > 0, high, low)


def _differentiable_level(walk: _Walk, level: Tensor, k: Tensor) -> Tensor:
    """The level above which there are k entries, as a function of k, too.

    The closed form has the logarithm of k − j, whose derivative is lost where k = j. So its value is taken as a
    constant, with the derivatives of two Newton steps of Σ_i F(u_i − level) = k: these make the second ones exact.
    """
    level = level.detach()
    for _ in range(2):
        v = walk.u - level
        slope = torch.where(walk.counts, 0.5 * torch.exp(-v.abs().clamp(max=_FAR)), 0.0).sum(-1, keepdim=True)
        surplus = torch.where(walk.counts, _laplace(v), 0.0).sum(-1, keepdim=True) - k
        is_flat = slope < 1e-280
        step = torch.where(is_flat, 0.0, surplus) / torch.where(is_flat, 1.0, slope)
        level = level + step - step.detach()
    return level
