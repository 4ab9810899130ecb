"""A cost of the decision, pulled back through a layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from combdiff.autograd import not_compiled
from combdiff.layer import SolverLayer
from combdiff.losses.decision import Reduction, Step, check_reduction
from combdiff.needs import Needs
from combdiff.oracle import Stats
from combdiff.temperature import Schedule
from combdiff_solvers.protocol import Instances, Sense


class PushforwardLoss(nn.Module):
    """A task's own cost of what a layer returns, reduced over the rows that have a solution.

        L(θ) = cost(layer(θ), targets)          ∇L = J(θ)ᵀ ∇cost, by the layer's own gradient

    A smoothed layer returns a mean of solutions, at which the cost is taken: of a cost that is linear in y this is the
    mean cost of the solutions. It learns from a task's loss alone, without true costs or solutions.

    Not for: a cost of whole solutions only (it sees means of them); second derivatives (refused by the layer).

    Args:
        layer: any `SolverLayer`; its solver, temperature and failure policy are used.
        cost: a differentiable function of y, (*batch, *shape), and of the targets that forward is given, to one
            number a row, (*batch). None: ⟨c, y⟩ for true costs c (its negative, where the solver maximises).
        reduction: "mean" or "sum" over the rows that have a solution, or "none".

    Attributes:
        last: the `Step` of the last call; its y is what the layer returned (NaN in failed rows).

    Raises:
        TypeError: for a layer that is none, or a cost that is no function.

    Source: Dalle et al. (2022), "Learning with combinatorial optimization layers" (learning by
    experience).

    >>> from combdiff import Interpolation
    >>> from combdiff.solvers import TopK
    >>> loss = PushforwardLoss(Interpolation(TopK(3, sense="min"), lam=1.0))
    >>> theta = torch.tensor([2.0, 1.0, 4.0], requires_grad=True)
    >>> value = loss(theta, torch.tensor([1.0, 3.0, 4.0]))
    >>> value.backward()
    >>> value.item(), theta.grad
    (3.0, tensor([ 1., -1.,  0.]))
    """

    needs = Needs(
        target="task loss",
        forward="those of the layer",
        backward="those of the layer",
        solver="what its layer wants",
        bias="that of its layer",
        scale="that of its layer",
        use="a cost of your own for decisions; ⟨c_true, y⟩ without one",
    )

    def __init__(
        self, layer: SolverLayer, cost: Callable[..., Tensor] | None = None, reduction: Reduction = "mean"
    ) -> None:
        super().__init__()
        if not isinstance(layer, SolverLayer):
            raise TypeError(f"a {type(layer).__name__} is no SolverLayer: its output has no gradient by theta")
        if cost is not None and not callable(cost):
            raise TypeError(f"cost={cost!r} must be a function of y and of the targets, or None for ⟨c, y⟩")
        self.layer, self.cost, self.reduction = layer, cost or self._linear, check_reduction(reduction)
        self.last: Step | None = None
        solves = {name: getattr(layer.needs, name) for name in ("forward", "backward", "negative")}
        self.needs = replace(self.needs, **solves)

    @property
    def temperature(self) -> float | Schedule:
        """That of the layer, in its unit; it may be set."""
        return self.layer.temperature

    @temperature.setter
    def temperature(self, value: Any) -> None:
        self.layer.temperature = value

    @property
    def stats(self) -> Stats:
        return self.layer.stats

    def _linear(self, y: Tensor, c_true: Tensor | None = None) -> Tensor:
        if c_true is None:
            raise TypeError("c_true is None, and PushforwardLoss needs it where it has no cost of your own")
        if not isinstance(c_true, Tensor) or c_true.shape != y.shape:
            raise ValueError(f"c_true must be a tensor of theta's shape {tuple(y.shape)}, or give a cost of your own")
        sign = 1.0 if self.layer.solver.sense is Sense.MIN else -1.0
        return sign * (y * c_true.detach()).flatten(y.ndim - len(self.layer.solver.shape)).sum(-1)

    @not_compiled
    def forward(
        self, theta: Float[Tensor, "*dims"], *targets: Any, instances: Instances | None = None
    ) -> Float[Tensor, "*reduced"]:
        """The cost of each row, reduced; 0 where no row has a solution.

        Args:
            theta: (*batch, *solver.shape).
            targets: what the cost is given beside y.
            instances: the feasible set of each row.

        Raises:
            ValueError: for a cost of another shape than (*batch), and as the layer's forward.
            SolverError: as the layer's forward.
        """
        y = self.layer(theta, instances)
        report = self.layer.last
        assert report is not None
        self.last = Step(report.status, report.messages, y.detach())
        failed = y.isnan().flatten(len(report.status.shape)).any(-1) if report.failed is not None else None
        loss = self.cost(y, *targets)
        batch = theta.shape[: theta.ndim - len(self.layer.solver.shape)]
        if loss.shape != batch:
            raise ValueError(
                f"cost returned shape {tuple(loss.shape)}, but must be {tuple(batch)}, one number a row of theta"
            )
        if self.reduction == "none":
            return loss if failed is None else loss.masked_fill(failed, torch.nan)
        rows = loss.numel()
        if failed is not None:
            rows -= int(failed.sum())
            loss = loss.masked_fill(failed, 0.0)
        return loss.sum() / max(rows, 1) if self.reduction == "mean" else loss.sum()
