"""Learning to rank: the solutions of a pool, in the order of their true costs."""

from __future__ import annotations

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

    Not for: second derivatives (refused).

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
        point = costs.detach()
        candidates, report, y = self.choose(point, as_instances(instances))
        loss, weights = getattr(self, f"_{self.kind}")(candidates, point, true)
        return self.finish(loss, candidates.weighted(weights), costs, theta, report, y)

    def _list(self, candidates: Candidates, point: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of each row, and its derivatives by the predicted values, (b, k)."""
        tau = float(self.temperature)
        log_q, log_p = (torch.log_softmax(candidates.values(c) / -tau, 1) for c in (true, point))
        q, p = log_q.exp(), log_p.exp()
        gap = log_q - log_p if candidates.counted is None else (log_q - log_p).where(candidates.counted, 0.0)
        return (q * gap).sum(1), (q - p) / tau

    def _pair(self, candidates: Candidates, point: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        v, predicted = candidates.values(true), candidates.values(point)
        best = v.argmin(1, keepdim=True)
        hinge = float(self.temperature) + predicted.gather(1, best) - predicted
        active = (hinge > 0) & (v > v.gather(1, best))
        counts = candidates.counts - 1
        counts = counts.clamp(min=1) if isinstance(counts, Tensor) else max(counts, 1)
        weights = -active.to(point.dtype) / counts
        return hinge.where(active, 0.0).sum(1) / _flat(counts), weights.scatter_add(1, best, -weights.sum(1, True))

    def _point(self, candidates: Candidates, point: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        bare = Candidates(candidates.y)  # h is on both sides
        gap = bare.values(point - true)  # 0 of padding, whose y is 0
        return gap.square().sum(1) / _flat(candidates.counts), 2.0 * gap / candidates.counts


def _flat(counts: Tensor | int) -> Tensor | int:
    return counts.squeeze(1) if isinstance(counts, Tensor) else counts
