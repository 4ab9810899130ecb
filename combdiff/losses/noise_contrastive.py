"""Contrastive losses: the true solution against the others of a pool."""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from combdiff.autograd import not_compiled
from combdiff.losses.decision import check_finite, finite
from combdiff.losses.pool_loss import PoolLoss
from combdiff.oracle import Costs
from combdiff.solution_pool import Candidates
from combdiff_solvers.protocol import Instances, as_instances


class NoiseContrastiveLoss(PoolLoss):
    """How much worse than the mean of a pool the true solution is.

    For costs c to be minimised, the true solution ȳ and the pool S of the row,

        L(c; ȳ) = ⟨c, ȳ⟩ − 1/|S| Σ_{y ∈ S} ⟨c, y⟩          ∇L = ȳ − mean(S)

    It needs no solve in training, unless the pool is to grow. Given the true costs c̄, the same of c − c̄: the gradient
    is the same, and L = 0 at c = c̄. L is linear in c (degree 1): nothing bounds it from below, so that costs grow as
    long as training goes on; only the number of steps and the model hold them.

    Not for: a validation score (its value has no floor).

    Args:
        pool: the `SolutionPool`, filled beforehand.
        solve_ratio: the share of calls that solve for θ and add to the pool.
        reduction: "mean" or "sum" over the rows that have a solution, or "none".

    Attributes:
        last: the `Step` of the last call; its y are the solutions for θ if the call solved, else None.

    Source: Mulamba et al. (2021), "Contrastive losses and solution caching for predict-and-optimize", section 3
    (NCE, and its variant of ĉ − c); the mean in place of the sum, so that L does not grow with the pool.

    >>> import torch
    >>> from combdiff import SolutionPool
    >>> from combdiff.solvers import TopK
    >>> pool = SolutionPool(TopK(3, sense="min"))
    >>> pool.add(torch.eye(3))
    >>> NoiseContrastiveLoss(pool)(torch.tensor([1.0, 2.0, 6.0]), torch.tensor([1.0, 0.0, 0.0]))
    tensor(-2.)
    """

    needs = replace(
        PoolLoss.needs,
        bias="none: it is linear in θ, without a floor",
        scale="nothing: θ grows as long as training goes on",
        gradient_degree=0,
        use="a first look: `ContrastiveMAPLoss` costs no more, and has a floor",
    )

    degree = 1
    floor: float | None = None  # of the loss of a row

    @not_compiled
    def forward(
        self,
        theta: Float[Tensor, "*dims"],
        y_true: Float[Tensor, "*dims"],
        instances: Instances | None = None,
        *,
        c_true: Float[Tensor, "*dims"] | None = None,
    ) -> Float[Tensor, "*reduced"]:
        """The loss of each row, reduced.

        Args:
            theta: (*batch, *solver.shape).
            y_true: the true solutions, of the same shape.
            instances: the feasible set of each row, as the pool was given them.
            c_true: the true costs, of the same shape, to be taken from θ; None for nothing.

        Raises:
            TypeError: for a target that is no tensor, and as `Oracle.costs`.
            ValueError: for another shape than θ's, what is not finite, or a row for which the pool holds nothing.
            SolverError: for rows without a solution, if they are solved and `on_failure` is "raise".
        """
        costs = self.oracle.costs(theta, finite=self.solve_ratio > 0)  # else the loss tells
        target, sets = self.target_rows(y_true, theta, costs), as_instances(instances)
        candidates, report, y = self.choose(costs.detach(), sets)
        if report.failed is not None:
            target = target.masked_fill(report.failed.to(target.device).unsqueeze(-1), 0.0)
        own = None if c_true is not None else self.oracle.own_term(target, sets)
        if c_true is not None:  # of the same h on either side nothing is left
            costs = costs - self.true_costs(c_true, theta, finite=False)
        loss = self._contrast(costs, target, own, candidates)
        if not finite(loss.detach()):
            for name, part in {"theta": theta, "c_true": c_true, "y_true": target.reshape(theta.shape)}.items():
                if part is not None:
                    check_finite(name, part)
        return self.finish(loss if self.floor is None else loss.clamp(min=self.floor), theta, report, y, target)

    def _contrast(self, costs: Costs, target: Costs, own: Tensor | None, candidates: Candidates) -> Tensor:
        """The loss of each row, before its floor."""
        loss = (costs * (target - candidates.mean)).sum(-1)
        return loss if own is None else loss + (own - candidates.mean_own)
