"""The regret of predicted costs, for validation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from combdiff import _bridge, metrics
from combdiff.autograd import not_compiled
from combdiff.losses.decision import DecisionLoss, Step, check_finite, without_failed
from combdiff.needs import Needs
from combdiff.oracle import Answer, OnFailure
from combdiff_solvers.protocol import Instances, Sets, Solver, as_instances, value


class RegretLoss(DecisionLoss):
    """What the decision for predicted costs costs more than the best one: no gradient, for validation.

    For costs to be minimised ⟨c, y(ĉ)⟩ + h(y(ĉ)) − min_y (⟨c, y⟩ + h(y)), see `combdiff.metrics.regret`, in float64.
    Where ĉ has ties, it is that of the solution that the solver takes.

    Args:
        solver: what solves a batch of rows, or a layer, whose oracle is shared.
        reduction: "mean" or "sum" over the rows that have a solution, "none", or "relative": Σ regret / Σ |optimum|,
            the "normalised regret" of the field.
        on_failure: "raise", or "mask": rows without a solution count nothing.

    Attributes:
        last: the `Step` of the last call; its y are the decisions y(ĉ).
        interval: (low, high) of the regret of each row of the last call, (*batch) float64, which hold it for certain
            where the solve for the true costs was cut short, too (`combdiff.metrics.regret_interval`). NaN in a row
            without a decision, and from 0 where there is no incumbent. None where y_true was given: nothing proves it.

    Rows that were cut short (`Status.FEASIBLE`) count by their incumbents; their regret may then be negative.

    Source: Elmachtoub & Grigas (2022), "Smart predict, then optimize", definition 1.

    >>> from combdiff.solvers import TopK
    >>> theta, c_true = torch.tensor([[2.0, 1.0], [1.0, 2.0]]), torch.tensor([[1.0, 4.0], [1.0, 4.0]])
    >>> RegretLoss(TopK(2, sense="min"))(theta, c_true)
    tensor(1.5000, dtype=torch.float64)
    >>> RegretLoss(TopK(2, sense="min"), "relative")(theta, c_true)
    tensor(1.5000, dtype=torch.float64)
    """

    needs = Needs(
        target="costs",
        bias="no gradient",
        scale="nothing: the decision alone counts",
        use="validation",
    )

    reductions = (*DecisionLoss.reductions, "relative")
    degree = 0

    def __init__(self, solver: Solver | nn.Module, reduction: str = "mean", on_failure: OnFailure = "raise") -> None:
        super().__init__(solver, reduction, on_failure)
        self.interval: tuple[Tensor, Tensor] | None = None

    @not_compiled
    @torch.no_grad()
    def forward(
        self,
        theta: Float[Tensor, "*dims"],
        c_true: Float[Tensor, "*dims"],
        y_true: Float[Tensor, "*dims"] | None = None,
        instances: Instances | None = None,
    ) -> Float[Tensor, "*reduced"]:
        """The regret of each row, reduced; 0 where no row has a solution.

        Args:
            theta: (*batch, *solver.shape), predicted costs ĉ.
            c_true: the true costs (rewards, where the solver maximises), of the same shape.
            y_true: the best solutions for c_true, of the same shape; None finds them, by a second solve of each row.
            instances: the feasible set of each row.

        Raises:
            TypeError: for a target that is no tensor, and as `Oracle.costs`.
            ValueError: for another shape than θ's, or what is not finite.
            SolverError: for rows without a solution, if `on_failure` is "raise".
        """
        costs, sets = self.oracle.costs(theta).double(), as_instances(instances)
        true = self.true_costs(c_true, theta.double())
        answer = self.oracle.solve(costs if y_true is not None else torch.stack([costs, true]), sets)
        recorded, failed = self.oracle.record(answer.report, theta), answer.report.failed
        y = (answer.y if y_true is not None else answer.y[0]).reshape(theta.shape)
        self.interval = None
        if y_true is None:
            best = answer.y[1].reshape(theta.shape)
            self.interval = self._certain(answer, c_true, sets)
        else:
            best = without_failed(self.target_rows(y_true, theta, costs), answer).reshape(theta.shape)
            check_finite("y_true", best)
        self.last = Step(recorded.status, recorded.messages, y.to(theta.dtype), best.to(theta.dtype))
        regret = metrics.regret(y, best, c_true, self.solver, sets).to(theta.device).flatten()
        solved = torch.ones_like(regret, dtype=torch.bool) if failed is None else ~failed.to(theta.device)
        if self.reduction == "none":
            return regret.where(solved, torch.nan).reshape(recorded.status.shape)
        total = regret[solved].sum()
        if self.reduction == "relative":
            rows, given = (_bridge.to_rows(part.reshape(costs.shape)) for part in (best, c_true))
            optimum = _bridge.to_tensor(value(self.solver, rows, given, sets), regret, (len(costs),))
            return total / optimum[solved].abs().sum()
        return total / max(int(solved.sum()), 1) if self.reduction == "mean" else total

    def _certain(self, answer: Answer, c_true: Tensor, sets: Sets) -> tuple[Tensor, Tensor]:
        y, best = answer.y.masked_fill(~answer.solved.unsqueeze(-1), torch.nan).reshape(2, *c_true.shape)
        bound = (self.solver.sense.sign * answer.bound[1]).reshape(c_true.shape[: c_true.ndim - len(self.solver.shape)])
        return metrics.regret_interval(y, best, bound.to(c_true.device), c_true, self.solver, sets)
