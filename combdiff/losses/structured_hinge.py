"""The structured hinge loss: the true solution has to win by a margin."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from combdiff.autograd import not_compiled
from combdiff.losses.decision import DecisionLoss, Reduction
from combdiff.needs import Needs
from combdiff.oracle import Costs, OnFailure
from combdiff.temperature import Schedule, Temperature
from combdiff_solvers.protocol import Instances, Solver, as_instances


class StructuredHingeLoss(DecisionLoss):
    """How far the true solution is from beating every other one by a margin that grows with their distance.

    For costs c to be minimised, 0/1 vectors y, the target ȳ and the Hamming distance Δ(y, ȳ) = Σ |y − ȳ|,

        L(c; ȳ) = max_y [m Δ(y, ȳ) + ⟨c, ȳ − y⟩] = ⟨c', ȳ⟩ − min_y ⟨c', y⟩      with  c' = c − m (1 − 2ȳ)

    and ∇L = ȳ − y(c'). It is convex in c, at least m Δ(y(c), ȳ), and zero where ȳ wins by the margin. One solve a row
    forward, none backward; it learns from solutions alone. c' may be negative where c is not.

    Not for: y of other entries than 0 and 1 (ranks, counts), whose distance is not linear: targets of that kind are
    refused.

    Args:
        solver: what solves a batch of rows, or a layer, whose oracle is shared.
        margin: the temperature m, a positive float or a schedule, in units of θ: the least advantage of ȳ for each
            entry in which another solution differs. It sets the scale of θ.
        reduction: "mean" or "sum" over the rows that have a solution, or "none".
        on_failure: "raise", or "mask": rows without a solution count nothing.

    Attributes:
        last: the `Step` of the last call; its y are the solutions y(c').

    Sources: Tsochantaridis, Joachims, Hofmann & Altun (2005), "Large margin methods for structured and interdependent
    output variables" (margin rescaling); Taskar, Guestrin & Koller (2003), "Max-margin Markov networks".

    >>> import torch
    >>> from combdiff.solvers import TopK
    >>> loss = StructuredHingeLoss(TopK(3, sense="min"), margin=1.0)
    >>> y_true = torch.tensor([1.0, 0.0, 0.0])
    >>> loss(torch.tensor([0.0, 2.0, 4.0]), y_true), loss(torch.tensor([0.0, 1.5, 4.0]), y_true)
    (tensor(0.), tensor(0.5000))
    """

    needs = Needs(
        target="solution",
        negative=True,
        solver="solutions of 0 and 1",
        bias="none: a subgradient of a convex bound of the Hamming distance",
        scale="the margin",
        use="solutions alone are known: one solve a step, and no noise",
    )

    margin = Temperature()
    temperature = margin

    def __init__(
        self,
        solver: Solver | nn.Module,
        margin: float | Schedule = 1.0,
        reduction: Reduction = "mean",
        on_failure: OnFailure = "raise",
    ) -> None:
        super().__init__(solver, reduction, on_failure)
        self.margin = margin

    @not_compiled
    def forward(
        self, theta: Float[Tensor, "*dims"], y_true: Float[Tensor, "*dims"], instances: Instances | None = None
    ) -> Float[Tensor, "*reduced"]:
        """The loss of each row, reduced.

        Args:
            theta: (*batch, *solver.shape).
            y_true: the target solutions, of the same shape, of zeros and ones.
            instances: the feasible set of each row.

        Raises:
            TypeError: for a target that is no tensor, and as `Oracle.costs`.
            ValueError: for another shape than θ's, a target of a row with a solution that is neither 0 nor 1, or one
                that is better than the best solution: it is infeasible.
            SolverError: for rows without a solution, if `on_failure` is "raise".
        """
        costs = self.oracle.costs(theta, finite=False)
        target, sets = self.target_rows(y_true, theta, costs), as_instances(instances)
        try:
            loss, slope, y, target, report = self._gap(self._moved(costs, target), target, None, sets)
        except ValueError:
            self.oracle.costs(theta)  # names an entry that is not finite
            known = target.nan_to_num(0.0, 0.0, 0.0)  # the target of a row that fails may be anything
            loss, slope, y, target, report = self._gap(self._moved(costs, known), target, None, sets)
        if not torch.equal(target * target, target):
            row, entry = ((target != 0.0) & (target != 1.0)).nonzero()[0].tolist()
            raise ValueError(
                f"y_true has {target[row, entry].item()} in row {row}, entry {entry}, but the Hamming margin is of "
                "vectors of zeros and ones: use FenchelYoungLoss"
            )
        return self.finish(loss, theta, report, y, target, (slope, costs))

    def _moved(self, costs: Costs, target: Costs) -> Costs:
        """c − m (1 − 2ȳ), without a graph."""
        margin = float(self.margin)
        return torch.add(costs.detach() - margin, target, alpha=2.0 * margin)
