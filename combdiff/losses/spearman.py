"""Spearman's rank correlation as a loss."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft.arguments import Reduction, SoftLoss, Strength, check_alike, computing
from combdiff.soft.operators.rank import RANK_METHODS, soft_rank


class SpearmanLoss(SoftLoss):
    """One minus the rank correlation of predictions and targets.

    With soft ranks r of the predictions and hard ranks t of the targets (ties share theirs), both centred,

        L = 1 − ⟨r, t⟩ / (‖r‖ ‖t‖)          0: the same order, 2: the reverse

    The soft ranks are taken inside: give it scores, not ranks of them. For a small strength it is 1 − Spearman's ρ
    exactly, but flat; a start is ε = 1 where the scores are learnt (`docs/soft.md` shows what others cost). Rows
    without two different targets, or without two different soft ranks, have the loss 1 and no gradient. Half precision
    is computed and returned in float32.

    Args:
        regularization, regularization_strength, method: of `soft_rank`; the strength may be changed between steps.
        dim: the dimension that is ranked; None ranks all values together.
        reduction: "mean" or "sum" over the rows, or "none".

    Raises:
        ValueError: for an unknown word.

    Source: Blondel et al. (2020), section 6.3.

    >>> loss = SpearmanLoss(regularization_strength=0.1)
    >>> loss(torch.tensor([0.1, 5.0, 0.3]), torch.tensor([1.0, 3.0, 2.0]))
    tensor(0.)
    """

    _smoothed = staticmethod(soft_rank)

    needs = replace(SoftLoss.needs, use="whole rankings, by their correlation")

    def __init__(
        self,
        regularization: str = "l2",
        regularization_strength: Strength = 1.0,
        *,
        dim: int | None = -1,
        method: str = "pav",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(RANK_METHODS, method, regularization, regularization_strength, reduction)
        self.dim = dim

    def forward(
        self,
        predictions: Float[Tensor, "*dims"],
        targets: Float[Tensor, "*dims"],
        mask: Bool[Tensor, "*#dims"] | None = None,
    ) -> Float[Tensor, "*reduced"]:
        """The loss of each row, reduced.

        Args:
            predictions, targets: (..., n, ...), of one shape; no gradient flows to the targets.
            mask: broadcasts to them, True where an entry counts.

        Raises:
            ValueError: for two shapes, and as `soft_rank`.
        """
        check_alike(predictions=predictions, targets=targets)
        predictions = computing(predictions)
        targets = targets.detach().to(torch.float64 if targets.dtype == torch.float64 else torch.float32)
        soft = soft_rank(predictions, dim=self.dim, mask=mask, **self.options)
        hard = soft_rank(targets, regularization_strength=0.0, dim=self.dim, mask=mask)
        hard = hard.to(torch.promote_types(predictions.dtype, targets.dtype))
        one = torch.ones_like(hard) if mask is None else mask.expand(hard.shape).to(hard.dtype)
        count = one.sum(self.dim, keepdim=True).clamp(min=1)
        soft, hard = ((r.to(hard.dtype) - (r.to(hard.dtype) * one).sum(self.dim, keepdim=True) / count) * one
                      for r in (soft, hard))  # fmt: skip
        # a rank moves by at least ½ where anything differs, so that 1e-6 tells a tie from rounding
        scale = (soft.square().sum(self.dim) * hard.square().sum(self.dim)).clamp(min=1e-12).sqrt()
        loss = (1.0 - (soft * hard).sum(self.dim) / scale).to(predictions.dtype)
        return self.reduced(loss)
