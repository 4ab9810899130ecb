"""Compiled shortest-path searches on directed graphs, over the rows of a batch. See `shortest_path` for their meaning.

Every kernel writes 1.0 into `y` on the path and its cost into `objective`, below which it proves `bound`, and says in
`status` how each row ended. A row whose status is not OPTIMAL to begin with is left alone; one whose costs could
overflow becomes HUGE. `negative` says what to do with negative costs: REFUSE makes the row an ERROR whose `objective`
is the entry of the first of them, CLAMP counts them as 0 and makes the row no more than FEASIBLE, EXACT (only without
cycles) takes them as they are.
"""

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel
from combdiff_solvers.problems.shortest_path.found import ERROR, EXACT, FEASIBLE, HUGE, INFEASIBLE, OPTIMAL, REFUSE
from combdiff_solvers.problems.shortest_path.heap_kernels import HEAP_SLACK, LARGE, ULP, pop, prove, push


@kernel()
def graph_paths(
    first: int,
    last: int,
    cost: Array,  # (b, edges)
    negative: int,  # REFUSE or CLAMP
    source: Array,  # (b or 1,)
    target: Array,  # (b or 1,)
    first_out: Array,  # (vertices + 1,): the edges of vertex v are out[first_out[v]:first_out[v + 1]]
    out: Array,  # (edges,) edge numbers by tail
    tail: Array,  # (edges,)
    head: Array,  # (edges,)
    y: Array,  # (b, edges), zero
    objective: Array,  # (b,)
    bound: Array,  # (b,), −inf
    status: Array,  # (b,)
) -> None:
    """Dijkstra's search on a directed graph with edge costs."""
    vertices = len(first_out) - 1
    distance = np.empty(vertices)
    came_by = np.empty(vertices, dtype=np.int64)
    keys = np.empty(len(head) + 1 + HEAP_SLACK)
    items = np.empty(len(head) + 1 + HEAP_SLACK, dtype=np.int64)
    for row in range(first, last):
        if status[row] != OPTIMAL:
            continue
        if negative != EXACT and cost[row].min() < 0.0:
            status[row] = ERROR if negative == REFUSE else FEASIBLE
            if negative == REFUSE:
                objective[row] = np.argmax(cost[row] < 0.0)
                continue
        distance[:] = np.inf
        start = source[row if len(source) > 1 else 0]
        goal = target[row if len(target) > 1 else 0]
        distance[start] = 0.0
        keys[0] = 0.0
        items[0] = start
        size = 1
        while size > 0:
            reached = keys[0]
            vertex = items[0]
            size = pop(keys, items, size)
            if vertex == goal:
                break
            if reached > distance[vertex]:
                continue
            for slot in range(first_out[vertex], first_out[vertex + 1]):
                edge = out[slot]
                other = head[edge]
                candidate = reached + max(cost[row, edge], 0.0)
                if candidate < distance[other]:
                    distance[other] = candidate
                    came_by[other] = edge
                    size = push(keys, items, size, candidate, other)
        if distance[goal] == np.inf and cost[row].max() > LARGE:
            status[row] = HUGE
            continue
        _trace(row, start, goal, cost, distance, came_by, tail, y, objective, status)
        if status[row] == OPTIMAL:  # sums of n costs, of which none is negative, are wrong by n ε of themselves at most
            prove(row, objective[row], objective[row] * (4 * len(head) * ULP), bound)


@kernel()
def acyclic_paths(
    first: int,
    last: int,
    cost: Array,  # (b, edges)
    negative: int,  # REFUSE, CLAMP or EXACT
    source: Array,  # (b or 1,)
    target: Array,  # (b or 1,)
    order: Array,  # (vertices,) in topological order
    first_in: Array,  # (vertices + 1,): the edges into order[i] are into[first_in[i]:first_in[i + 1]]
    into: Array,  # (edges,)
    tail: Array,  # (edges,)
    y: Array,  # (b, edges), zero
    objective: Array,  # (b,)
    bound: Array,  # (b,), −inf
    status: Array,  # (b,)
) -> None:
    """Shortest paths on a directed graph without cycles: one relaxation an edge, exact for any sign of cost."""
    vertices = len(order)
    distance = np.empty(vertices)
    came_by = np.empty(vertices, dtype=np.int64)
    tail_in = tail[into]
    for row in range(first, last):
        if status[row] != OPTIMAL:
            continue
        if negative != EXACT and cost[row].min() < 0.0:
            status[row] = ERROR if negative == REFUSE else FEASIBLE
            if negative == REFUSE:
                objective[row] = np.argmax(cost[row] < 0.0)
                continue
        floor = -np.inf if negative == EXACT else 0.0
        distance[:] = np.inf
        start = source[row if len(source) > 1 else 0]
        goal = target[row if len(target) > 1 else 0]
        distance[start] = 0.0
        total = 0.0
        for rank in range(vertices):
            vertex = order[rank]
            least = distance[vertex]
            best = -1
            for slot in range(first_in[rank], first_in[rank + 1]):
                price = cost[row, into[slot]]
                total += abs(price)
                candidate = distance[tail_in[slot]] + max(price, floor)
                nearer = candidate < least  # selected, not branched on: a coin toss cannot be predicted
                least = candidate if nearer else least
                best = into[slot] if nearer else best
            distance[vertex] = least
            came_by[vertex] = best
        if total > LARGE:
            status[row] = HUGE
            continue
        _trace(row, start, goal, cost, distance, came_by, tail, y, objective, status)
        if status[row] == OPTIMAL:
            prove(row, objective[row], total * (4 * len(into) * ULP), bound)


@kernel(inline="always")
def _trace(
    row: int, source: int, target: int, cost: Array, distance: Array, came_by: Array, tail: Array, y: Array,
    objective: Array, status: Array,
) -> None:  # fmt: skip
    """Mark the edges back from the target of a row, and add up their costs."""
    if distance[target] == np.inf:
        status[row] = INFEASIBLE
        return
    vertex = target
    objective[row] = 0.0
    while vertex != source:
        edge = came_by[vertex]
        y[row, edge] = 1.0
        objective[row] += cost[row, edge]
        vertex = tail[edge]
