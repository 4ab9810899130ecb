"""The solver as minus the identity in the backward pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor

from combdiff.autograd import with_vjp
from combdiff.layer import SolverLayer
from combdiff.needs import Needs
from combdiff.oracle import Costs, OnFailure, Report
from combdiff_solvers.protocol import Sets, Solver

Projection = Literal["none", "mean", "norm", "mean-norm"]


class Identity(SolverLayer):
    """The solver's exact answer forward; backward minus the incoming gradient, through a projection of the costs.

    For costs c to be minimised, a larger c makes y smaller: the solver stands in as −1, with no solve backward. For a
    projection P of c that no answer depends on, the gradient is that of −P(c), along an incoming g = ∂L/∂y:

        none         ∂L/∂c = −g
        mean         ∂L/∂c = −(g − ḡ)                        P(c) = c − c̄
        norm         ∂L/∂c = −(g − ⟨g, p⟩ p) / ‖c‖           P(c) = p = c / ‖c‖
        mean-norm    both, one after the other               P(c) = (c − c̄) / ‖c − c̄‖

    The forward pass is y(c) under each. "norm" suits every linear objective; "mean" one whose solutions have all the
    same number of ones (assignments, subsets, rankings), as it never changes the level of c. A row whose ‖c‖ (‖c − c̄‖)
    is zero has no direction: its gradient is 0, and `stats.no_gradient` counts its entries.

    Scale: homogeneous of degree 0. Without "norm" nothing holds c: the Hamming loss has a constant g, which no change
    of y ever stops. The gradient of "norm" is at a right angle to c, so that a step along it never shrinks c. There is
    no temperature.

    Args:
        solver: what solves a batch of rows.
        projection: "none", "mean", "norm" or "mean-norm".
        on_failure: "raise" or "mask", see `SolverLayer`.

    Raises:
        ValueError: for another projection.

    Source: Sahoo, Paulus, Vlastelica, Musil, Kuleshov & Martius (2023), "Backpropagation through combinatorial
    algorithms: identity with projection works", algorithm and projections of section 3.
    Not for: second derivatives (refused), or losses far from linear in y, of which g says little.

    >>> import combdiff.solvers
    >>> layer = Identity(combdiff.solvers.TopK(3), "mean")
    >>> theta = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> y = layer(theta)
    >>> ((y - torch.tensor([1.0, 0.0, 0.0])) ** 2).sum().backward()
    >>> y.detach(), theta.grad  # θ is maximised: descent makes the first entry larger
    (tensor([0., 0., 1.]), tensor([-2.,  0.,  2.]))
    """

    degree = 0
    needs = Needs(
        no_potential="its gradient is that of another function than its answer",
        bias="yes: minus the incoming gradient, whatever the solver is",
        scale='held by `projection="norm"`, the default',
        gradient_degree=-1,
        use="slow solvers, as no step costs less; losses near linear in y",
    )

    def __init__(self, solver: Solver, projection: Projection = "norm", on_failure: OnFailure = "raise") -> None:
        super().__init__(solver, on_failure)
        if projection not in get_args(Projection):
            raise ValueError(f"projection={projection!r} is none of {', '.join(map(repr, get_args(Projection)))}")
        self.projection = projection
        self.needs = replace(self.needs, gradient_degree=-1 if projection.endswith("norm") else 0)

    @property
    def temperature(self) -> None:
        """None: it has none."""
        return None

    def _estimate(self, costs: Costs, instances: Sets) -> tuple[Costs, Report]:
        answer = self.oracle.solve(costs, instances)
        return with_vjp(answer.y, self._vjp, costs), answer.report

    def _vjp(self, gradient: Tensor, costs: Tensor) -> Tensor:
        result = -gradient
        centred = self.projection.startswith("mean")
        if self.projection.endswith("norm"):
            point = costs - costs.mean(-1, keepdim=True) if centred else costs
            size = torch.linalg.vector_norm(point, dim=-1, keepdim=True)
            zero = size <= torch.finfo(size.dtype).tiny
            self.stats.no_gradient += int(zero.sum()) * costs.shape[-1]
            size = size.masked_fill(zero, torch.inf)
            direction = point / size
            result = (result - (result * direction).sum(-1, keepdim=True) * direction) / size
        return result - result.mean(-1, keepdim=True) if centred else result

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, projection={self.projection!r}"
