"""Soft top-k: which values are among the k largest, and what they are."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft._arguments import (
    Strength,
    check_choice,
    check_mask,
    check_values,
    computing,
    from_rows,
    mask_rows,
    strength_rows,
    strength_tensor,
    to_rows,
)
from combdiff.soft._formula import working
from combdiff.soft._kinds import SORT_KL, SORT_L2
from combdiff.soft._project import projected
from combdiff.soft.lapsum import lapsum_sorted, lapsum_top
from combdiff.soft.permutation import MATRICES, matrix_of

TOPK_METHODS = ("pav", "lapsum", *MATRICES)


class TopK(NamedTuple):
    """What `soft_topk` returns."""

    values: Tensor
    mask: Tensor


def soft_topk(
    values: Float[Tensor, "*dims"],
    k: int,
    regularization: str = "l2",
    regularization_strength: Strength = 1.0,
    *,
    dim: int = -1,
    largest: bool = True,
    mask: Bool[Tensor, "*#dims"] | None = None,
    method: str = "pav",
) -> TopK:
    """The k largest values, softly, and a mask in [0, 1] that sums to k and says how much each value is one of them.

    With K = {m : 0 ≤ m ≤ 1, Σ m = k}, the permutahedron of (1, ..., 1, 0, ..., 0),

        l2:  m = argmin over K of ½ ‖m − x/ε‖² = clip(x/ε − τ, 0, 1)
        kl:  m = argmin over K of KL(m, exp(x/ε)) = min(exp(x/ε − τ), 1)

    with the τ for which it sums to k; `soft_topk(x, 1)` is sparsemax or softmax of x/ε. The mask is exact (zeros and
    ones) once the k-th and the next value are ε apart (l2). The soft values are the first k of the descending
    `soft_sort` with the same words, whose ε has the unit 1/values for "pav".

    Args:
        values: (..., n, ...), any float dtype. Half precision is computed in float32.
        k: number of places, 0 ≤ k ≤ n. Where a mask leaves fewer values than k, all of them are in.
        regularization: "l2" or "kl"; of the method "pav".
        regularization_strength: ε ≥ 0: a number, a schedule, or a tensor that broadcasts to values with size 1 at
            `dim`.
        dim: the dimension to select along.
        largest: False for the k smallest.
        mask: broadcasts to values, True where an entry counts; the others have the share 0.
        method: "pav", this projection; "lapsum", Laplace distribution functions; or the first k rows of a matrix of
            `soft_permutation`.

    Returns:
        values: (..., k, ...), the largest first; 0 beyond the number of values that count.
        mask: of the shape of `values`.

    Raises:
        TypeError: for values that are not floats, or a mask that is not boolean.
        ValueError: for a k out of range, a negative strength, shapes that do not fit, or an unknown word.

    Sources: Blondel et al. (2020), section 5 (projection onto the k-subset polytope); Struski et al. (2025) for lapsum.

    >>> soft_topk(torch.tensor([3.0, 1.0, 2.2, 2.0]), 2)
    TopK(values=tensor([3.0000, 2.2000]), mask=tensor([1.0000, 0.0000, 0.6000, 0.4000]))
    """
    axis = check_values(values, dim)
    check_mask(mask, values)
    check_choice("regularization", regularization, ("l2", "kl"))
    check_choice("method", method, TOPK_METHODS)
    n = values.shape[axis]
    if not 0 <= k <= n:
        raise ValueError(f"k={k} is not between 0 and the {n} values along dim={dim}")
    rows = computing(to_rows(values, axis))
    strength = strength_rows(regularization_strength, values, axis)
    valid = mask_rows(mask, values, axis)
    if method in MATRICES:
        kept = rows if valid is None else torch.where(valid, rows, 0.0)
        matrix = matrix_of(method, rows, strength, valid, descending=largest)[..., :k, :]
        shares, top = matrix.sum(-2), (matrix @ kept[..., None])[..., 0]
    else:
        signed = rows if largest else -rows
        if method == "lapsum":
            shares = lapsum_top(signed, k, strength, valid)
            ordered = lapsum_sorted(rows, strength, valid, descending=largest)
        else:
            shares = project_top(signed, k, strength, valid, kl=regularization == "kl")
            kind = SORT_L2 if regularization == "l2" else SORT_KL
            ordered = projected(rows, strength, valid, kind, 1 if largest else -1)
        top = ordered[..., :k]
    return TopK(from_rows(top.to(values.dtype), values, axis), from_rows(shares.to(values.dtype), values, axis))


def project_top(
    x: Float[Tensor, "rows n"], k: int, strength: float | Tensor, mask: Bool[Tensor, "rows n"] | None, kl: bool
) -> Float[Tensor, "rows n"]:
    """The projection of x/ε onto {m : 0 ≤ m ≤ 1, Σ m = k}, row by row.

    The entries that are 1 and 0 are found by sorting, as constants; given them, τ is a smooth formula.
    """
    n = x.shape[-1]
    if k == 0 or x.numel() == 0:
        return torch.zeros_like(x)
    valid = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
    poisoned = (x.isnan() & valid).any(-1, keepdim=True)
    z = torch.nan_to_num(working(torch.where(valid, x, 0.0)), posinf=1e300, neginf=-1e300)
    eps = strength_tensor(strength, z).clamp(min=1e-100)
    size = valid.sum(-1, keepdim=True)

    fixed = torch.where(valid, z, -torch.inf).detach()
    order = fixed.argsort(dim=-1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter(-1, order, torch.arange(n, device=x.device).expand_as(order))
    ordered = fixed.gather(-1, order)
    away = torch.nan_to_num((ordered - ordered[..., k - 1 : k]) / eps.detach())  # from the k-th, in descending order
    ones, some = _split_kl(away, k) if kl else _split_l2(away, k)
    at_one = valid & ((rank < ones) | (k >= size))
    inside = valid & ~at_one & (rank < some)

    missing = k - at_one.sum(-1, keepdim=True)
    peak = torch.where(inside, fixed, -torch.inf).amax(-1, keepdim=True)
    gap = torch.where(inside, z - torch.where(peak.isfinite(), peak, 0.0), 0.0) / eps
    if kl:
        weight = torch.where(inside, gap.exp(), 0.0)
        total = weight.sum(-1, keepdim=True)
        share = missing * weight / torch.where(total > 0, total, 1.0)
    else:
        share = gap - (gap.sum(-1, keepdim=True) - missing) / inside.sum(-1, keepdim=True).clamp(min=1)
    share = torch.where(at_one, 1.0, torch.where(inside, share, 0.0))
    return torch.where(poisoned, torch.nan, share).to(x.dtype)


def _split_l2(away: Tensor, k: int) -> tuple[Tensor, Tensor]:
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
    ones, some = (d >= middle + 1.0).sum(-1, keepdim=True), (d > middle).sum(-1, keepdim=True)
    exact = d[..., k : k + 1] <= -1.0  # then all k are 1 and stay so, also where some of them are equal
    return (torch.where(exact, k, ones), torch.where(exact, k, some)) if k < n else (ones, some)


def _split_kl(away: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """As `_split_l2`: the fewest ones for which the others share what is left without one exceeding 1."""
    rest = away.flip(-1).logcumsumexp(-1).flip(-1)[..., :k]
    left = torch.arange(k, 0, -1, device=away.device, dtype=away.dtype).log()
    fits = left + away[..., :k] <= rest + 1e-12
    ones = torch.where(fits.any(-1, keepdim=True), fits.to(torch.uint8).argmax(-1, keepdim=True), k - 1)
    return ones, torch.full_like(ones, away.shape[-1])
