"""Fenchel–Young losses: learning from solutions alone."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from combdiff.layer import SmoothedLayer, eager
from combdiff_solvers.protocol import Instances, as_instances

Reduction = Literal["mean", "sum", "none"]


class FenchelYoungLoss(nn.Module):
    """How far a solution is from what a smoothed layer makes of θ.

    For costs c to be minimised, a target ȳ and the layer's potential F(c) = E min_y ⟨c + σZ, y⟩,

        L(c; ȳ) = ⟨c, ȳ⟩ − F(c)          ∇L = ȳ − E[y]

    It is convex in c, differentiable, and needs one batch of solves forward and none backward. For noise of mean
    zero and a target that is a vertex of the feasible set, L ≥ 0 up to the Monte Carlo error of F, and it is zero
    in the limit only, where E[y] = ȳ. (A target inside the hull lowers L by a constant.)
    With Gumbel noise over one-hot vectors it is σ times the cross-entropy of softmax(−c/σ). With
    multiplicative noise w the gradient is ȳ − E[w ⊙ y]. A solver with a term h(y) of its own shifts L by h(ȳ).

    Args:
        layer: any `SmoothedLayer`; its solver, noise, temperature and failure policy are used.
        reduction: "mean" or "sum" over the rows that have a solution, or "none".

    Sources: Blondel, Martins & Niculae (2020), "Learning with Fenchel–Young losses", definition 2; Berthet et al.
    (2020), section 4.

    >>> import combdiff, combdiff.solvers
    >>> _ = torch.manual_seed(0)
    >>> loss = FenchelYoungLoss(combdiff.Perturbed(combdiff.solvers.TopK(3), samples=1000))
    >>> right = torch.tensor([0.0, 0.0, 1.0])
    >>> bool(loss(torch.tensor([0.0, 0.0, 9.0]), right) < 0.05 < loss(torch.tensor([9.0, 0.0, 0.0]), right))
    True
    """

    def __init__(self, layer: SmoothedLayer, reduction: Reduction = "mean") -> None:
        super().__init__()
        if not isinstance(layer, SmoothedLayer):
            raise TypeError(
                f"a {type(layer).__name__} has no potential: a Fenchel–Young loss needs a SmoothedLayer, like Perturbed"
            )
        if reduction not in get_args(Reduction):
            raise ValueError(f"reduction={reduction!r} is none of {', '.join(map(repr, get_args(Reduction)))}")
        self.layer = layer
        self.reduction = reduction

    @eager
    def forward(
        self,
        theta: Float[Tensor, "*dims"],
        y_true: Float[Tensor, "*dims"],
        instances: Instances | None = None,
    ) -> Float[Tensor, "*reduced"]:
        """The loss of each row, reduced.

        Args:
            theta: (*batch, *solver.shape).
            y_true: the target solutions, of the same shape; no gradient flows to them.
            instances: the feasible set of each row.

        Raises:
            ValueError: for another shape of y_true than of θ, and as the layer's forward.
            SolverError: as the layer's forward.
        """
        if y_true.shape != theta.shape:
            raise ValueError(f"y_true has shape {tuple(y_true.shape)}, but theta {tuple(theta.shape)}: they must agree")
        instances = as_instances(instances)
        costs = self.layer.costs(theta, instances)
        value, report = self.layer.cost_potential(costs, instances)
        batch = theta.shape[: theta.ndim - len(self.layer.solver.shape)]
        target = y_true.detach().reshape(costs.shape).to(costs.dtype)
        loss = (costs * target).sum(-1) - value
        solved = report.solved.to(loss.device)
        if self.reduction == "none":
            loss = torch.where(solved, loss, torch.full_like(loss, torch.nan)).reshape(batch)
        else:
            loss = torch.where(solved, loss, torch.zeros_like(loss)).sum()
            if self.reduction == "mean":
                loss = loss / solved.sum()
        return loss.to(theta.dtype)
