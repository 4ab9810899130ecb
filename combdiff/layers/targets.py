"""Layers whose backward pass solves again, for costs that were moved along the incoming gradient."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from combdiff import _bridge
from combdiff.autograd import with_vjp
from combdiff.errors import SolverError
from combdiff.layer import SolverLayer
from combdiff.needs import Needs
from combdiff.oracle import Costs, Report
from combdiff.temperature import Adaptive, Auto
from combdiff.temperature.adaptive import GAIN
from combdiff_solvers.protocol import Sets

MEASURED = 64  # rows of which an adaptive schedule is told

Step = float | Float[Tensor, "b 1"]
Answers = Float[Tensor, "... n"]  # (b, n), or with an axis of samples or sides before it


class TargetLayer(SolverLayer):
    """The base of finite differences along ∂L/∂y: `Interpolation`, `LagrangianProximal`, `ImplicitMLE`.

    A subclass says in `targets` which costs are solved for in the backward pass, and in `difference` what the gradient
    makes of their solutions. A row whose second solve fails gets no gradient; one whose target is not finite (a NaN,
    infinite or huge incoming gradient) gets a NaN gradient, as by autograd.
    """

    degree: Any = 0
    needs = Needs(
        backward="1", negative=True, no_potential="its gradient is a finite difference, not that of a function of theta"
    )

    def sample_noise(self, costs: Costs) -> Float[Tensor, "m b n"] | None:
        """What is added to the costs of each sample, forward and backward alike; None for one solve without noise."""
        return None

    def step(self, temperature: float, costs: Costs, gradient: Costs) -> Step:
        """How far along ∂L/∂y the costs are moved."""
        return temperature

    @abstractmethod
    def targets(self, costs: Answers, gradient: Costs, step: Step, y: Answers) -> Answers:
        """The costs to solve for."""

    @abstractmethod
    def difference(self, y: Answers, moved: Answers, step: Step) -> Costs:
        """The gradient, from the solutions of the forward pass and of the targets."""

    def gained(self, gradient: Costs, y: Answers, moved: Answers) -> tuple[Costs, Costs, Costs]:
        """A direction, a solution and one that costs less along it: what an adaptive schedule is to compare."""
        return gradient, y, moved

    def _estimate(self, costs: Costs, instances: Sets) -> tuple[Costs, Report]:
        noise, temperature = self.sample_noise(costs), self.temperature
        answer = self.oracle.solve(costs if noise is None else costs.detach() + noise, instances)
        schedule, auto = self.adaptive(temperature), temperature if isinstance(temperature, Auto) else None
        strength = 0.0 if auto is not None else float(temperature)

        def vjp(gradient: Tensor, costs: Tensor, y: Tensor, noise: Tensor | None) -> Tensor:
            if auto is not None:
                auto.choose(self, self.as_theta(costs), gradient=gradient, instances=instances)
            step = self.step(strength if auto is None else float(auto), costs, gradient)
            point = costs if noise is None else costs + noise
            target = self.targets(point, gradient, step, y)
            bad = _bridge.not_finite(target)
            if bad is not None:
                bad = bad.reshape(-1, *costs.shape).any(0).any(-1, keepdim=True)
                target = torch.where(bad, point, target)
            moved = self.oracle.solve(target, instances)
            if schedule is not None:
                self._measure_moves(schedule, *self.gained(gradient, y, moved.y), instances)
            change = self.difference(y, moved.y, step)
            if moved.report.failed is not None:
                change = change.masked_fill(moved.report.failed.to(costs.device).unsqueeze(-1), 0.0)
            return change if bad is None else change.masked_fill(bad, torch.nan)

        mean = answer.y.clone() if noise is None else answer.y.mean(0)
        return with_vjp(mean, vjp, costs, answer.y, noise, linear=False), answer.report

    def _measure_moves(self, schedule: Adaptive, gradient: Tensor, y: Tensor, moved: Tensor, instances: Any) -> None:
        """Give a schedule the share of what any step can gain of the linearised loss that is gained now.

        A solve of the gradient itself, a step of ∞, tells the most. (A row whose answer is right may have a gradient
        that moves it nowhere, as of the Hamming loss: it must not raise λ.) Without it: the share of rows that moved.
        """
        rows = gradient.isfinite().all(-1).nonzero().flatten()[:MEASURED]
        gradient, y, now = gradient[rows], y[rows], moved[rows]
        try:
            best = self.oracle.solve(gradient, _bridge.take(instances, rows)).y
        except SolverError:  # a solver that refuses some costs (negative ones) has to do without
            best = None
        gain = (gradient * (y - now)).sum(-1)  # at least 0
        small = 1e-6 * gradient.abs().sum(-1)
        if best is None:
            share, free = (gain > small).double(), small > 0
        else:
            most = torch.maximum((gradient * (y - best)).sum(-1), gain)
            share, free = gain.double() / most, most > small
        if bool(free.any()):
            schedule.feed(float(share[free].mean()), int(free.sum()), GAIN)
