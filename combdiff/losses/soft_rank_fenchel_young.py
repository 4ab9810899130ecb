"""Fenchel–Young losses of soft ranks: learning from orders."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft.arguments import Reduction, SoftLoss, Strength, as_rows, check_alike, from_rows, strength_tensor
from combdiff.soft.operators.rank import soft_rank


class SoftRankFenchelYoungLoss(SoftLoss):
    """How far the hard ranks of targets are from the soft ranks of predictions, by a convex loss.

    With Ω(r) = ½ ‖r‖² (l2) or Σ r log r (kl) on the permutahedron, the soft ranks r of the predictions x at strength ε,
    which maximise ⟨x, r⟩ − ε Ω(r), and the hard ranks t of the targets (ties share theirs),

        L = ε Ω*(x/ε) + ε Ω(t) − ⟨x, t⟩ = ⟨x, r − t⟩ + ε (Ω(t) − Ω(r)) ≥ 0          ∇L = r − t

    It is convex in x and 0 exactly where r = t; unlike the squared distance of the ranks it has a gradient where these
    are hard and wrong. At ε = 0 it is the perceptron loss ⟨x, r − t⟩. It is homogeneous of degree 1 in (x, ε). Half
    precision is computed and returned in float32.

    Args:
        regularization, regularization_strength: of `soft_rank`; the strength may be changed between steps, and has the
            gradient Ω(t) − Ω(r) where it asks for one.
        dim: the dimension that is ranked; None ranks all values together.
        reduction: "mean" or "sum" over the rows, or "none".

    Raises:
        ValueError: for an unknown word, or a negative strength.

    Sources: Blondel, Martins & Niculae (2020), "Learning with Fenchel–Young losses", definition 2 and section 7.3
    (permutahedron); Blondel et al. (2020), "Fast differentiable sorting and ranking", for Ω.

    >>> loss = SoftRankFenchelYoungLoss(regularization_strength=0.1)
    >>> loss(torch.tensor([0.1, 5.0, 0.3]), torch.tensor([1.0, 3.0, 2.0]))
    tensor(0.)
    >>> loss(torch.tensor([0.1, 5.0, 0.3]), torch.tensor([1.0, 2.0, 3.0]))
    tensor(4.7000)
    """

    _smoothed = staticmethod(soft_rank)

    needs = replace(
        SoftLoss.needs, use="whole rankings; convex, with a gradient also where the ranks are hard and wrong"
    )

    def __init__(
        self,
        regularization: str = "l2",
        regularization_strength: Strength = 1.0,
        *,
        dim: int | None = -1,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(("pav",), "pav", regularization, regularization_strength, reduction)
        self.dim = dim

    def forward(
        self,
        predictions: Float[Tensor, "*dims"],
        targets: Float[Tensor, "*dims"],
        mask: Bool[Tensor, "*#dims"] | None = None,
    ) -> Float[Tensor, "*reduced"]:
        """The loss of each row, reduced.

        Args:
            predictions, targets: (..., n, ...), finite, of one shape; no gradient flows to the targets.
            mask: broadcasts to them, True where an entry counts.

        Raises:
            ValueError: for two shapes, and as `soft_rank`.
        """
        check_alike(predictions=predictions, targets=targets)
        axis, x, strength, valid = as_rows(predictions, self.dim, self.regularization_strength, mask)
        hard = soft_rank(as_rows(targets.detach(), self.dim, 0.0, None).x, "l2", 0.0, mask=valid).to(x.dtype)
        soft = soft_rank(x, self.regularization, strength, mask=valid)
        x = x if valid is None else torch.where(valid, x, 0.0)
        eps = strength_tensor(strength, x)
        omega = self._omega
        loss = _conjugate(x, eps, soft, omega(soft)) + eps * omega(hard) - (x * hard).sum(-1, keepdim=True)
        return self.reduced(from_rows(loss, predictions, axis).squeeze(-1 if axis is None else axis))

    def _omega(self, ranks: Tensor) -> Tensor:
        """Ω of each row, as (rows, 1); 0 of what does not count."""
        if self.regularization == "l2":
            return 0.5 * ranks.square().sum(-1, keepdim=True)
        return (ranks * torch.where(ranks > 0, ranks, 1.0).log()).sum(-1, keepdim=True)


def _conjugate(x: Tensor, eps: Tensor, ranks: Tensor, omega: Tensor) -> Tensor:
    """ε Ω*(x/ε) = ⟨x, r⟩ − ε Ω(r) of each row, as (rows, 1), given its maximiser r and Ω(r).

    Of the first derivatives, r and −Ω(r), what goes through r is 0, but rounded: so r is taken as a constant. The last
    term has the value 0 and no slope; it adds the second derivatives, which are those of r and −Ω(r).
    """
    moved, turned = x - x.detach(), ranks - ranks.detach()
    second = (moved * turned).sum(-1, keepdim=True) - (eps - eps.detach()) * (omega - omega.detach())
    return (x * ranks.detach()).sum(-1, keepdim=True) - eps * omega.detach() + 0.5 * second
