"""What the losses of scored lists have in common."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft.arguments import SoftLoss, Strength, check_choice, reduced

Reduction = Literal["mean", "mean_relevant", "sum", "none"]


class ListLoss(SoftLoss):
    """A loss of lists of documents with scores and relevances, reduced over the lists.

    Args:
        methods, method, regularization, strength: as of `SoftLoss`.
        reduction: "mean" or "sum" over the lists, "mean_relevant" over those with a relevant document, or "none".
    """

    def __init__(
        self, methods: tuple[str, ...], method: str, regularization: str, strength: Strength, reduction: Reduction
    ) -> None:
        super().__init__(methods, method, regularization, strength)
        check_choice("reduction", reduction, get_args(Reduction))
        self.reduction = reduction

    def reduce(self, loss: Float[Tensor, "*batch"], relevant: Bool[Tensor, "*batch"]) -> Float[Tensor, "*reduced"]:
        """The losses of all lists reduced, given which have a relevant document: the others have the loss 0."""
        loss = torch.where(relevant, loss, 0.0)
        if self.reduction == "mean_relevant":
            return loss.sum() / relevant.expand(loss.shape).sum().clamp(min=1)
        return reduced(loss, self.reduction)


def check_lists(scores: Tensor, relevance: Tensor) -> None:
    """The two have one shape."""
    if scores.shape != relevance.shape:
        raise ValueError(
            f"scores have shape {tuple(scores.shape)}, relevance {tuple(relevance.shape)}: they must agree"
        )


def share_of(gained: Tensor, total: Tensor) -> Tensor:
    """gained / total, where the total is positive; else 0."""
    return torch.where(total > 0, gained / torch.where(total > 0, total, 1.0), 0.0)
