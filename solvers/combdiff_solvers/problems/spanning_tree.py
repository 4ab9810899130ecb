"""Spanning trees of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Shaped
from numpy import ndarray

from combdiff_solvers.compute.threads import check_threads, for_rows
from combdiff_solvers.instances import ColumnInstances
from combdiff_solvers.problems.edges import as_edges
from combdiff_solvers.problems.tree_kernels import trees
from combdiff_solvers.protocol import BatchSolver, Sense, Solutions, Status

__all__ = ["SpanningTree", "SpanningTreeInstances"]


@dataclass(frozen=True, eq=False)
class SpanningTreeInstances(ColumnInstances):
    """Which edges each row of a batch may use.

    Instances: `SpanningTreeInstances`, or a sequence of mappings with the key `allowed`.

    Args:
        allowed: (b, edges), true where an edge may be taken.

    >>> len(SpanningTreeInstances(allowed=np.ones((2, 5))))
    2
    """

    allowed: Shaped[ndarray, "b edges"] | None = None


class SpanningTree(BatchSolver):
    """The minimum (or maximum) spanning tree of a graph, as a 0/1 vector over its edges.

    Solves min (or max) ⟨θ, y⟩ over the trees that reach every vertex. θ may be negative. Only comparisons of entries
    of θ are made, so the tree is exactly optimal; among equal edges the first ones are taken. A row whose `allowed`
    edges do not connect the graph is INFEASIBLE, alone.

    Args:
        edges: (edges, 2) integers, the ends of each edge; parallel edges and loops are fine (a loop is never taken).
        vertices: number of vertices; the largest in `edges` + 1 if None.
        sense: "min" or "max".
        threads: how many problems are solved at a time; every core if None.

    Raises:
        ValueError: for edges that are not pairs of vertices, or that do not connect the graph.

    Source: J. B. Kruskal (1956).

    >>> SpanningTree([(0, 1), (1, 2), (0, 2)]).solve(np.array([[1.0, 3.0, -2.0]])).y
    array([[1., 0., 1.]])
    """

    takes_instances = True

    def __init__(
        self,
        edges: ndarray | Sequence[tuple[int, int]],
        vertices: int | None = None,
        sense: Sense | str = Sense.MIN,
        threads: int | None = None,
    ) -> None:
        self.edges, self.vertices = as_edges(edges, vertices)
        self.shape: tuple[int, ...] = (len(self.edges),)
        self.sense = Sense(sense)
        self.threads = check_threads(threads)
        if self.solve(np.zeros((1, len(self.edges)))).status[0] != Status.OPTIMAL:
            raise ValueError(f"the {len(self.edges)} edges do not connect all {self.vertices} vertices: no tree does")

    def solve_checked(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> Solutions:
        y, status, messages = np.zeros_like(theta), np.zeros(len(theta), dtype=np.uint8), dict[int, str]()
        allowed = np.ones((1, *self.shape), dtype=np.uint8)
        if instances is not None and len(theta):
            given = SpanningTreeInstances.of(instances).flags("allowed", self.shape, messages)
            assert given is not None
            allowed = given.astype(np.uint8)
            status[list(messages)] = Status.ERROR
        order = np.argsort(self.sense.sign * theta, axis=1, kind="stable")
        for_rows(
            trees, len(theta), order, self.edges, self.vertices, allowed, y, status,
            threads=self.threads, grain=1 + 4096 // theta.shape[1],
        )  # fmt: skip
        y[status != Status.OPTIMAL] = np.nan
        return Solutions.from_y(y, theta, self.sense, status, messages)
