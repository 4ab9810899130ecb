"""LAVA: the true solution against its adjacent vertices, without a solve."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from combdiff.autograd import not_compiled
from combdiff.losses.decision import Reduction
from combdiff.losses.solver_free import SolverFreeLoss
from combdiff.oracle import Costs
from combdiff.polyhedra.neighbours import Neighbours
from combdiff.temperature import Schedule, Temperature
from combdiff_solvers.protocol import Solver


class AdjacentVerticesLoss(SolverFreeLoss):
    """How far each vertex adjacent to the true solution is from costing more than it by a margin.

    For costs c to be minimised, the true solution ȳ and the vertices v adjacent to it,

        L(c; ȳ) = Σ_v max(0, m − ⟨c, v − ȳ⟩)          ∇L = −Σ (v − ȳ) over the v short of the margin

    It is convex in c, never negative, and zero only where ȳ is optimal by the margin along every edge; for that all
    adjacent vertices have to be there. No solve in training: the edges v − ȳ are found once, for any solver:
    `Neighbours.swaps` for subsets, `Neighbours.by_pivots` for linear programs, `Neighbours.among` for small problems
    whose solutions are all known. Those of a `SolutionPool`, or of a search that was ended, are declared incomplete: L
    may then be zero where ȳ is not optimal.

    Args:
        solver: whose θ it is (its sense and shape; it does not solve), or a layer, whose oracle is shared.
        margin: the temperature m, a positive float or a schedule, in units of the objective: the least advantage of ȳ
            over each neighbour. It sets the scale of θ.
        reduction: "mean" or "sum" over the rows, or "none".

    Attributes:
        complete: whether all rows of the last call had all of their edges, None where that is not known (edges that
            were given as a bare tensor).

    Source: Berden, Mandi, Mahmutoğulları & Guns (2025), "Solver-free decision-focused learning for linear optimization
    problems" (NeurIPS 2025), the LAVA loss; its threshold is −m, and its value at the threshold −m is 0 here.

    >>> from combdiff.solvers import TopK
    >>> y_true = torch.tensor([1.0, 0.0, 0.0])
    >>> loss = AdjacentVerticesLoss(TopK(3, sense="min"), margin=1.0)
    >>> loss(torch.tensor([1.0, 1.5, 4.0]), Neighbours.swaps(y_true)), loss.complete
    (tensor(0.5000), True)
    """

    needs = replace(
        SolverFreeLoss.needs,
        solver="all neighbours of each true solution (`combdiff.polyhedra.Neighbours`)",
        bias="none: a subgradient of a convex hinge",
        scale="the margin",
        use="no solve in training: few neighbours, as of subsets and small graphs",
    )

    margin = Temperature()
    temperature = margin

    def __init__(
        self, solver: Solver | nn.Module, margin: float | Schedule = 1.0, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(solver, reduction)
        self.margin = margin
        self.complete: bool | None = None

    @not_compiled
    def forward(
        self, theta: Float[Tensor, "*dims"], edges: Neighbours | Float[Tensor, "*edges"]
    ) -> Float[Tensor, "*reduced"]:
        """The loss of each row, reduced.

        Args:
            theta: (*batch, *solver.shape).
            edges: v − ȳ for each vertex adjacent to the true solution, (*batch, k, *solver.shape), rows of zeros to
                fill up; or the `Neighbours` that hold them.

        Raises:
            TypeError: for edges that are no tensor, and as `Oracle.costs`.
            ValueError: for other shapes, or what is not finite.
        """
        costs = self.oracle.costs(theta)
        if isinstance(edges, Neighbours):
            self.complete = bool(edges.complete.all())
            slopes, there = self._of_neighbours(edges, theta, costs)
        else:
            rays, self.complete = self.generators("edges", edges, theta, costs), None
            slopes, there = torch.einsum("bn,bkn->bk", costs, rays), rays.any(-1)
        short = (float(self.margin) - slopes).clamp(min=0.0)
        return self.finish_unsolved((short * there).sum(1), theta)

    def _of_neighbours(
        self, edges: Neighbours, theta: Tensor, costs: Costs
    ) -> tuple[Float[Tensor, "b k"], Bool[Tensor, "b k"]]:
        """⟨c, e⟩ of all edges, and which are there."""
        shape, batch = tuple(edges.points.shape[1:]), tuple(edges.mask.shape[:-1])
        if (*batch, *shape) != tuple(theta.shape):
            raise ValueError(f"edges are of {batch} solutions of shape {shape}, but theta is {tuple(theta.shape)}")
        slopes = costs @ edges.points.flatten(1).to(costs).T
        if edges.base is not None:
            slopes = slopes - (costs * edges.base.reshape(costs.shape).to(costs)).sum(1, keepdim=True)
        return slopes, edges.mask.reshape(slopes.shape)
