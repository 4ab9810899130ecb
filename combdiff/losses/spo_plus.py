"""SPO+: a convex upper bound of the regret."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from combdiff.autograd import not_compiled
from combdiff.losses.decision import DecisionLoss
from combdiff.needs import Needs
from combdiff_solvers.protocol import Instances, as_instances


class SPOPlusLoss(DecisionLoss):
    """How much better than the true solution the best one is for the costs 2ĉ − c.

    For predicted costs ĉ and true costs c, to be minimised, with the best solution ȳ for c,

        L(ĉ; c) = ⟨2ĉ − c, ȳ⟩ − min_y ⟨2ĉ − c, y⟩          ∇L = 2 (ȳ − y(2ĉ − c))

    It is convex in ĉ, at least the regret ⟨c, y(ĉ) − ȳ⟩, and zero at ĉ = c. One solve a row forward, none backward. For
    θ to be maximised the same holds of the negative. A term h(y) of the solver's own counts in L as in the regret.

    2ĉ − c may be negative where ĉ and c are not: `ShortestPath` then needs `negative="exact"` (graphs without cycles)
    or "clamp". There is no temperature; c sets the scale of ĉ.

    Not for: labels that are solutions alone (`FenchelYoungLoss`, `StructuredHingeLoss`).

    Args:
        solver: what solves a batch of rows, or a layer, whose oracle is shared.
        reduction: "mean" or "sum" over the rows that have a solution, or "none".
        on_failure: "raise", or "mask": rows without a solution count nothing.

    Attributes:
        last: the `Step` of the last call; its y are the solutions y(2ĉ − c), and y_true ȳ.

    Source: Elmachtoub & Grigas (2022), "Smart predict, then optimize", definition 3 and proposition 3.

    >>> from combdiff.solvers import TopK
    >>> loss = SPOPlusLoss(TopK(3, sense="min"))
    >>> c_true = torch.tensor([1.0, 2.0, 4.0])
    >>> loss(c_true, c_true), loss(torch.tensor([2.0, 1.0, 4.0]), c_true)
    (tensor(0.), tensor(3.))
    >>> loss.last.y, loss.last.y_true
    (tensor([0., 1., 0.]), tensor([1., 0., 0.]))
    """

    needs = Needs(
        target="costs",
        negative=True,
        bias="none: a subgradient of a convex bound of the regret",
        scale="c_true",
        use="true costs are known: one solve a step, and no temperature",
    )

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
            y_true: the best solutions for c_true, of the same shape: `loss.solve(c_true)` finds them once. None finds
                them in every call, by a second solve of each row.
            instances: the feasible set of each row.

        Raises:
            TypeError: for a target that is no tensor, and as `Oracle.costs`.
            ValueError: for another shape than θ's, what is not finite, or a y_true that is better than the best
                solution: it is infeasible.
            SolverError: for rows without a solution, if `on_failure` is "raise".
        """
        costs, true = self.oracle.costs(theta, finite=False), self.true_costs(c_true, theta, finite=False)
        target = None if y_true is None else self.target_rows(y_true, theta, costs)
        moved = torch.lerp(true, costs.detach(), 2.0)  # 2ĉ − c
        try:
            loss, slope, y, target, report = self._gap(moved, target, true, as_instances(instances))
        except ValueError:
            self.oracle.costs(theta)  # names an entry that is not finite, as the next line
            self.true_costs(c_true, theta)
            raise
        return self.finish(loss, theta, report, y, target, (slope.mul_(2.0), costs))
