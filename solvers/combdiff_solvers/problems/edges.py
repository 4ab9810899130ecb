"""Solvers over the edges of an undirected graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from combdiff_solvers.compute.threads import check_threads
from combdiff_solvers.protocol import BatchSolver, Sense, Status


def as_edges(edges: Any, vertices: int | None, ends: str) -> tuple[Int64[ndarray, "edges 2"], int]:
    """The edges of a graph that a user gave, checked, and the number of its vertices; `ends` is what an edge holds."""
    pairs = np.asarray(edges)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not len(pairs) or not np.issubdtype(pairs.dtype, np.integer):
        raise ValueError(
            f"edges has shape {pairs.shape} and type {pairs.dtype}, but a graph is (edges, 2) integers, "
            f"{ends} of each edge, and at least one edge"
        )
    count = int(pairs.max()) + 1 if vertices is None else vertices
    outside = ((pairs < 0) | (pairs >= count)).any(axis=1)
    if outside.any():
        edge = int(np.argmax(outside))
        raise ValueError(f"edge {edge} is {tuple(pairs[edge].tolist())}, but vertices are 0..{count - 1}")
    return np.ascontiguousarray(pairs, dtype=np.int64), count


class EdgeSolver(BatchSolver):
    """y is a set of edges of one graph, as a 0/1 vector.

    Raises:
        ValueError: when the edges are not pairs of vertices, or there are none, or the graph has no solution.

    Attributes:
        impossible: what a graph without a solution is, for the error; empty where every graph has one.
    """

    impossible = ""

    def __init__(
        self,
        edges: ndarray | Sequence[tuple[int, int]],
        vertices: int | None = None,
        sense: Sense | str = Sense.MIN,
        threads: int | None = None,
    ) -> None:
        self.edges, self.vertices = as_edges(edges, vertices, "the two ends")
        self.shape, self.sense = (len(self.edges),), Sense(sense)
        self.threads = check_threads(threads)
        if self.impossible and self.solve(np.zeros((1, *self.shape))).status[0] != Status.OPTIMAL:
            raise ValueError(f"the graph of {self.vertices} vertices and {len(self.edges)} edges {self.impossible}")
