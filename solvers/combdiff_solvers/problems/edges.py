"""The edges of an undirected graph, as they are given by a user."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64
from numpy import ndarray


def as_edges(edges: ndarray | Sequence[tuple[int, int]], vertices: int | None) -> tuple[Int64[ndarray, "m 2"], int]:
    """Check edges; they and the number of vertices.

    Raises:
        ValueError: when they are not pairs of vertices, or there are none.
    """
    pairs = np.asarray(edges)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not len(pairs) or not np.issubdtype(pairs.dtype, np.integer):
        raise ValueError(
            f"edges has shape {pairs.shape} and type {pairs.dtype}, but a graph is (edges, 2) integers, "
            "the two ends of each edge, and at least one edge"
        )
    count = int(pairs.max()) + 1 if vertices is None else vertices
    if pairs.min() < 0 or pairs.max() >= count:
        edge = int(np.argmax(((pairs < 0) | (pairs >= count)).any(axis=1)))
        raise ValueError(f"edge {edge} is {tuple(pairs[edge].tolist())}, but vertices are 0..{count - 1}")
    return np.ascontiguousarray(pairs, dtype=np.int64), count
