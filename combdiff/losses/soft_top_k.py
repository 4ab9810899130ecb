"""Top-k classification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from combdiff.soft.arguments import SoftLoss, Strength, computing
from combdiff.soft.operators.topk import TOPK_METHODS, soft_topk_mask


class SoftTopKLoss(SoftLoss):
    """Minus the logarithm of how much the true class is among the k highest scores.

    With m_k(x) the soft top-k mask of the scores, y the true class, and weights w_k that sum to 1,

        L = −log Σ_k w_k m_k(x)_y

    For k = 1 and the method "pav" with "kl" it is the cross-entropy of softmax(x/ε). Masks of "lapsum" are never 0;
    where those of the other methods are, the share is raised to `floor`, and the gradient is zero there. Half precision
    is computed and returned in float32.

    Args:
        k: number of places, or a mapping {k: weight} (the loss of a top-1 and a top-5 goal is {1: 0.5, 5: 0.5}).
        regularization, regularization_strength, method: of `soft_topk`; the strength may be changed between steps.
        floor: smallest share, positive.

    Raises:
        ValueError: for weights that are negative or do not sum to 1, another floor, an unknown word, or a negative
            strength.

    Sources: Petersen, Kuehne, Borgelt & Deussen (2022), "Differentiable top-k classification learning", equation 3;
    Struski et al. (2025) for lapsum.

    >>> scores = torch.tensor([[2.0, 1.0, -1.0]])
    >>> SoftTopKLoss(1, "kl", method="pav")(scores, torch.tensor([0]))
    tensor(0.3490)
    >>> torch.nn.functional.cross_entropy(scores, torch.tensor([0]))
    tensor(0.3490)
    """

    needs = replace(SoftLoss.needs, use="classes, of which the true one has to be among the first k")

    def __init__(
        self,
        k: int | Mapping[int, float] = 1,
        regularization: str = "l2",
        regularization_strength: Strength = 1.0,
        *,
        method: str = "lapsum",
        floor: float = 1e-12,
    ) -> None:
        super().__init__(TOPK_METHODS, method, regularization, regularization_strength)
        self.weights = dict(k) if isinstance(k, Mapping) else {k: 1.0}
        if min(self.weights.values(), default=-1.0) < 0 or abs(sum(self.weights.values()) - 1.0) > 1e-6:
            raise ValueError(f"k={k!r}: the weights must be at least 0 and sum to 1")
        if not floor > 0:
            raise ValueError(f"floor={floor} must be positive")
        self.floor = floor

    def soften(self, values: Tensor, strength: Strength, mask: Tensor | None = None) -> Tensor:
        """The mask of the k places with the largest weight at another strength."""
        k = max(self.weights, key=lambda places: self.weights[places])
        return soft_topk_mask(computing(values), k, mask=mask, **{**self.options, "regularization_strength": strength})

    def forward(self, scores: Float[Tensor, "batch classes"], target: Int[Tensor, batch]) -> Float[Tensor, ""]:
        """The mean loss of a batch.

        Args:
            scores: (batch, classes).
            target: the index of the true class of each row.

        Raises:
            ValueError: for a target that does not fit the scores, and as `soft_topk`.
        """
        if not isinstance(target, Tensor):
            raise TypeError(f"target is a {type(target).__name__}, but must be a torch.Tensor of classes, (batch,)")
        if scores.ndim != 2 or target.shape != scores.shape[:1]:
            raise ValueError(
                f"scores have shape {tuple(scores.shape)}, target {tuple(target.shape)}: "
                "they must be (batch, classes) and (batch,)"
            )
        scores = computing(scores)
        share = torch.zeros(scores.shape[0], dtype=scores.dtype, device=scores.device)
        for k, weight in self.weights.items():
            mask = soft_topk_mask(scores, k, **self.options)
            share = share + weight * mask.gather(-1, target[:, None])[:, 0]
        return -share.clamp(min=self.floor).log().mean()
