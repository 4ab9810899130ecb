"""Projection on the cone of some generators."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from combdiff import _bridge
from combdiff.polyhedra.cone_kernels import project_rows


def project(points: Float[Tensor, "b n"], generators: Float[Tensor, "b m n"]) -> Float[Tensor, "b n"]:
    """The nearest point of the cone {Σ λ_i g_i, λ ≥ 0} of each row: non-negative least squares, without a gradient.

    Exact up to rounding in float64, by an active set (Lawson & Hanson 1974, "Solving least squares problems", chapter
    23). O(k²) for each of about k steps, k the number of generators that the answer uses. By Moreau's decomposition
    `points - project(points, generators)` is the projection on the polar cone {z : ⟨z, g_i⟩ ≤ 0}.

    Args:
        points: (b, n), finite.
        generators: (b, m, n); rows of zeros are none.

    Raises:
        ValueError: for shapes that do not fit, or a generator that is not finite.

    >>> project(torch.tensor([[1.0, -2.0]]), torch.tensor([[[1.0, 0.0], [1.0, 1.0]]]))
    tensor([[1., 0.]])
    """
    if generators.ndim != 3 or generators.shape[::2] != points.shape:
        raise ValueError(
            f"generators have shape {tuple(generators.shape)}, but points {tuple(points.shape)} need "
            f"({points.shape[0]}, m, {points.shape[1]})"
        )
    if _bridge.not_finite(generators) is not None:
        raise ValueError("a generator is NaN or infinite: pad with rows of zeros")
    at, cone = (part.detach().to("cpu", torch.float64).contiguous() for part in (points, generators))
    found = torch.empty_like(at)
    _bridge.run_kernel(project_rows, len(at), at, cone, found, grain=4)
    return found.to(points)
