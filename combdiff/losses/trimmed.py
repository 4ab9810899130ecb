"""Soft least trimmed squares, over any losses."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft.arguments import SoftLoss, Strength, computing
from combdiff.soft.operators.rank import METHODS
from combdiff.soft.operators.sort import soft_sort


class TrimmedLoss(SoftLoss):
    """The mean of the smaller losses of a batch, after soft sorting: outliers are left out.

    With s the ascending soft sort of n losses and m = n − ⌊trim · n⌋,

        L = (s_1 + ... + s_m) / m

    A small strength is least trimmed squares (of squared errors), a large one the mean of all losses: the
    strength goes from the robust to the efficient estimator. Losses must be finite. Half precision is computed and
    returned in float32.

    Args:
        trim: share of the losses left out, 0 ≤ trim < 1.
        regularization, regularization_strength, method: of `soft_sort`; its unit is 1/loss with "pav". It may be
            changed between steps.
        dim: the dimension that is sorted and averaged; the mean over all others is returned. None sorts all losses.

    Raises:
        ValueError: for a trim out of range, an unknown word, or a negative strength.

    Source: Blondel et al. (2020), section 6.4.

    >>> squares = torch.tensor([0.1, 0.2, 9.0, 0.3])
    >>> TrimmedLoss(trim=0.25, regularization_strength=0.01)(squares)
    tensor(0.2000)
    """

    _smoothed = staticmethod(soft_sort)

    needs = replace(SoftLoss.needs, use="any losses of a batch with outliers: the largest are left out")

    def __init__(
        self,
        trim: float = 0.1,
        regularization: str = "l2",
        regularization_strength: Strength = 1.0,
        *,
        dim: int | None = -1,
        method: str = "pav",
    ) -> None:
        super().__init__(METHODS, method, regularization, regularization_strength)
        if not 0 <= trim < 1:
            raise ValueError(f"trim={trim} must be at least 0 and below 1: the share of the losses to leave out")
        self.trim, self.dim = trim, dim

    def forward(self, losses: Float[Tensor, "*dims"], mask: Bool[Tensor, "*#dims"] | None = None) -> Float[Tensor, ""]:
        """The trimmed mean.

        Args:
            losses: one number an example, as a loss with reduction="none" gives them.
            mask: broadcasts to losses, True where an example counts.
        """
        dim = self.dim
        if dim is None:
            losses, mask, dim = losses.flatten(), None if mask is None else mask.expand(losses.shape).flatten(), -1
        ordered = soft_sort(computing(losses), dim=dim, mask=mask, **self.options).movedim(dim, -1)
        n = ordered.shape[-1]
        if mask is None:
            count = torch.full_like(ordered[..., :1], n, dtype=torch.float64)
        else:
            count = mask.expand(losses.shape).movedim(dim, -1).sum(-1, keepdim=True).double()
        kept = count - torch.floor(self.trim * count)
        inside = torch.arange(n, device=losses.device) < kept
        return (torch.where(inside, ordered, 0.0).sum(-1) / kept[..., 0].clamp(min=1).to(ordered.dtype)).mean()
