"""What the losses of scored lists have in common."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft.arguments import SoftLoss

Reduction = Literal["mean", "mean_relevant", "sum", "none"]


class ListLoss(SoftLoss):
    """A loss of lists of documents with scores and relevances, reduced over the lists."""

    reductions = get_args(Reduction)

    def reduce(self, loss: Float[Tensor, "*batch"], relevant: Bool[Tensor, "*batch"]) -> Float[Tensor, "*reduced"]:
        """The losses of all lists reduced, given which have a relevant document: the others have the loss 0."""
        loss = torch.where(relevant, loss, 0.0)
        if self.reduction == "mean_relevant":
            return loss.sum() / relevant.expand(loss.shape).sum().clamp(min=1)
        return self.reduced(loss)


def share_of(gained: Tensor, total: Tensor) -> Tensor:
    """gained / total, where the total is positive; else 0."""
    return torch.where(total > 0, gained / torch.where(total > 0, total, 1.0), 0.0)
