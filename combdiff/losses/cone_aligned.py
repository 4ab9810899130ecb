"""CaVE: costs in the cone that makes the true solution optimal, without a solve."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from combdiff.autograd import not_compiled, with_gradient
from combdiff.losses.decision import Reduction
from combdiff.losses.solver_free import SolverFreeLoss
from combdiff.needs import missing
from combdiff.polyhedra.cones import project
from combdiff.polyhedra.neighbours import Neighbours
from combdiff_solvers.protocol import Solver

Cone = Literal["normals", "edges"]
NEGLIGIBLE = 1e-9  # of the size of the costs: a projection so short is zero


class ConeAlignedLoss(SolverFreeLoss):
    """One minus the cosine of the angle between −c and the cone of costs for which the true solution is optimal.

    For costs c to be minimised, the normal cone K of the feasible set at the true solution ȳ, and q the projection of
    −c on it,

        L(c; ȳ) = 1 − cos(−c, q)          ∇L = (q/‖q‖ + cos(−c, q) c/‖c‖) / ‖c‖

    L is from 0 to 1 (of the inner variant to 2), and zero if and only if −c ∈ K, that is where ȳ is optimal: the least
    of the relaxation whose constraints were given. It sees the direction of c alone (degree 0): nothing holds the
    scale, and where −c is opposite to all of K (q = 0, L = 1) it has no gradient. No solve in training: K is found
    once, as the normals of the constraints that bind at ȳ (`binding_normals`), or as the polar of the edges at ȳ
    (`Neighbours`), which must be complete. The projection is non-negative least squares, compiled, in float64.

    Not for: true costs beside the solutions, which it does not use; second derivatives (refused).

    Args:
        solver: whose θ it is (its sense and shape; it does not solve), or a layer, whose oracle is shared.
        cone: what forward is given, "normals" or "edges".
        inner: ρ from 0 to 1: aim at (1 − ρ) q/‖q‖ + ρ a instead of q, with a the mean of the unit normals, inside of
            the cone rather than on its border ("normals" only). The aim is then held fixed in the gradient.
        reduction: "mean" or "sum" over the rows, or "none".

    Source: Tang & Khalil (2024), "CaVE: a cone-aligned approach for fast predict-then-optimize with binary linear
    programs" (CaVE-E; `inner` is in the spirit of CaVE+, which stops an interior point method early to stay inside).

    >>> from combdiff.polyhedra import binding_normals
    >>> from combdiff.solvers import TopK
    >>> y_true = torch.tensor([1.0, 0.0])
    >>> normals = binding_normals(y_true, A_eq=torch.ones(1, 2))
    >>> loss = ConeAlignedLoss(TopK(2, sense="min"))
    >>> loss(torch.tensor([1.0, 3.0]), normals), loss(torch.tensor([3.0, 1.0]), normals)
    (tensor(0.), tensor(0.1056))
    """

    needs = replace(
        SolverFreeLoss.needs,
        solver="binding constraints of each true solution (`combdiff.polyhedra.binding_normals`), or all edges",
        bias="none",
        scale="nothing: the direction of θ alone counts",
        gradient_degree=-1,
        use="no solve in training: linear programs whose constraints are known",
    )

    degree = 0

    def __init__(
        self,
        solver: Solver | nn.Module,
        cone: Cone = "normals",
        inner: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(solver, reduction)
        if cone not in get_args(Cone):
            raise ValueError(f"cone={cone!r} is none of {', '.join(map(repr, get_args(Cone)))}")
        if not 0.0 <= inner < 1.0 or (inner and cone == "edges"):
            raise ValueError(f"inner={inner} must be from 0 to below 1, and 0 for edges, which have no mean normal")
        self.cone, self.inner = cone, inner

    @not_compiled
    def forward(
        self, theta: Float[Tensor, "*dims"], cone: Neighbours | Float[Tensor, "*edges"]
    ) -> Float[Tensor, "*reduced"]:
        """The loss of each row, reduced.

        Args:
            theta: (*batch, *solver.shape).
            cone: the outward normals of the constraints that bind at the true solution, or the edges there,
                (*batch, m, *solver.shape), rows of zeros to fill up; or the `Neighbours` that hold the edges.

        Raises:
            TypeError: for a cone that is no tensor, and as `Oracle.costs`.
            ValueError: for other shapes, what is not finite, or edges that are known to be incomplete.
        """
        costs = self.oracle.costs(theta)
        if cone is None:
            raise missing("cone", self)
        if isinstance(cone, Neighbours):
            if not bool(cone.complete.all()):
                raise ValueError("the edges are not complete: their polar is larger than the cone of optimal costs")
            cone = cone.edges
        rays, point = self.generators(self.cone, cone, theta, costs), -costs.detach()
        aim = project(point, rays) if self.cone == "normals" else point - project(point, rays)
        if self.inner:
            mean = torch.nn.functional.normalize(rays, dim=-1).sum(1)
            mean = mean / rays.any(-1).sum(1, keepdim=True).clamp(min=1)
            aim = (1.0 - self.inner) * torch.nn.functional.normalize(aim, dim=-1) + self.inner * mean
        size, reach = (torch.linalg.vector_norm(part, dim=-1, keepdim=True) for part in (point, aim))
        nothing = (size == 0) | (reach <= NEGLIGIBLE * size)
        size, reach = size.masked_fill(nothing, 1.0), reach.masked_fill(nothing, 1.0)
        cosine = (point * aim).sum(-1, keepdim=True).masked_fill(nothing, 0.0) / (size * reach)
        gradient = (aim / reach - cosine * point / size).masked_fill(nothing, 0.0) / size
        loss = (1.0 - cosine).squeeze(-1).clamp(min=0.0)
        return self.finish_unsolved(with_gradient(loss, gradient, costs), theta)
