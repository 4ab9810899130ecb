"""Spanning trees of a graph."""

from __future__ import annotations

import numpy as np

from combdiff_solvers.compute.threads import for_rows
from combdiff_solvers.problems.allowed import AllowedInstances
from combdiff_solvers.problems.edges import EdgeSolver
from combdiff_solvers.problems.tree_kernels import trees
from combdiff_solvers.protocol import Rows, Sets, Solutions


class SpanningTreeInstances(AllowedInstances):
    """Which edges each row of a batch may use.

    Instances: `SpanningTreeInstances`, or a sequence of mappings with the key `allowed`.

    Args:
        allowed: (b, edges), true where an edge may be taken.

    >>> len(SpanningTreeInstances(allowed=np.ones((2, 5))))
    2
    """


class SpanningTree(EdgeSolver):
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

    impossible = "has no spanning tree: the edges do not connect all vertices"

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        y, status, messages = np.zeros_like(theta), np.zeros(len(theta), dtype=np.uint8), dict[int, str]()
        cost = SpanningTreeInstances.price(instances, self.sense.sign * theta, status, messages)
        for_rows(
            trees, len(theta), np.argsort(cost, axis=1, kind="stable"), cost, self.edges, self.vertices, y, status,
            threads=self.threads, grain=1 + 4096 // theta.shape[1],
        )  # fmt: skip
        return Solutions.from_y(y, theta, self.sense, status, messages)
