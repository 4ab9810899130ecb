"""Compiled shortest-path searches over the rows of a batch. See `shortest_path` for what they mean.

Every kernel writes a status (the values of `Status`) a row, and 1.0 in `y` on the path.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

OPTIMAL, INFEASIBLE = 0, 2  # as in protocol.Status

# Plain annotations: numba compiles these functions, a run-time type checker has no place in them.
Array = Any


@njit(nogil=True, cache=True, inline="always")
def _push(keys: Array, items: Array, size: int, key: float, item: int) -> int:
    """Add an item to a binary heap of `size` entries; the new size."""
    at = size
    while at > 0:
        parent = (at - 1) >> 1
        if keys[parent] <= key:
            break
        keys[at] = keys[parent]
        items[at] = items[parent]
        at = parent
    keys[at] = key
    items[at] = item
    return size + 1


@njit(nogil=True, cache=True, inline="always")
def _pop(keys: Array, items: Array, size: int) -> int:
    """Remove the top of a binary heap of `size` entries; the new size."""
    size -= 1
    key = keys[size]
    item = items[size]
    at = 0
    child = 1
    while child < size:
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[at] = keys[child]
        items[at] = items[child]
        at = child
        child = 2 * at + 1
    keys[at] = key
    items[at] = item
    return size


@njit(nogil=True, cache=True)
def grid_paths(
    first: int,
    last: int,
    cost: Array,  # (b, rows * cols), not negative where free
    start: Array,  # (b,) vertex
    goal: Array,  # (b,) vertex
    blocked: Array,  # (b or 1, rows * cols) uint8
    rows: int,
    cols: int,
    steps: Array,  # (4 or 8, 2): the moves
    y: Array,  # (b, rows * cols), zero
    status: Array,  # (b,); rows that are already refused (not OPTIMAL) are left alone
) -> None:
    """Dijkstra's search on a grid with vertex costs, from start to goal, both paid for.

    With costs on the vertices a vertex is final when it is first reached: among its neighbours the one that is
    settled first has the least distance, and entering costs the same from each. So every vertex is
    pushed once, no key is ever decreased, and the search ends when the goal is reached.
    """
    width = cols + 2  # a border of closed vertices takes the place of bounds checks
    offsets = steps[:, 0] * width + steps[:, 1]
    moves = len(offsets)
    template = np.ones((rows + 2) * width, dtype=np.uint8)
    closed = np.empty_like(template)
    padded_cost = np.empty((rows + 2) * width)
    came_by = np.empty((rows + 2) * width, dtype=np.int8)
    keys = np.empty(rows * cols + 1)
    items = np.empty(rows * cols + 1, dtype=np.int32)
    for row in range(first, last):
        if status[row] != OPTIMAL:
            continue
        walls = blocked[row if len(blocked) > 1 else 0]
        for r in range(rows):
            for c in range(cols):
                template[(r + 1) * width + c + 1] = walls[r * cols + c]
                padded_cost[(r + 1) * width + c + 1] = cost[row, r * cols + c]
        closed[:] = template
        source = (start[row] // cols + 1) * width + start[row] % cols + 1
        target = (goal[row] // cols + 1) * width + goal[row] % cols + 1
        if closed[source] or closed[target]:
            status[row] = INFEASIBLE
            continue
        closed[source] = 1
        keys[0] = padded_cost[source]
        items[0] = source
        size = 1
        while size > 0 and not closed[target]:
            distance = keys[0]
            vertex = items[0]
            size = _pop(keys, items, size)
            for move in range(moves):
                other = vertex + offsets[move]
                if not closed[other]:
                    closed[other] = 1
                    came_by[other] = move
                    size = _push(keys, items, size, distance + padded_cost[other], other)
        if not closed[target]:
            status[row] = INFEASIBLE
            continue
        vertex = target
        while True:
            y[row, (vertex // width - 1) * cols + vertex % width - 1] = 1.0
            if vertex == source:
                break
            vertex -= offsets[came_by[vertex]]


@njit(nogil=True, cache=True)
def graph_paths(
    first: int,
    last: int,
    cost: Array,  # (b, edges), not negative
    source: Array,  # (b,)
    target: Array,  # (b,)
    first_out: Array,  # (vertices + 1,): the edges of vertex v are out[first_out[v]:first_out[v + 1]]
    out: Array,  # (edges,) edge numbers by tail
    tail: Array,  # (edges,)
    head: Array,  # (edges,)
    y: Array,  # (b, edges), zero
    status: Array,  # (b,)
) -> None:
    """Dijkstra's search on a directed graph with edge costs."""
    vertices = len(first_out) - 1
    distance = np.empty(vertices)
    came_by = np.empty(vertices, dtype=np.int64)
    keys = np.empty(len(head) + 2)
    items = np.empty(len(head) + 2, dtype=np.int64)
    for row in range(first, last):
        if status[row] != OPTIMAL:
            continue
        distance[:] = np.inf
        distance[source[row]] = 0.0
        keys[0] = 0.0
        items[0] = source[row]
        size = 1
        while size > 0:
            reached = keys[0]
            vertex = items[0]
            size = _pop(keys, items, size)
            if vertex == target[row]:
                break
            if reached > distance[vertex]:
                continue
            for slot in range(first_out[vertex], first_out[vertex + 1]):
                edge = out[slot]
                other = head[edge]
                candidate = reached + cost[row, edge]
                if candidate < distance[other]:
                    distance[other] = candidate
                    came_by[other] = edge
                    size = _push(keys, items, size, candidate, other)
        _trace(row, source[row], target[row], distance, came_by, tail, y, status)


@njit(nogil=True, cache=True)
def acyclic_paths(
    first: int,
    last: int,
    cost: Array,  # (b, edges), of any sign
    source: Array,  # (b,)
    target: Array,  # (b,)
    vertices: int,
    order: Array,  # (edges,) edge numbers, sorted by the topological rank of the tail
    tail: Array,  # (edges,)
    head: Array,  # (edges,)
    y: Array,  # (b, edges), zero
    status: Array,  # (b,)
) -> None:
    """Shortest paths on a directed graph without cycles: one relaxation an edge, exact for any sign of cost."""
    distance = np.empty(vertices)
    came_by = np.empty(vertices, dtype=np.int64)
    for row in range(first, last):
        if status[row] != OPTIMAL:
            continue
        distance[:] = np.inf
        distance[source[row]] = 0.0
        for edge in order:
            candidate = distance[tail[edge]] + cost[row, edge]
            if candidate < distance[head[edge]]:
                distance[head[edge]] = candidate
                came_by[head[edge]] = edge
        _trace(row, source[row], target[row], distance, came_by, tail, y, status)


@njit(nogil=True, cache=True, inline="always")
def _trace(
    row: int, source: int, target: int, distance: Array, came_by: Array, tail: Array, y: Array, status: Array
) -> None:
    if distance[target] == np.inf:
        status[row] = INFEASIBLE
        return
    vertex = target
    while vertex != source:
        y[row, came_by[vertex]] = 1.0
        vertex = tail[came_by[vertex]]
