"""Learning to rank: the solutions of a pool, in the order of their true costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from combdiff.autograd import not_compiled
from combdiff.losses.decision import Reduction
from combdiff.losses.pool_loss import PoolLoss
from combdiff.solution_pool import Candidates, SolutionPool
from combdiff.temperature import Schedule, Temperature
from combdiff_solvers.protocol import Instances, as_instances

Kind = Literal["list", "pair", "point"]


class LearningToRankLoss(PoolLoss):
    """How far the predicted costs of a pool's solutions are from ranking them as the true costs do.

    With v_k = ⟨c, y_k⟩ the true and v̂_k = ⟨ĉ, y_k⟩ the predicted value of each solution of the row's pool S, to be
    minimised, and b the best of S for the true costs,

        "list"    L = KL(q ‖ q̂),   q = softmax(−v/τ), q̂ = softmax(−v̂/τ)
        "pair"    L = 1/(|S| − 1) Σ_k max(0, τ + v̂_b − v̂_k)      over the k with v_k > v_b
        "point"   L = 1/|S| Σ_k (v̂_k − v_k)²

    L ≥ 0, and L = 0 at ĉ = c for "list" and "point"; for "pair" where b leads by the margin. All are convex in ĉ. They
    need no solve in training, unless the pool is to grow.

    Args:
        pool: the `SolutionPool`, filled beforehand with at least two solutions a row (one has no order).
        kind: "list", "pair" or "point".
        temperature: τ, a positive float or a schedule, in units of the objective: it divides values ("list"), or is
            the margin ("pair"). "point" has none, and ignores it.
        solve_ratio: the share of calls that solve for θ and add to the pool.
        reduction: "mean" or "sum" over the rows that have a solution, or "none".

    Attributes:
        last: the `Step` of the last call; its y are the solutions for θ if the call solved, else None.

    Source: Mandi, Bucarey, Mulamba & Guns (2022), "Decision-focused learning: through the lens of learning to rank",
    section 4: pointwise, pairwise (best against rest) and listwise (of which the entropy of q, which no ĉ changes, is
    taken off here).

    >>> from combdiff import SolutionPool
    >>> from combdiff.solvers import TopK
    >>> pool = SolutionPool(TopK(2, sense="min"))
    >>> pool.add(torch.eye(2))
    >>> c_true, c = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 1.0])
    >>> [round(LearningToRankLoss(pool, kind)(c, c_true).item(), 3) for kind in ("list", "pair", "point")]
    [0.462, 2.0, 1.0]
    """

    needs = replace(
        PoolLoss.needs,
        target="costs",
        bias="none: (sub)gradients of convex losses",
        scale="c_true",
        use="solves are slow and true costs are known: all of the pool counts, not its best alone",
    )

    temperature = Temperature()

    def __init__(
        self,
        pool: SolutionPool,
        kind: Kind = "list",
        temperature: float | Schedule = 1.0,
        solve_ratio: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(pool, solve_ratio, reduction)
        if kind not in get_args(Kind):
            raise ValueError(f"kind={kind!r} is none of {', '.join(map(repr, get_args(Kind)))}")
        self.kind, self.temperature = kind, temperature

    @not_compiled
    def forward(
        self, theta: Float[Tensor, "*dims"], c_true: Float[Tensor, "*dims"], instances: Instances | None = None
    ) -> Float[Tensor, "*reduced"]:
        """The loss of each row, reduced.

        Args:
            theta: (*batch, *solver.shape), predicted costs ĉ.
            c_true: the true costs (rewards, where the solver maximises), of the same shape.
            instances: the feasible set of each row, as the pool was given them.

        Raises:
            TypeError: for a target that is no tensor, and as `Oracle.costs`.
            ValueError: for another shape than θ's, what is not finite, or a row for which the pool holds nothing.
            SolverError: for rows without a solution, if they are solved and `on_failure` is "raise".
        """
        costs, true = self.oracle.costs(theta), self.true_costs(c_true, theta)
        candidates, report, y = self.choose(costs.detach(), as_instances(instances))
        return self.finish(getattr(self, f"_{self.kind}")(candidates, costs, true), theta, report, y)

    def _list(self, candidates: Candidates, costs: Tensor, true: Tensor) -> Tensor:
        tau = float(self.temperature)
        log_q, log_p = (torch.log_softmax(candidates.values(c) / -tau, 1) for c in (true, costs))
        gap = log_q - log_p if candidates.counted is None else (log_q - log_p).where(candidates.counted, 0.0)
        return (log_q.exp() * gap).sum(1)

    def _pair(self, candidates: Candidates, costs: Tensor, true: Tensor) -> Tensor:
        v, predicted = candidates.values(true), candidates.values(costs)
        best = v.argmin(1, keepdim=True)
        hinge = float(self.temperature) + predicted.gather(1, best) - predicted
        active = (hinge > 0) & (v > v.gather(1, best))
        others = candidates.counts - 1
        others = others.clamp(min=1).squeeze(1) if isinstance(others, Tensor) else max(others, 1)
        return hinge.where(active, 0.0).sum(1) / others

    def _point(self, candidates: Candidates, costs: Tensor, true: Tensor) -> Tensor:
        counts = candidates.counts
        bare = Candidates(candidates.y)  # h is on both sides; padding is zero
        return bare.values(costs - true).square().sum(1) / (counts.squeeze(1) if isinstance(counts, Tensor) else counts)
