"""Fenchel–Young losses: learning from solutions alone."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from combdiff import _bridge
from combdiff.autograd import not_compiled, with_gradient
from combdiff.layer import SmoothedLayer, SolverLayer
from combdiff.needs import Needs
from combdiff.temperature import Auto, Schedule
from combdiff_solvers.protocol import Instances, as_instances

Reduction = Literal["mean", "sum", "none"]


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

    needs = Needs(target="solution", forward="those of the layer")

    def __init__(self, layer: SmoothedLayer, reduction: Reduction = "mean") -> None:
        super().__init__()
        if not isinstance(layer, SmoothedLayer):
            reason = f" ({layer.needs.no_potential})" if isinstance(layer, SolverLayer) else ""
            raise TypeError(
                f"a {type(layer).__name__} has no potential{reason}: a Fenchel–Young loss needs a SmoothedLayer, like "
                "Perturbed"
            )
        if reduction not in get_args(Reduction):
            raise ValueError(f"reduction={reduction!r} is none of {', '.join(map(repr, get_args(Reduction)))}")
        self.layer, self.reduction = layer, reduction

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
        self, theta: Float[Tensor, "*dims"], y_true: Float[Tensor, "*dims"], instances: Instances | None = None
    ) -> Float[Tensor, "*reduced"]:
        """The loss of each row, reduced, in the dtype of θ (under autocast at least float32); 0 where no row counts.

        Args:
            theta: (*batch, *solver.shape).
            y_true: the target solutions, of the same shape; no gradient flows to them. Where the layer masks a row that
                has no solution, the row's target is ignored, and may be NaN.
            instances: the feasible set of each row.

        Raises:
            TypeError: for a y_true that is no tensor, and as the layer's `costs`.
            ValueError: for another shape of y_true than of θ, a NaN or infinite target, and as the layer's forward.
            SolverError: as the layer's forward.
        """
        if not isinstance(y_true, Tensor):
            raise TypeError(
                f"y_true is a {type(y_true).__name__}, but must be a torch.Tensor: use torch.as_tensor(y_true)"
            )
        layer = self.layer
        costs = layer.costs(theta)
        if y_true.shape != theta.shape:
            raise ValueError(f"y_true has shape {tuple(y_true.shape)}, but theta {tuple(theta.shape)}: they must agree")
        point = costs.detach()
        if isinstance(layer.temperature, Auto):
            layer.temperature.choose(self, theta.detach(), y_true.detach(), instances=instances)
        value, gradient, report = layer.cost_potential(point, as_instances(instances))
        layer.oracle.record(report, theta)
        failed = None if report.failed is None else report.failed.to(costs.device)
        target = y_true.detach()
        if target.shape != costs.shape or target.dtype != costs.dtype:
            target = target.reshape(costs.shape).to(costs.dtype)
        if failed is not None:
            target = target.masked_fill(failed.unsqueeze(-1), 0.0)
        loss, gradient = (point * target).sum(-1).sub_(value), target - gradient
        own = layer.conjugate(target)
        if own is not None:
            loss.add_(own)
        total = loss.sum()
        if not math.isfinite(total.item()):  # as it is under every target that is not
            _check_finite(target.reshape(theta.shape))
        if self.reduction == "none":
            loss = with_gradient(loss, gradient, costs)
            if failed is not None:
                loss = loss.masked_fill(failed, torch.nan)
            loss = loss.reshape(theta.shape[: theta.ndim - len(layer.solver.shape)])
        else:
            rows = len(loss)
            if failed is not None:
                rows -= int(failed.sum())
                total, gradient = loss.masked_fill(failed, 0.0).sum(), gradient.masked_fill(failed.unsqueeze(-1), 0.0)
            if self.reduction == "mean" and rows:
                total, gradient = total.div_(rows), gradient.div_(rows)
            loss = with_gradient(total, gradient, costs)
        same = loss.dtype is theta.dtype or torch.is_autocast_enabled(loss.device.type)
        return loss if same else loss.to(theta.dtype)


def _check_finite(target: Float[Tensor, "*dims"]) -> None:
    bad = _bridge.not_finite(target)
    if bad is not None:
        index = tuple(bad.nonzero()[0].tolist())
        raise ValueError(
            f"y_true[{', '.join(map(str, index))}] is {target[index].item()}, but every target of a row with a "
            "solution must be finite: leave such rows out"
        )
