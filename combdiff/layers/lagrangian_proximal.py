"""Lagrangian proximal gradient descent (LPGD)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import torch

from combdiff.layers.targets import Answers, Step, TargetLayer
from combdiff.oracle import Costs, OnFailure, Report
from combdiff.temperature import Schedule, Temperature
from combdiff_solvers.protocol import Sets, Solver

Side = Literal["average", "lower", "upper"]


class LagrangianProximal(TargetLayer):
    """The solver's exact answer forward; backward finite differences to proximal points on one or both sides.

    For costs c to be minimised, an incoming g = ∂L/∂y and the proximal points

        y₋ = argmin ⟨c + τ g, y⟩ + ρ/2 ‖y − y(c)‖²          y₊ = argmin ⟨c − τ g, y⟩ + ρ/2 ‖y − y(c)‖²

        lower     ∂L/∂c = (y₋ − y(c)) / τ
        upper     ∂L/∂c = (y(c) − y₊) / τ
        average   ∂L/∂c = (y₋ − y₊) / 2τ

    "lower" with ρ = 0 is `Interpolation` with λ = τ. "upper" asks what is worse: it has a gradient also where no better
    solution is near. "average" is the central difference. For solutions of zeros and ones ρ/2 ‖y − y(c)‖² is linear,
    ρ ⟨½ − y(c), y⟩ and a constant, and costs no more than the solve; for others ρ > 0 is refused.

    Costs of the backward solves may be negative: `ShortestPath` then needs `negative="clamp"` (or "exact").

    Scale: homogeneous of degree 0 (with ρ = 0): divide the costs of each row by their mean or norm before the layer.

    Args:
        solver: what solves a batch of rows.
        tau: the temperature τ, a positive float, a schedule or "auto", in units of θ² over units of the loss.
        side: "average" (two solves backward), "lower" or "upper" (one).
        rho: ρ ≥ 0, in units of θ: how much the proximal points are held near y(c).
        on_failure: "raise" or "mask", see `SolverLayer`; rows with a second solve that fails get no gradient.

    Raises:
        ValueError: for an argument out of range; in the forward pass for ρ > 0 and a solution that is not of zeros and
            ones.

    Source: Paulus, Martius & Musil (2024), "LPGD: a general framework for backpropagation through embedded
    optimization layers", the lower, upper and average LPGD updates, for an objective linear in c.
    Not for: second derivatives (refused).

    >>> import combdiff.solvers
    >>> layer = LagrangianProximal(combdiff.solvers.TopK(3), tau=10.0)
    >>> theta = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> ((layer(theta) - torch.tensor([1.0, 0.0, 0.0])) ** 2).sum().backward()
    >>> theta.grad + 0.0
    tensor([-0.0500,  0.0000,  0.0500])
    """

    needs = replace(
        TargetLayer.needs,
        backward="2, of one side 1",
        solver="solutions of 0 and 1, for ρ > 0",
        bias="yes: a difference over the step τ, central by default",
        scale="nothing: divide θ by its mean or norm",
        use='as `Interpolation`, also where no better solution is near (`"upper"`, `"average"`)',
    )
    tau = Temperature()
    temperature = tau

    def __init__(
        self,
        solver: Solver,
        tau: float | Literal["auto"] | Schedule = 1.0,
        side: Side = "average",
        rho: float = 0.0,
        on_failure: OnFailure = "raise",
    ) -> None:
        super().__init__(solver, on_failure)
        if side not in get_args(Side):
            raise ValueError(f"side={side!r} is none of {', '.join(map(repr, get_args(Side)))}")
        if not 0.0 <= rho < float("inf"):
            raise ValueError(f"rho={rho!r} must be a finite number, at least 0")
        self.tau, self.side, self.rho = tau, side, float(rho)
        self.needs = replace(self.needs, backward="2" if side == "average" else "1")

    def _estimate(self, costs: Costs, instances: Sets) -> tuple[Costs, Report]:
        y, report = super()._estimate(costs, instances)
        if self.rho and bool(((y != 0.0) & (y != 1.0)).any()):
            raise ValueError(f"rho={self.rho} needs solutions of zeros and ones, for which its term is linear: use 0")
        return y, report

    def targets(self, costs: Answers, gradient: Costs, step: Step, y: Answers) -> Answers:
        """c + τ g, c − τ g or both, and the proximal term."""
        point = costs + self.rho * (0.5 - y) if self.rho else costs
        if self.side == "average":
            return torch.stack([point + step * gradient, point - step * gradient])
        return point + (step if self.side == "lower" else -step) * gradient

    def difference(self, y: Answers, moved: Answers, step: Step) -> Costs:
        """The difference of solutions over that of the costs."""
        if self.side == "average":
            return (moved[0] - moved[1]) / (2.0 * step)
        return (moved - y if self.side == "lower" else y - moved) / step

    def gained(self, gradient: Costs, y: Answers, moved: Answers) -> tuple[Costs, Costs, Costs]:
        """That of the side."""
        if self.side == "average":
            return gradient, y, moved[0]
        return (gradient if self.side == "lower" else -gradient), y, moved

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, tau={self.tau}, side={self.side!r}, rho={self.rho}"
