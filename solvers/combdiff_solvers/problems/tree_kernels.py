"""Spanning trees by Kruskal's algorithm. See `spanning_tree` for what it means."""

from __future__ import annotations

from typing import Any

import numpy as np

from combdiff_solvers.compute.kernels import kernel

Array = Any  # numba compiles these functions


@kernel()
def trees(
    first: int,
    last: int,
    order: Array,  # (b, edges), cheapest first
    edges: Array,  # (edges, 2)
    vertices: int,
    allowed: Array,  # (b or 1, edges)
    y: Array,  # (b, edges), zero
    status: Array,  # (b,); rows that are not 0 are left alone
) -> None:
    """Kruskal's algorithm with path halving."""
    root = np.empty(vertices, dtype=np.int64)
    for row in range(first, last):
        if status[row] != 0:
            continue
        may = allowed[row if len(allowed) > 1 else 0]
        for vertex in range(vertices):
            root[vertex] = vertex
        missing = vertices - 1
        for edge in order[row]:
            if missing == 0:
                break
            if not may[edge]:
                continue
            a, b = edges[edge, 0], edges[edge, 1]
            while root[a] != a:
                root[a] = root[root[a]]
                a = root[a]
            while root[b] != b:
                root[b] = root[root[b]]
                b = root[b]
            if a != b:
                root[a] = b
                y[row, edge] = 1.0
                missing -= 1
        if missing:
            status[row] = 2  # INFEASIBLE
