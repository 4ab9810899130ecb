"""Fenchel–Young losses: learning from solutions alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from combdiff.autograd import not_compiled
from combdiff.layer import SmoothedLayer, SolverLayer
from combdiff.losses.decision import (
    Reduction,
    Step,
    check_finite,
    check_reduction,
    check_target,
    finite,
    reduced,
    step_of,
)
from combdiff.needs import Needs, missing
from combdiff.oracle import Report
from combdiff.temperature import Auto, Schedule
from combdiff_solvers.protocol import Instances, Sets, as_instances


class FenchelYoungLoss(nn.Module):
    """How far a solution is from what a smoothed layer makes of θ.

    For costs c to be minimised, a target ȳ and the layer's potential F(c) = E min_y ⟨c + σZ, y⟩,

        L(c; ȳ) = ⟨c, ȳ⟩ − F(c)          ∇L = ȳ − E[y]

    It is convex in c, differentiable, and needs one batch of solves forward and none backward. For noise of mean
    zero and a target that is a vertex of the feasible set, L ≥ 0 up to the Monte Carlo error of F, and it is zero
    in the limit only, where E[y] = ȳ. (A target inside the hull lowers L by a constant.) Over `FrankWolfe` L has its
    term ε Ω(ȳ), too, and is 0 exactly where y_ε(c) = ȳ.
    With Gumbel noise over one-hot vectors it is σ times the cross-entropy of softmax(−c/σ). With
    multiplicative noise w the gradient is ȳ − E[w ⊙ y]. A solver with a term h(y) of its own shifts L by h(ȳ).

    Scale: over multiplicative noise L is homogeneous of degree 1, so its minimum is c → 0: training shrank costs from
    0.68 to their floor of 0.015, with 39–49 % optimal paths where additive noise reaches 91–97 %. Divide c by its
    mean, or use additive noise. Over additive noise σ sets the scale: on raw costs its value hardly matters, since
    they grow with it; on costs divided by their mean it has to fit (σ = 0.3: 66–76 % optimal paths, 20 points fewer).

    Args:
        layer: any `SmoothedLayer`; its solver, noise, temperature and failure policy are used.
        reduction: "mean" or "sum" over the rows that have a solution (0, with a zero gradient, where none has:
            `layer.stats.empty` counts such batches), or "none".

    Attributes:
        last: the `Step` of the last call: how its rows ended, y (the layer's mean solution, under multiplicative noise
            E[w ⊙ y]) and the targets.
        degree: k where L(aθ) = aᵏ L(θ) for every a > 0 under the same noise, None where there is none.

    Sources: Blondel, Martins & Niculae (2020), "Learning with Fenchel–Young losses", definition 2; Berthet et al.
    (2020), section 4.

    >>> import combdiff, combdiff.solvers
    >>> _ = torch.manual_seed(0)
    >>> loss = FenchelYoungLoss(combdiff.Perturbed(combdiff.solvers.TopK(3), samples=1000))
    >>> right = torch.tensor([0.0, 0.0, 1.0])
    >>> bool(loss(torch.tensor([0.0, 0.0, 9.0]), right) < 0.05 < loss(torch.tensor([9.0, 0.0, 0.0]), right))
    True
    """

    needs = Needs(
        target="solution",
        forward="those of the layer",
        solver="a layer with a potential (`Perturbed`, `FrankWolfe`), and what that wants",
        bias="none: E[y] − y_true of a convex loss; variance ∝ 1/M, none of `FrankWolfe`",
        scale="σ or ε; of multiplicative noise nothing (degree 1, gradient 0)",
        use="solutions are known, or true costs: the first to try",
    )

    def __init__(self, layer: SmoothedLayer, reduction: Reduction = "mean") -> None:
        super().__init__()
        if not isinstance(layer, SmoothedLayer):
            reason = f" ({layer.needs.no_potential})" if isinstance(layer, SolverLayer) else ""
            raise TypeError(
                f"a {type(layer).__name__} has no potential{reason}: a Fenchel–Young loss needs a SmoothedLayer, like "
                "Perturbed"
            )
        self.layer, self.reduction = layer, check_reduction(reduction)
        own = layer.needs
        degree = own.gradient_degree if own.gradient_degree is None else own.gradient_degree + 1
        self.needs = replace(self.needs, forward=own.forward, negative=own.negative, gradient_degree=degree)
        self.last: Step | None = None

    @property
    def degree(self) -> int | None:
        return None if self.layer.degree is None else self.layer.degree + 1

    @property
    def temperature(self) -> float | Schedule:
        """That of the layer, in its unit; it may be set, also to "auto"."""
        return self.layer.temperature

    @temperature.setter
    def temperature(self, value: Any) -> None:
        self.layer.temperature = value

    @not_compiled
    def forward(
        self,
        theta: Float[Tensor, "*dims"],
        y_true: Float[Tensor, "*targets"] | None = None,
        instances: Instances | None = None,
        *,
        c_true: Float[Tensor, "*dims"] | None = None,
    ) -> Float[Tensor, "*reduced"]:
        """The loss of each row, reduced, in the dtype of θ (under autocast at least float32); 0 where no row counts.

        Args:
            theta: (*batch, *solver.shape).
            y_true: the target solutions, of the same shape; or several for each row, (s, *batch, *solver.shape), such
                as near-optimal ones, whose mean is the target (L is then the mean of their losses, up to a constant).
                No gradient flows to them. Where the layer masks a row that has no solution, the row's target is
                ignored, and may be NaN.
            instances: the feasible set of each row.
            c_true: true costs in place of y_true, of θ's shape: the target is the best solution for them, found in
                every call (solve for it once where it is asked for again).

        Raises:
            TypeError: for a y_true that is no tensor, neither or both of y_true and c_true, and as the layer's `costs`.
            ValueError: for another shape of y_true than of θ, a NaN or infinite target, and as the layer's forward.
            SolverError: as the layer's forward.
        """
        layer = self.layer
        costs = layer.costs(theta)
        given = as_instances(instances)
        target, failed = self._target(theta, y_true, given, c_true)
        point = costs.detach()
        if isinstance(layer.temperature, Auto):
            layer.temperature.choose(self, theta.detach(), target.reshape(theta.shape), instances=instances)
        value, gradient, report = layer.cost_potential(point, given)
        if failed is not None:
            report = Report(torch.maximum(report.status, failed.status), {**failed.messages, **report.messages})
        recorded = layer.oracle.record(report, theta)
        if target.shape != costs.shape or target.dtype != costs.dtype:
            target = target.reshape(costs.shape).to(costs.dtype)
        if report.failed is not None:
            target = target.masked_fill(report.failed.to(costs.device).unsqueeze(-1), 0.0)
        loss = (point * target).sum(-1).sub_(value)
        own = layer.conjugate(target)
        if own is not None:
            loss.add_(own)
        self.__dict__["last"] = step_of(recorded, theta, gradient, target)  # nn.Module's own way takes 3 µs more
        known = target - gradient, costs
        result = reduced(loss, theta, report.failed, self.reduction, recorded.status.shape, known)
        if not finite(loss if self.reduction == "none" else result):
            check_finite("y_true", target.reshape(theta.shape))
        return result

    def _target(
        self, theta: Tensor, y_true: Tensor | None, instances: Sets, c_true: Tensor | None
    ) -> tuple[Tensor, Report | None]:
        """The target of each row, and how a solve for it ended where one was needed."""
        if (y_true is None) == (c_true is None):
            raise (
                missing("y_true (or c_true in its place)", self)
                if y_true is None
                else TypeError("y_true and c_true are both given, but one target is enough")
            )
        if c_true is not None:
            check_target(self, "c_true", c_true, theta)
            answer = self.layer.oracle.solve(self.layer.oracle.costs(c_true.detach()), instances)
            return answer.y, answer.report
        if isinstance(y_true, Tensor) and y_true.ndim == theta.ndim + 1 and len(y_true):
            check_target(self, "y_true[0]", y_true[0], theta)
            return y_true.detach().mean(0), None
        check_target(self, "y_true", y_true, theta)
        assert y_true is not None
        return y_true.detach(), None
