"""Differentiation of black-box solvers by interpolation."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch

from combdiff.layers.targets import Answers, Step, TargetLayer
from combdiff.oracle import Costs, OnFailure
from combdiff.temperature import Schedule, Temperature
from combdiff_solvers.protocol import Solver


class Interpolation(TargetLayer):
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

    needs = replace(
        TargetLayer.needs,
        bias="yes: the slope of an interpolation over the step λ",
        scale="nothing: divide θ by its mean or norm",
        use="a loss of exact solutions, where one more solve is cheap",
    )
    lam = Temperature()
    temperature = lam

    def __init__(
        self, solver: Solver, lam: float | Literal["auto"] | Schedule = 1.0, on_failure: OnFailure = "raise"
    ) -> None:
        super().__init__(solver, on_failure)
        self.lam = lam

    def targets(self, costs: Answers, gradient: Costs, step: Step, y: Answers) -> Answers:
        """c + λ g."""
        return torch.add(costs, gradient, alpha=step)  # type: ignore[arg-type]

    def difference(self, y: Answers, moved: Answers, step: Step) -> Costs:
        """(y(c + λ g) − y(c)) / λ."""
        return torch.sub(moved, y).div_(step)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, lam={self.lam}"
