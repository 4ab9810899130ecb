"""Losses of pairs: each item should be above those that the targets have below it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft.arguments import (
    Reduction,
    SoftLoss,
    Strength,
    as_rows,
    check_alike,
    check_choice,
    from_rows,
    strength_tensor,
)
from combdiff.soft.relaxations.comparators import COMPARATORS, log_order_kept, order_kept

Pairs = Literal["all", "adjacent"]


class PairwiseLoss(SoftLoss):
    """−log of how surely soft comparators keep the order of the targets.

    With predictions x, targets t and a comparator F ("logistic", "cauchy" or "optimal", as in sorting networks),

        L = −Σ log F((x_i − x_j)/ε)        over the pairs with t_i > t_j

    "all" takes every such pair, "adjacent" those with no other target between: n − 1 of them in a strict order, which
    they determine. Of tied targets there is no pair. With "logistic" L is RankNet's loss: convex, and its gradient
    tends to 1/ε for a pair that is far out of order. With "cauchy" and "optimal" it tends to 1/d, d the distance: one
    item that is badly wrong (a misread image, a wrong label) does not outweigh the others; the loss is not convex then.
    L ≥ 0, and no loss sorts less: it needs neither ranks nor a permutation. O(n²).

    Args:
        regularization_strength: ε > 0, in units of the predictions; it may be changed between steps. (0 stands for
            the least number: L is 0 where all pairs are in order, and large.)
        method: the comparator.
        pairs: "all" or "adjacent".
        dim: the dimension that is ordered; None orders all values together.
        reduction: "mean" or "sum" over the rows, or "none".

    Raises:
        ValueError: for an unknown word, or a negative strength.

    Sources: Burges et al. (2005), "Learning to rank using gradient descent", equation 3 ("logistic", all pairs);
    Petersen, Borgelt, Kuehne & Deussen (2022), "Monotonic differentiable sorting networks" (comparators).

    >>> scores, targets = torch.tensor([0.0, 4.0, 1.0]), torch.tensor([1.0, 3.0, 2.0])
    >>> PairwiseLoss()(scores, targets)
    tensor(0.3800)
    >>> PairwiseLoss(method="optimal", pairs="adjacent")(scores, targets)
    tensor(0.3747)
    """

    needs = replace(
        SoftLoss.needs, use="orders, of lists of up to some hundreds: a comparison for each pair, no permutation"
    )

    def __init__(
        self,
        regularization_strength: Strength = 1.0,
        *,
        method: str = "logistic",
        pairs: Pairs = "all",
        dim: int | None = -1,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(COMPARATORS, method, "l2", regularization_strength, reduction)
        check_choice("pairs", pairs, get_args(Pairs))
        self.pairs, self.dim = pairs, dim

    def soften(self, values: Tensor, strength: Strength, mask: Tensor | None = None) -> Tensor:
        """How surely each pair is in order, (rows, n, n)."""
        _, x, eps, _ = as_rows(values, self.dim, strength, mask)
        gap, least = x[:, :, None] - x[:, None, :], torch.finfo(x.dtype).tiny
        return order_kept(gap, strength_tensor(eps, x).clamp(min=least)[..., None], self.method)

    def forward(
        self,
        predictions: Float[Tensor, "*dims"],
        targets: Float[Tensor, "*dims"],
        mask: Bool[Tensor, "*#dims"] | None = None,
    ) -> Float[Tensor, "*reduced"]:
        """The loss of each row, reduced.

        Args:
            predictions, targets: (..., n, ...), of one shape, finite where they count; large predictions belong to
                large targets. No gradient flows to the targets.
            mask: broadcasts to them, True where an entry counts.

        Raises:
            ValueError: for two shapes, and as `soft_rank`.
        """
        check_alike(predictions=predictions, targets=targets)
        axis, x, strength, valid = as_rows(predictions, self.dim, self.regularization_strength, mask)
        target = as_rows(targets.detach(), self.dim, 0.0, None).x
        above = target[:, :, None] > target[:, None, :]
        if valid is not None:
            above = above & valid[:, :, None] & valid[:, None, :]
        if self.pairs == "adjacent" and x.shape[-1]:
            below = torch.where(above, target[:, None, :], -torch.inf)
            above = above & (below == below.amax(-1, keepdim=True))
        gap = torch.where(above, x[:, :, None] - x[:, None, :], 0.0)
        eps = strength_tensor(strength, x).clamp(min=torch.finfo(x.dtype).tiny)[..., None]
        loss = -torch.where(above, log_order_kept(gap, eps, self.method), 0.0).sum((-2, -1)).unsqueeze(-1)
        return self.reduced(from_rows(loss, predictions, axis).squeeze(-1 if axis is None else axis))
