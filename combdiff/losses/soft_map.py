"""Mean average precision as a loss, for lists of different lengths."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.losses.lists import ListLoss, Reduction, share_of
from combdiff.soft.arguments import Strength, check_alike, computing
from combdiff.soft.operators.rank import RANK_METHODS, soft_rank


class SoftMAPLoss(ListLoss):
    """One minus the soft average precision of a scored list.

    With descending soft ranks r of all documents and r⁺ of the relevant ones among themselves, R of them,

        L = 1 − 1/R Σ_{j relevant} r⁺_j / r_j

    For a small strength it is 1 − AP exactly (scores that are equal share ranks). With the method "sigmoid" it is
    Smooth-AP. The mean over lists (queries) is 1 − MAP. A list without a relevant document has the loss 0. Half
    precision is computed and returned in float32.

    Args:
        regularization, regularization_strength, method: of `soft_rank`; the strength may be changed between steps.
        reduction: "mean" or "sum" over the lists, "mean_relevant" over those with a relevant document, or "none".

    Raises:
        ValueError: for an unknown word, or a negative strength.

    Sources: Brown, Xie, Kalogeiton & Zisserman (2020), "Smooth-AP: smoothing the path towards large-scale image
    retrieval", equation 6; Rolínek et al. (2020), "Optimizing rank-based metrics with blackbox differentiation".

    >>> loss = SoftMAPLoss(regularization_strength=0.01)
    >>> loss(torch.tensor([9.0, 1.0, 5.0]), torch.tensor([0, 1, 1]))
    tensor(0.4167)
    """

    _smoothed = staticmethod(soft_rank)

    needs = replace(ListLoss.needs, use="documents, relevant or not: average precision")

    def __init__(
        self,
        regularization: str = "l2",
        regularization_strength: Strength = 1.0,
        *,
        method: str = "pav",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(RANK_METHODS, method, regularization, regularization_strength, reduction)

    def forward(
        self, scores: Float[Tensor, "*batch n"], relevance: Tensor, mask: Bool[Tensor, "*#batch n"] | None = None
    ) -> Float[Tensor, "*reduced"]:
        """The loss of each list, reduced.

        Args:
            scores: (*batch, n), higher is better.
            relevance: of the same shape and any dtype; a document is relevant where it is positive.
            mask: True where a document exists; lists of different lengths are padded with anything.

        Raises:
            ValueError: for two shapes, and as `soft_rank`.
        """
        check_alike(scores=scores, relevance=relevance)
        scores = computing(scores)
        relevant = relevance > 0 if mask is None else (relevance > 0) & mask
        ranks = soft_rank(scores, descending=True, mask=mask, **self.options)
        among = soft_rank(scores, descending=True, mask=relevant, **self.options)
        precision = torch.where(relevant, among / torch.where(relevant, ranks, 1.0), 0.0)
        count = relevant.sum(-1)
        return self.reduce(1.0 - share_of(precision.sum(-1), count), count > 0)
