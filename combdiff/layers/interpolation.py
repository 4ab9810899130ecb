"""Differentiation of black-box solvers by interpolation."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from combdiff import _bridge
from combdiff.autograd import with_vjp
from combdiff.errors import SolverError
from combdiff.layer import SolverLayer
from combdiff.oracle import Answer, Costs, OnFailure, Report
from combdiff.temperature import Adaptive, Auto, Schedule, Temperature
from combdiff_solvers.protocol import Sets, Solver

MEASURED = 64  # rows of which an adaptive schedule is told


class Interpolation(SolverLayer):
    """The solver's exact answer forward; backward the gradient of a piecewise linear interpolation.

    For costs c to be minimised and an incoming gradient g = ∂L/∂y, one more solve gives

        ∂L/∂c = (y(c + λ g) − y(c)) / λ

    The gradient says how to change c so that the better solution c + λg points at becomes optimal. The
    costs of the second solve may be negative: `ShortestPath` then needs `negative="clamp"` (or "exact").

    The layer is homogeneous of degree 0: it depends only on the direction of c, so nothing keeps c from shrinking to
    zero or growing without bound in training: divide the costs of each row by their mean (or norm) before the layer.

    Args:
        solver: what solves a batch of rows.
        lam: the temperature λ, a positive float, a schedule or "auto", in units of θ² over units of the loss: so large
            that λ · ∂L/∂y is of the size of θ. Too small, and the second solution never differs from the first.
        on_failure: "raise" or "mask", see `SolverLayer`; rows whose second solve fails get no gradient. A row whose
            c + λg is not finite (a NaN, infinite or huge incoming gradient) gets a NaN gradient, as by autograd.

    Source: Vlastelica et al. (2020), "Differentiation of blackbox combinatorial solvers", algorithm 1.
    Not for: second derivatives (refused).

    >>> import combdiff.solvers
    >>> layer = Interpolation(combdiff.solvers.TopK(3), lam=10.0)
    >>> theta = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> y = layer(theta)
    >>> y.detach()
    tensor([0., 0., 1.])
    >>> ((y - torch.tensor([1.0, 0.0, 0.0])) ** 2).sum().backward()
    >>> theta.grad  # descent makes the first entry larger and the last one smaller
    tensor([-0.1000, -0.0000,  0.1000])
    """

    lam = Temperature()
    temperature = lam
    degree = 0

    def __init__(
        self, solver: Solver, lam: float | Literal["auto"] | Schedule = 1.0, on_failure: OnFailure = "raise"
    ) -> None:
        super().__init__(solver, on_failure)
        self.lam = lam

    def _estimate(self, costs: Costs, instances: Sets) -> tuple[Costs, Report]:
        answer, schedule = self.oracle.solve(costs, instances), self.adaptive(self.lam)
        auto = self.lam if isinstance(self.lam, Auto) else None
        strength = 0.0 if auto is not None else float(self.lam)

        def vjp(gradient: Tensor, costs: Tensor, y: Tensor) -> Tensor:
            if auto is not None:
                self.ask(auto, costs, gradient, instances)
            lam = strength if auto is None else float(auto)
            target = torch.add(costs, gradient, alpha=lam)
            bad = _bridge.not_finite(target)
            if bad is not None:
                bad = bad.any(-1, keepdim=True)
                target = torch.where(bad, costs, target)
            moved = self.oracle.solve(target, instances)
            if schedule is not None:
                self._measure_moves(schedule, gradient, y, moved, instances)
            change = torch.sub(moved.y, y).div_(lam)
            if moved.report.failed is not None:
                change = change.masked_fill(moved.report.failed.to(costs.device).unsqueeze(-1), 0.0)
            return change if bad is None else change.masked_fill(bad, torch.nan)

        return with_vjp(answer.y.clone(), vjp, costs, answer.y, linear=False), answer.report

    def _measure_moves(self, schedule: Adaptive, gradient: Tensor, y: Tensor, moved: Answer, instances: Sets) -> None:
        """Give a schedule the share of what any λ can gain of the linearised loss that is gained now.

        A solve of the gradient itself, λ = ∞, tells the most. (A row whose answer is right may have a gradient that
        moves it nowhere, as of the Hamming loss: it must not raise λ.) Without it: the share of rows that moved.
        """
        rows = gradient.isfinite().all(-1).nonzero().flatten()[:MEASURED]
        gradient, y, now = gradient[rows], y[rows], moved.y[rows]
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
            schedule.feed(float(share[free].mean()), int(free.sum()))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, lam={self.lam}"
