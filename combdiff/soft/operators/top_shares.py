"""Top-k masks of rows, as one differentiable torch operation.

On CPU tensors a compiled kernel finds the mask and its slopes, which are all that the first gradients need. Inside
transforms and `torch.compile`, on other devices and for second derivatives the same is made of torch operations.
"""

from __future__ import annotations

import torch
from torch import Tensor

from combdiff.soft.arguments import Eps, Mask, Values, strength_tensor
from combdiff.soft.ends import without_ends
from combdiff.soft.permutahedron import compiled
from combdiff.soft.permutahedron.formula import exponent, inverse, working
from combdiff.soft.permutahedron.kinds import TOP_KL, TOP_LAPLACE
from combdiff.soft.permutahedron.project import Gradients, by_formula, by_kernel
from combdiff.soft.relaxations.lapsum import lapsum_top
from combdiff.soft.transforms import concrete


def top_shares(x: Values, k: int, strength: Eps, mask: Mask, kind: int) -> Values:
    """The share of each entry in a place among the k largest.

    Args:
        x, strength, mask: as of `projected`.
        k: number of places.
        kind: TOP_L2, TOP_KL or TOP_LAPLACE of `kinds`.
    """
    if k == 0 or x.numel() == 0:
        return torch.where(torch.zeros_like(x, dtype=torch.bool), x, 0.0)
    if not (concrete(x) and compiled.serves(x)):
        return _by_torch(x, k, strength, mask, kind)
    return by_kernel(x, strength, mask, kind, k, _gradients)


def _gradients(
    x: Tensor,
    strength: Eps,
    mask: Tensor | None,
    kind: int,
    k: int,
    out: Tensor,
    weight: Tensor,
    grad_out: Tensor,
    wanted: tuple[bool, bool],
) -> Gradients:
    """Gradients with respect to x and ε from the slopes; those that are differentiable again by torch operations."""
    if torch.is_grad_enabled():
        return by_formula(lambda x, eps: _by_torch(x, k, eps, mask, kind), x, strength, grad_out, wanted)
    inv = inverse(strength_tensor(strength, weight)).clamp(max=1e100)  # 0 for ε = 0
    total = weight.sum(-1, keepdim=True)
    total = torch.where(total > 0, total, 1.0)
    grad = weight * inv * (grad_out - (weight * grad_out).sum(-1, keepdim=True) / total)
    of_eps = None
    if wanted[1] and isinstance(strength, Tensor):  # the mask is the same for c x and c ε, and for x + c
        wide = torch.where(weight > 0, x.double(), 0.0)
        away = torch.where(weight > 0, wide - (weight * wide).sum(-1, keepdim=True) / total, 0.0)
        of_eps = (-(grad * away).sum(-1, keepdim=True) * inv).sum_to_size(strength.shape).to(strength)
    return grad.to(x.dtype), of_eps


def _by_torch(x: Tensor, k: int, strength: Eps, mask: Tensor | None, kind: int) -> Tensor:
    if kind == TOP_LAPLACE:
        return lapsum_top(x, k, strength, mask)
    return project_top(x, k, strength, mask, kl=kind == TOP_KL)


def project_top(x: Values, k: int, strength: Eps, mask: Mask, kl: bool) -> Values:
    """The projection of x/ε onto {m : 0 ≤ m ≤ 1, Σ m = k}, row by row.

    The entries that are 1 and 0 are found by sorting, as constants; given them, τ is a smooth formula.
    """
    n = x.shape[-1]
    x, mask, ends = without_ends(x, mask, descending=True)
    left = torch.full_like(x[..., :1], k, dtype=torch.long) if ends is None else ends.left(k)
    valid = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
    z = working(x)
    eps = strength_tensor(strength, z)
    soft, has_nan, eps = eps > 0, eps.isnan(), eps.clamp(min=1e-100)
    size = valid.sum(-1, keepdim=True)

    fixed = torch.where(valid, z, -torch.inf).detach()
    order = fixed.argsort(dim=-1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter(-1, order, torch.arange(n, device=x.device).expand_as(order))
    ordered = fixed.gather(-1, order)
    kth = ordered.gather(-1, (torch.minimum(left, size) - 1).clamp(min=0))
    away = torch.nan_to_num((ordered - kth) / eps.detach())  # from the k-th, in descending order
    ones, positive = _split_kl(away, left) if kl else _split_l2(away, left)
    at_one = valid & ((rank < ones) | (left >= size)) & (left > 0)
    inside = valid & ~at_one & (rank < positive) & (left > 0)

    missing = left - at_one.sum(-1, keepdim=True)
    peak = torch.where(inside, fixed, -torch.inf).amax(-1, keepdim=True)
    gap = torch.where(inside, z - torch.where(peak.isfinite(), peak, 0.0), 0.0)
    gap = exponent(torch.where(soft, gap, gap.detach()), eps)  # at ε = 0 equal values share, and nothing has a slope
    if kl:
        weight = torch.where(inside, gap.exp(), 0.0)
        total = weight.sum(-1, keepdim=True)
        share = missing * weight / torch.where(total > 0, total, 1.0)
    else:
        share = gap - (gap.sum(-1, keepdim=True) - missing) / inside.sum(-1, keepdim=True).clamp(min=1)
    share = torch.where(at_one, 1.0, torch.where(inside, share, 0.0))
    share = torch.where(has_nan, torch.nan, share).to(x.dtype)
    return share if ends is None else ends.place_shares(share, k)


def _split_l2(away: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """How many entries are 1, and how many are not 0; `away` is (x_(i) − x_(k))/ε in descending order.

    The threshold θ, in the same units, lies in [−1, 0); Σ clip(away − θ, 0, 1) is evaluated wherever it bends.
    """
    d = away.clamp(-2.0, 2.0)
    rising = d.flip(-1).contiguous()
    n = d.shape[-1]
    totals = torch.nn.functional.pad(d.cumsum(-1), (1, 0))
    bends = torch.cat([d, d - 1.0], -1).clamp(-1.0, 0.0).sort(-1, descending=True).values
    full = n - torch.searchsorted(rising, bends + 1.0)  # entries at or above θ + 1
    part = n - torch.searchsorted(rising, bends, right=True)  # entries above θ
    part = torch.maximum(part, full)
    mass = full + totals.gather(-1, part) - totals.gather(-1, full) - bends * (part - full)
    reached = (mass < k - 1e-12).sum(-1, keepdim=True).clamp(1, bends.shape[-1] - 1)
    middle = 0.5 * (bends.gather(-1, reached) + bends.gather(-1, reached - 1))
    ones, positive = (d >= middle + 1.0).sum(-1, keepdim=True), (d > middle).sum(-1, keepdim=True)
    # where the next value is ε away, all k are 1 and stay so, also where some of them are equal
    exact = (k < n) & (d.gather(-1, k.clamp(max=n - 1)) <= -1.0)
    return torch.where(exact, k, ones), torch.where(exact, k, positive)


def _split_kl(away: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """As `_split_l2`: the fewest ones for which the others share what is left without one exceeding 1."""
    # entries further above the k-th are 1; beside larger numbers the logarithms of counts below would be lost
    away = away.clamp(max=50.0)
    rest = away.flip(-1).logcumsumexp(-1).flip(-1)
    left = k - torch.arange(away.shape[-1], device=away.device)
    fits = (left > 0) & (left.clamp(min=1).to(away.dtype).log() + away <= rest + 1e-12)
    ones = torch.where(fits.any(-1, keepdim=True), fits.to(torch.uint8).argmax(-1, keepdim=True), k - 1)
    return ones, torch.full_like(ones, away.shape[-1])
