"""Normalised discounted cumulative gain as a loss, for lists of different lengths."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.losses.lists import ListLoss, Reduction, share_of
from combdiff.soft.arguments import Strength, check_alike, check_choice, computing
from combdiff.soft.operators.permutation import MATRICES, soft_permutation
from combdiff.soft.operators.rank import RANK_METHODS, soft_rank
from combdiff.soft.operators.stochastic import gumbel_perturbed
from combdiff.soft.operators.topk import soft_topk_mask
from combdiff.soft.transforms import concrete

Gain = Literal["exponential", "linear"]
SCALINGS, TOLERANCE = 50, 1e-6  # of NeuralNDCG


class SoftNDCGLoss(ListLoss):
    """One minus the soft NDCG of a scored list.

    With gains g (2^relevance − 1, or the relevance itself) and the DCG of an ideal order,

        ranks   (method "pav", "sigmoid", "lapsum", ...)    DCG = Σ_j m_j g_j / log₂(1 + rank_j), descending soft ranks
        matrix  (method "neuralsort", "sinkhorn", ...)      DCG = Σ_i (P g)_i / log₂(1 + i), i = 1..k

    and L = 1 − DCG / ideal DCG. With "sigmoid" the first is ApproxNDCG. With "neuralsort" the second is NeuralNDCG:
    columns and rows of P are scaled in turn (Sinkhorn, until all sums are within 1e-6 of 1, at most 50 times), so that
    no gain counts twice; this is most of its cost. (The transposed NeuralNDCG, Σ_j g_j Σ_i P_ij / log₂(1 + i), is the
    same number.) Stochastic NeuralNDCG is the mean loss of `samples` of the scores with Gumbel noise, which every
    method takes. With k, m is the soft top-k mask of the same strength (1 without). For a small strength L is
    1 − NDCG@k. A list without a relevant document has the loss 0. Half precision is computed and returned in float32.

    Args:
        regularization, regularization_strength: of `soft_rank`; the strength may be changed between steps.
        method: of `soft_rank` or `soft_permutation`.
        k: the rank at which the gain is cut off; None for the whole list.
        gain: "exponential" or "linear".
        samples: number of noisy copies of the scores whose mean loss is taken; 0 for none, without noise.
        scale: of the noise (0.1 in the authors' code, which adds it to the logarithm of scores shifted above 0).
        generator: source of the noise; torch's own where None.
        reduction: "mean" or "sum" over the lists, "mean_relevant" over those with a relevant document (as in the
            authors' code of NeuralNDCG), or "none".

    Raises:
        ValueError: for an unknown word, k < 1, or samples < 0.

    Sources: Qin, Liu & Li (2010), "A general approximation framework for direct optimization of information retrieval
    measures" (ranks); Pobrotyn & Białobrzeski (2021), "NeuralNDCG" (matrix), equation 10.

    >>> loss = SoftNDCGLoss(regularization_strength=0.01)
    >>> relevance = torch.tensor([[3.0, 0.0, 1.0]])
    >>> loss(torch.tensor([[9.0, 1.0, 5.0]]), relevance)
    tensor(0.)
    >>> bool(loss(torch.tensor([[1.0, 9.0, 5.0]]), relevance) > 0.3)
    True
    """

    needs = replace(ListLoss.needs, use="documents of several grades: NDCG, also at k")

    def __init__(
        self,
        regularization: str = "l2",
        regularization_strength: Strength = 1.0,
        *,
        method: str = "pav",
        k: int | None = None,
        gain: Gain = "exponential",
        reduction: Reduction = "mean",
        samples: int = 0,
        scale: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__((*RANK_METHODS, *MATRICES), method, regularization, regularization_strength, reduction)
        check_choice("gain", gain, get_args(Gain))
        if k is not None and k < 1:
            raise ValueError(f"k={k} must be at least 1, or None for the whole list")
        if samples < 0:
            raise ValueError(f"samples={samples} must be at least 0")
        self.k, self.gain = k, gain
        self.samples, self.scale, self.generator = samples, scale, generator

    def soften(self, values: Tensor, strength: Strength, mask: Tensor | None = None) -> Tensor:
        """The ranks, or the matrix, at another strength."""
        if self.method in MATRICES:
            return soft_permutation(computing(values), strength, descending=True, mask=mask, method=self.method)
        options = {**self.options, "regularization_strength": strength}
        return soft_rank(computing(values), descending=True, mask=mask, **options)

    def forward(
        self,
        scores: Float[Tensor, "*batch n"],
        relevance: Float[Tensor, "*batch n"],
        mask: Bool[Tensor, "*batch n"] | None = None,
    ) -> Float[Tensor, "*reduced"]:
        """The loss of each list, reduced.

        Args:
            scores: (*batch, n), higher is better.
            relevance: of the same shape, at least 0; no gradient flows to it.
            mask: True where a document exists; lists of different lengths are padded with anything.

        Raises:
            ValueError: for two shapes, and as the operators.
        """
        check_alike(scores=scores, relevance=relevance)
        scores = computing(scores)
        n = scores.shape[-1]
        cut = n if self.k is None else min(self.k, n)
        gains = relevance.detach().to(scores.dtype)
        gains = torch.exp2(gains) - 1.0 if self.gain == "exponential" else gains
        if mask is not None:
            gains = torch.where(mask, gains, 0.0)
        place = torch.arange(1, n + 1, device=scores.device, dtype=scores.dtype)
        discount = torch.where(place <= cut, 1.0 / torch.log2(1.0 + place), 0.0)
        ideal = (gains.sort(-1, descending=True).values * discount).sum(-1)
        if self.samples:
            scores = gumbel_perturbed(scores, self.samples, self.scale, self.generator)

        strength = self.regularization_strength
        if self.method in MATRICES:
            matrix = soft_permutation(scores, strength, descending=True, mask=mask, method=self.method)
            found = ((_scaled(matrix) * gains[..., None, :]).sum(-1) * discount).sum(-1)
        else:
            ranks = soft_rank(scores, descending=True, mask=mask, **self.options)
            each = gains / torch.log2(1.0 + ranks.clamp(min=1.0))
            if cut < n:
                family = "lapsum" if self.method == "lapsum" else "pav"
                each = each * soft_topk_mask(scores, cut, self.regularization, strength, mask=mask, method=family)
            found = each.sum(-1)
        loss = 1.0 - share_of(found, ideal)
        return self.reduce(loss.mean(0) if self.samples else loss, ideal > 0)


def _scaled(matrix: Float[Tensor, "*batch n n"]) -> Float[Tensor, "*batch n n"]:
    """The matrix with the sums of its columns and rows scaled to 1 in turn, but for those that are 0.

    Each list stops by itself, so that it does not depend on the others of its batch.
    """
    for _ in range(SCALINGS):
        columns, rows = matrix.sum(-2, keepdim=True), matrix.sum(-1, keepdim=True)
        off = torch.maximum(
            torch.where(columns > 0, columns - 1.0, 0.0).abs().amax(-1, keepdim=True),
            torch.where(rows > 0, rows - 1.0, 0.0).abs().amax(-2, keepdim=True),
        )
        going = off.detach() >= TOLERANCE
        if concrete(matrix) and not bool(going.any()):
            break
        scaled = matrix / torch.where(columns > 0, columns, 1.0)
        rows = scaled.sum(-1, keepdim=True)
        matrix = torch.where(going, scaled / torch.where(rows > 0, rows, 1.0), matrix)
    return matrix
