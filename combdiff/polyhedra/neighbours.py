"""The vertices next to a solution."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff import _bridge
from combdiff.polyhedra.cone_kernels import extreme_rays

LIMIT = 1e-7  # of a ray's length: nearer to the cone of the others it is none of its edges
PARALLEL = 1e-9


@dataclass
class Neighbours:
    """The edges of the feasible set at solutions: v − y for each vertex v that is adjacent to y.

    y minimises ⟨c, ·⟩ if and only if ⟨c, e⟩ ≥ 0 for all edges e at y; one that is missing may hide that it does not.

    Attributes:
        edges: (*batch, k, *shape); rows of zeros fill up where a solution has fewer.
        complete: (*batch), whether all edges of a solution are known to be there.

    An index gives those of some of the solutions, as of the rows of a tensor.
    """

    edges: Float[Tensor, "*dims"]
    complete: Bool[Tensor, "*batch"]

    def __len__(self) -> int:
        return len(self.edges)

    def __getitem__(self, index: Any) -> Neighbours:
        return Neighbours(self.edges[index], self.complete[index])

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
        found = [_edges(points - one) for one in distinct]
        most = max((len(edges) for edges in found), default=0)
        padded = torch.zeros(len(distinct), most, prod(shape), dtype=torch.float64)
        for edges, into in zip(found, padded, strict=True):
            into[: len(edges)] = edges
        every = padded[own].to(y).reshape(*batch, most, *shape)
        return cls(every, torch.full(batch, complete))

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
        n, k = rows.shape[1], int(sums[0]) if len(rows) else 0
        order = rows.argsort(dim=1, descending=True, stable=True)
        eye = torch.eye(n, dtype=y.dtype, device=y.device)
        gone, come = eye[order[:, :k]], eye[order[:, k:]]
        edges = (come[:, None, :, :] - gone[:, :, None, :]).reshape(*y.shape[:-1], k * (n - k), n)
        return cls(edges, torch.ones(y.shape[:-1], dtype=torch.bool))


def _edges(rays: Float[Tensor, "k n"]) -> Float[Tensor, "j n"]:
    """The extreme ones of some rays, the shortest of parallel ones."""
    length = torch.linalg.vector_norm(rays, dim=1)
    rays = rays[length > 0]
    rays = rays[torch.linalg.vector_norm(rays, dim=1).argsort(stable=True)]
    unit = rays / torch.linalg.vector_norm(rays, dim=1, keepdim=True)
    kept: list[int] = []
    for number in range(len(rays)):
        if not kept or (unit[kept] - unit[number]).abs().amax(1).min() > PARALLEL:
            kept.append(number)
    unit, extreme = unit[kept].contiguous(), torch.zeros(len(kept), dtype=torch.uint8)
    _bridge.run_kernel(extreme_rays, len(kept), unit, LIMIT, extreme, grain=8)
    return rays[kept][extreme > 0]
