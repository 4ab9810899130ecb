"""Recall at k as a loss, for lists of different lengths."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.losses.lists import ListLoss, Reduction, share_of
from combdiff.soft.arguments import Strength, check_alike, computing
from combdiff.soft.operators.topk import TOPK_METHODS, soft_topk_mask


class SoftRecallLoss(ListLoss):
    """One minus the soft recall at k of a scored list.

    With the soft top-k mask m of the scores, and R relevant documents,

        L = 1 − 1/R Σ_{j relevant} m_j

    For a small strength it is 1 − recall@k exactly; so a list with more than k relevant documents does not come below
    1 − k/R. A list without one has the loss 0. Half precision is computed and returned in float32.

    Args:
        k: number of places, at least 1; of a list with fewer documents all are in.
        regularization, regularization_strength, method: of `soft_topk`; the strength may be changed between steps.
        reduction: "mean" or "sum" over the lists, "mean_relevant" over those with a relevant document, or "none".

    Raises:
        ValueError: for k < 1, an unknown word, or a negative strength.

    Source: Rolínek et al. (2020), "Optimizing rank-based metrics with blackbox differentiation", section 4 (which
    counts a query as 1 as soon as one document is found; this is the share of the documents found).

    >>> loss = SoftRecallLoss(2, regularization_strength=0.01)
    >>> loss(torch.tensor([9.0, 1.0, 5.0]), torch.tensor([0, 1, 1]))
    tensor(0.5000)
    """

    needs = replace(ListLoss.needs, use="documents, relevant or not: recall at k")

    def __init__(
        self,
        k: int,
        regularization: str = "l2",
        regularization_strength: Strength = 1.0,
        *,
        method: str = "lapsum",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(TOPK_METHODS, method, regularization, regularization_strength, reduction)
        if k < 1:
            raise ValueError(f"k={k} must be at least 1")
        self.k = k

    def soften(self, values: Tensor, strength: Strength, mask: Tensor | None = None) -> Tensor:
        """The mask of the top k at another strength."""
        options = {**self.options, "regularization_strength": strength}
        return soft_topk_mask(computing(values), min(self.k, values.shape[-1]), mask=mask, **options)

    def forward(
        self, scores: Float[Tensor, "*batch n"], relevance: Tensor, mask: Bool[Tensor, "*#batch n"] | None = None
    ) -> Float[Tensor, "*reduced"]:
        """The loss of each list, reduced; arguments and errors as of `SoftMAPLoss`."""
        check_alike(scores=scores, relevance=relevance)
        scores = computing(scores)
        relevant = relevance > 0 if mask is None else (relevance > 0) & mask
        found = soft_topk_mask(scores, min(self.k, scores.shape[-1]), mask=mask, **self.options)
        count = relevant.sum(-1)
        return self.reduce(1.0 - share_of(torch.where(relevant, found, 0.0).sum(-1), count), count > 0)
