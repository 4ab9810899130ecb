"""The contrastive loss against the best other solution of a pool."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from combdiff.losses.noise_contrastive import NoiseContrastiveLoss
from combdiff.oracle import Costs
from combdiff.solution_pool import Candidates


class ContrastiveMAPLoss(NoiseContrastiveLoss):
    """How much worse than the best of a pool the true solution is.

    For costs c to be minimised, the true solution ȳ and the pool S of the row, which ȳ counts as part of,

        L(c; ȳ) = ⟨c, ȳ⟩ − min_{y ∈ S ∪ {ȳ}} ⟨c, y⟩          ∇L = ȳ − y

    with y the best of the pool. It is convex in c, never negative, and zero where ȳ is the best: the perceptron loss,
    over a pool in place of the feasible set. Given the true costs c̄ it is the same of c − c̄, and zero at c = c̄, which
    holds the scale of c; without, L is of degree 1, and its minimum is c → 0.

    Args:
        pool: the `SolutionPool`, filled beforehand.
        solve_ratio: the share of calls that solve for θ and add to the pool.
        reduction: "mean" or "sum" over the rows that have a solution, or "none".

    Attributes:
        last: the `Step` of the last call; its y are the solutions for θ if the call solved, else None.

    Source: Mulamba et al. (2021), "Contrastive losses and solution caching for predict-and-optimize", section 3
    (MAP, and its variant of ĉ − c).

    >>> import torch
    >>> from combdiff import SolutionPool
    >>> from combdiff.solvers import TopK
    >>> pool = SolutionPool(TopK(3, sense="min"))
    >>> pool.add(torch.eye(3))
    >>> loss, y_true = ContrastiveMAPLoss(pool), torch.tensor([0.0, 1.0, 0.0])
    >>> loss(torch.tensor([1.0, 3.0, 6.0]), y_true), loss(torch.tensor([1.0, 0.0, 6.0]), y_true)
    (tensor(2.), tensor(0.))
    """

    needs = replace(
        NoiseContrastiveLoss.needs,
        bias="none: a subgradient of a convex loss, 0 where the pool has none better",
        scale="c_true; without it nothing, and the least is at θ → 0",
        use="solves are slow: none in training",
    )

    floor = 0.0

    def _contrast(self, costs: Costs, target: Costs, own: Tensor | None, candidates: Candidates) -> Tensor:
        if own is None:
            candidates = replace(candidates, own=None)
        index = candidates.values(costs.detach()).argmin(1)
        loss = (costs * (target - candidates.take(index))).sum(-1)
        if own is not None and candidates.own is not None:
            loss = loss + (own - candidates.take_own(index))
        return loss
