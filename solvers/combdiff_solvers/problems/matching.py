"""Perfect matchings of a general graph."""

from __future__ import annotations

import numpy as np

from combdiff_solvers.compute.sums import unit_rows
from combdiff_solvers.compute.threads import for_rows
from combdiff_solvers.problems.edges import EdgeSolver
from combdiff_solvers.problems.matching_kernels import matchings
from combdiff_solvers.protocol import Rows, Sets, Solutions


class Matching(EdgeSolver):
    """The cheapest (or dearest) perfect matching of a graph, as a 0/1 vector over its edges.

    Solves min (or max) ⟨θ, y⟩ over the sets of edges that touch every vertex exactly once. The graph need not be
    bipartite (`Assignment` is faster where it is). θ may be negative.

    θ is rounded to integers for the search, after a scaling by a power of two that leaves 58 − log₂(vertices) bits for
    the largest entry; so the answer is optimal up to vertices² · 2⁻⁵⁷ · max|θ| (3e-16 · max|θ| · vertices for 50
    vertices), and exactly optimal where the entries of θ have so many bits between them, as all integers below 2⁴⁰ do
    for up to 10⁵ vertices.

    Args:
        edges: (edges, 2) integers, the ends of each edge; of parallel edges the best is taken, loops never.
        vertices: number of vertices; the largest in `edges` + 1 if None.
        sense: "min" or "max".
        threads: how many problems are solved at a time; every core if None.

    Raises:
        ValueError: for edges that are not pairs of vertices, or a graph without a perfect matching.

    Source: J. Edmonds (1965); the O(n³) form of Z. Galil (1986), "Efficient algorithms for finding maximum matching in
    graphs".

    >>> square = Matching([(0, 1), (1, 2), (2, 3), (3, 0)])
    >>> square.solve(np.array([[1.0, 5.0, 1.0, 0.0], [1.0, -5.0, 1.0, 0.0]])).y
    array([[1., 0., 1., 0.],
           [0., 1., 0., 1.]])
    """

    impossible = "has no perfect matching: some vertices cannot all be paired"

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        bits = 58 - int(np.ceil(np.log2(self.vertices + 1)))
        cost = np.rint(np.ldexp(self.sense.sign * unit_rows(theta), bits)).astype(np.int64)
        y, status = np.zeros_like(theta), np.zeros(len(theta), dtype=np.uint8)
        for_rows(matchings, len(theta), cost, self.edges, self.vertices, y, status, threads=self.threads)
        return Solutions.from_y(y, theta, self.sense, status, tolerance=self.vertices**2 * 2.0**-57)
