"""Perturbation gradients: the decision's true cost as a finite difference of the optimal value."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from combdiff.autograd import not_compiled
from combdiff.losses.decision import DecisionLoss, Reduction, check_finite, finite, without_failed
from combdiff.needs import Needs
from combdiff.oracle import OnFailure
from combdiff.temperature import Schedule, Temperature
from combdiff_solvers.protocol import Instances, Solver, as_instances

Difference = Literal["backward", "forward", "central"]


class PerturbationGradientLoss(DecisionLoss):
    """The slope of the optimal value V(t) = min_y ⟨t, y⟩ at the predicted costs, along the true ones.

    The true cost of the decision is that slope, ⟨c, y(ĉ)⟩ = ∂V(ĉ + λc)/∂λ at λ = 0. For costs to be minimised

        backward   L = [V(ĉ) − V(ĉ − hc)] / h                 at least ⟨c, y(ĉ)⟩: V is concave
        forward    L = [V(ĉ + hc) − V(ĉ)] / h                 at most ⟨c, y(ĉ)⟩
        central    L = [V(ĉ + hc) − V(ĉ − hc)] / 2h           the mean of the two

    and ∇L = (y₊ − y₋)/h (or 2h), y₊ and y₋ the solutions of the two sides. L is a difference of convex functions,
    Lipschitz in ĉ, and tends to the decision's cost as h → 0. Two solves a row forward, none backward.

    Given y_true, its true cost ⟨c, ȳ⟩ is subtracted: the backward loss is then at least the regret, and zero at ĉ = ac
    for every a ≥ h. The gradient is the same. Of a solver with a term h(y) of its own, ⟨c, y⟩ alone is judged.

    ĉ − hc may be negative where both are not: `ShortestPath` then needs `negative="exact"` or "clamp".

    Args:
        solver: what solves a batch of rows, or a layer, whose oracle is shared.
        width: the temperature h, a positive float or a schedule, in units of θ over units of c. Small is exact with
            a gradient that is zero where neither side moves; large is smooth and biased.
        difference: "backward", "forward" or "central".
        reduction: "mean" or "sum" over the rows that have a solution, or "none".
        on_failure: "raise", or "mask": rows without a solution count nothing.

    Attributes:
        last: the `Step` of the last call; its y are (2, *batch, *shape), y₊ and y₋ (y(ĉ) comes first of the backward
            difference, second of the forward one).

    Source: Huang & Gupta (2024), "Decision-focused learning with directional gradients", section 3: the PG losses
    by backward and by central differences.

    >>> import torch
    >>> from combdiff.solvers import TopK
    >>> loss = PerturbationGradientLoss(TopK(3, sense="min"), width=0.5)
    >>> c_true, y_true = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 0.0, 0.0])
    >>> loss(torch.tensor([1.0, 0.9, 4.0]), c_true), loss(c_true, c_true, y_true)
    (tensor(2.), tensor(0.))
    """

    needs = Needs(
        target="costs",
        forward="2",
        negative=True,
        bias="none: a subgradient of a difference that tends to the decision's cost as h → 0; not convex",
        scale="h",
        use="true costs are known, and the start is near: from afar it ends in poor places",
    )

    width = Temperature()
    temperature = width

    def __init__(
        self,
        solver: Solver | nn.Module,
        width: float | Schedule = 0.1,
        difference: Difference = "backward",
        reduction: Reduction = "mean",
        on_failure: OnFailure = "raise",
    ) -> None:
        super().__init__(solver, reduction, on_failure)
        if difference not in get_args(Difference):
            raise ValueError(f"difference={difference!r} is none of {', '.join(map(repr, get_args(Difference)))}")
        self.width = width
        self.difference = difference

    @not_compiled
    def forward(
        self,
        theta: Float[Tensor, "*dims"],
        c_true: Float[Tensor, "*dims"],
        y_true: Float[Tensor, "*dims"] | None = None,
        instances: Instances | None = None,
    ) -> Float[Tensor, "*reduced"]:
        """The loss of each row, reduced.

        Args:
            theta: (*batch, *solver.shape), predicted costs ĉ.
            c_true: the true costs (rewards, where the solver maximises), of the same shape.
            y_true: the best solutions for c_true, of the same shape; None leaves their cost in the loss.
            instances: the feasible set of each row.

        Raises:
            TypeError: for a target that is no tensor, and as `Oracle.costs`.
            ValueError: for another shape than θ's, or what is not finite.
            SolverError: for rows without a solution, if `on_failure` is "raise".
        """
        costs, true = self.oracle.costs(theta), self.true_costs(c_true, theta)
        target = None if y_true is None else self.target_rows(y_true, theta, costs)
        h = float(self.width)
        point = costs.detach()
        above = point if self.difference == "backward" else torch.add(point, true, alpha=h)
        below = point if self.difference == "forward" else torch.sub(point, true, alpha=h)
        span = 2.0 * h if self.difference == "central" else h
        answer = self.oracle.solve(torch.stack([above, below]), as_instances(instances))
        value, y = answer.value, answer.y
        loss = (value[0] - value[1]) / span
        if target is not None:
            target = without_failed(target, answer)
            loss = loss - (true * target).sum(-1)
            if not finite(loss):
                check_finite("y_true", target.reshape(theta.shape))
        return self.finish(loss, theta, answer.report, y, target, ((y[0] - y[1]) / span, costs))
