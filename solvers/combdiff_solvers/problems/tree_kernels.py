"""Spanning trees by Kruskal's algorithm. See `spanning_tree` for what it means."""

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel


@kernel()
def _root_of(parent: Array, vertex: int) -> int:
    """The root of a vertex; the paths to it are halved."""
    while parent[vertex] != vertex:
        parent[vertex] = parent[parent[vertex]]
        vertex = parent[vertex]
    return vertex


@kernel()
def trees(
    first: int,
    last: int,
    order: Array,  # (b, edges), cheapest first
    cost: Array,  # (b, edges); infinite where an edge may not be taken
    edges: Array,  # (edges, 2)
    vertices: int,
    y: Array,  # (b, edges), zero
    status: Array,  # (b,); rows that are not 0 are left alone
) -> None:
    """Kruskal's algorithm."""
    for row in range(first, last):
        if status[row] != 0:
            continue
        parent = np.arange(vertices)
        missing = vertices - 1
        for edge in order[row]:
            if missing == 0 or cost[row, edge] == np.inf:
                break
            a, b = _root_of(parent, edges[edge, 0]), _root_of(parent, edges[edge, 1])
            if a != b:
                parent[a] = b
                y[row, edge] = 1.0
                missing -= 1
        if missing:
            status[row] = 2  # INFEASIBLE
