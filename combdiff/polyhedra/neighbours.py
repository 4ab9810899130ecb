"""The vertices next to a solution."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from combdiff import _bridge
from combdiff.polyhedra.binding import inequalities
from combdiff.polyhedra.cone_kernels import extreme_rays
from combdiff.polyhedra.pivots import edges_at

LIMIT = 1e-7  # of a ray's length: nearer to the cone of the others it is none of its edges
PARALLEL = 1e-9


@dataclass
class Neighbours:
    """The edges of the feasible set at solutions y: v − y for each vertex v that is adjacent to y.

    y minimises ⟨c, ·⟩ if and only if ⟨c, e⟩ ≥ 0 for all edges e at y; one that is missing may hide that it does not.

    Attributes:
        points: (k, *shape), of all solutions: the vertices, or (without a base) the edges.
        mask: (*batch, k), which of them belong to each solution.
        base: (*batch, *shape), the solutions, to be taken from the points; None where the points are edges.
        complete: (*batch), whether all edges of a solution are known to be there.

    An index gives those of some of the solutions, as of the rows of a tensor.
    """

    points: Float[Tensor, k * shape]
    mask: Bool[Tensor, "*batch k"]
    base: Float[Tensor, "*batch *shape"] | None
    complete: Bool[Tensor, "*batch"]

    def __len__(self) -> int:
        return len(self.mask)

    def __getitem__(self, index: Any) -> Neighbours:
        base = None if self.base is None else self.base[index]
        return Neighbours(self.points, self.mask[index], base, self.complete[index])

    @property
    def edges(self) -> Float[Tensor, "*batch j *shape"]:
        """The edges of each solution, rows of zeros to fill up where it has fewer than others."""
        shape, batch = self.points.shape[1:], self.mask.shape[:-1]
        mask = self.mask.reshape(-1, len(self.points))
        most = int(mask.sum(1).max()) if mask.numel() else 0
        order = (~mask).to(torch.uint8).argsort(dim=1, stable=True)[:, :most]
        found = self.points.flatten(1)[order]
        if self.base is not None:
            found = found - self.base.reshape(len(mask), 1, -1)
        found = found.masked_fill(~mask.gather(1, order).unsqueeze(-1), 0.0)
        return found.reshape(*batch, most, *shape)

    @classmethod
    def among(cls, vertices: Float[Tensor, k * shape], y: Float[Tensor, "*dims"], complete: bool) -> Neighbours:
        """Those of a list of feasible points that are adjacent to each y, in the hull of the list and y.

        A point is adjacent where v − y is in no cone of the others: one projection for each pair of a point and
        another y, which is for hundreds of points, not for thousands.

        Args:
            vertices: (k, *shape), such as all solutions of a small problem, or those of a pool.
            y: (*batch, *shape).
            complete: whether the list has every vertex of the feasible set; of a part of them (a pool) the edges are
                those of its hull, which need not be edges of the feasible set, and some may be missing.

        Raises:
            ValueError: for shapes that do not fit.

        >>> corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> Neighbours.among(corners, corners[0], complete=True).edges
        tensor([[0., 1.],
                [1., 0.]])
        """
        shape = tuple(vertices.shape[1:])
        if not shape or tuple(y.shape[y.ndim - len(shape) :]) != shape:
            raise ValueError(f"y has shape {tuple(y.shape)}, but vertices of shape {shape} need (*batch, *{shape})")
        batch = y.shape[: y.ndim - len(shape)]
        points = vertices.detach().to("cpu", torch.float64).reshape(len(vertices), prod(shape))
        rows = y.detach().to("cpu", torch.float64).reshape(-1, prod(shape))
        distinct, own = torch.unique(rows, dim=0, return_inverse=True)
        mask = torch.zeros(len(distinct), len(points), dtype=torch.bool)
        for one, into in zip(distinct, mask, strict=True):
            into[_extreme(points - one)] = True
        mask = mask[own].reshape(*batch, len(points)).to(y.device)
        return cls(vertices.detach().to(y), mask, y.detach(), torch.full(batch, complete))

    @classmethod
    def by_pivots(
        cls,
        y: Float[Tensor, "*batch n"],
        *,
        A_ub: Float[Tensor, "rows n"] | None = None,
        b_ub: Float[Tensor, " rows"] | None = None,
        A_eq: Float[Tensor, "equations n"] | None = None,
        lower: float | Float[Tensor, " n"] | None = 0.0,
        upper: float | Float[Tensor, " n"] | None = None,
        most: int = 2000,
    ) -> Neighbours:
        """The edges of {A_ub x ≤ b_ub, A_eq x = b_eq, lower ≤ x ≤ upper} at its vertices y, by pivots of the LP.

        A vertex where n constraints bind, which is not degenerate, takes one basis. At a degenerate one all of its
        bases are visited, whose number may be exponential (2¹⁵ at a permutation of 6): after `most` of them the search
        ends, what was found are edges, and `complete` is False. O(k n) for each basis, of k constraints that bind.

        Of an integer program this is the LP relaxation: where that has other vertices, no loss along these edges means
        that y is optimal, but not the other way round.

        Args:
            y: (*batch, n), vertices of the polyhedron.
            A_ub, b_ub, A_eq, lower, upper: as for `binding_normals`; `constraints_of(solver)` has those of a model.
            most: bases to visit for each different y.

        Raises:
            ValueError: for a y that violates an inequality or a bound, or is no vertex.

        >>> Neighbours.by_pivots(torch.tensor([1.0, 0.0, 0.0]), A_eq=torch.ones(1, 3)).edges
        tensor([[-1.,  1.,  0.],
                [-1.,  0.,  1.]])
        """
        rows = y.detach().to("cpu", torch.float64).reshape(-1, y.shape[-1])
        distinct, own = torch.unique(rows, dim=0, return_inverse=True)
        edges, complete = [], []
        constraints = inequalities(distinct, A_ub, b_ub, lower, upper)
        equations = _bridge.to_rows(rows.new_zeros(0, y.shape[-1]) if A_eq is None else A_eq)
        normals = _bridge.to_rows(constraints.normals)
        for number, (slack, binds) in enumerate(zip(constraints.slack, constraints.binds, strict=True)):
            tight = [bool(bit) for bit in binds]
            loose = [not bit for bit in tight]
            room = _bridge.to_rows(slack[~binds].unsqueeze(0))[0]
            try:
                found, whole = edges_at(normals[tight], equations, normals[loose], room, most)
            except ValueError as error:
                raise ValueError(f"y[{int((own == number).nonzero()[0])}] of the flat batch: {error}") from error
            edges.append(torch.as_tensor(found))
            complete.append(whole)
        counts = torch.tensor([len(part) for part in edges], dtype=torch.int64)
        owner = torch.repeat_interleave(torch.arange(len(edges)), counts)
        batch = y.shape[:-1]
        mask = (own.unsqueeze(1) == owner).reshape(*batch, len(owner)).to(y.device)
        points = torch.cat([*edges, rows.new_zeros(0, y.shape[-1])]).to(y)
        return cls(points, mask, None, torch.tensor(complete, dtype=torch.bool)[own].reshape(batch))

    @classmethod
    def swaps(cls, y: Float[Tensor, "*batch n"]) -> Neighbours:
        """Of subsets of k out of n entries: one entry goes and another one comes, k(n − k) edges, all there are.

        Raises:
            ValueError: for rows that are not of zeros and ones with the same sum.

        >>> Neighbours.swaps(torch.tensor([1.0, 0.0, 0.0])).edges
        tensor([[-1.,  1.,  0.],
                [-1.,  0.,  1.]])
        """
        rows = y.detach().reshape(-1, y.shape[-1])
        sums = rows.sum(1)
        if not (((rows == 0) | (rows == 1)).all() and (sums == sums[:1]).all()):
            raise ValueError("y must be of zeros and ones, as many ones in each row: subsets of one size")
        n = rows.shape[1]
        gone, come = (~torch.eye(n, dtype=torch.bool, device=y.device)).nonzero().unbind(1)
        eye = torch.eye(n, dtype=y.dtype, device=y.device)
        mask = (y.detach()[..., gone] == 1) & (y.detach()[..., come] == 0)
        return cls(eye[come] - eye[gone], mask, None, torch.ones(y.shape[:-1], dtype=torch.bool))


def _extreme(rays: Float[Tensor, "k n"]) -> Int64[Tensor, " j"]:
    """The numbers of the extreme ones of some rays, the shortest of parallel ones."""
    length = torch.linalg.vector_norm(rays, dim=1)
    order = length.argsort(stable=True)
    order = order[length[order] > 0]
    unit = rays[order] / length[order].unsqueeze(1)
    kept: list[int] = []
    for number in range(len(unit)):
        if not kept or (unit[kept] - unit[number]).abs().amax(1).min() > PARALLEL:
            kept.append(number)
    unit, extreme = unit[kept].contiguous(), torch.zeros(len(kept), dtype=torch.uint8)
    _bridge.run_kernel(extreme_rays, len(kept), unit, LIMIT, extreme, grain=8)
    return order[kept][extreme > 0]
