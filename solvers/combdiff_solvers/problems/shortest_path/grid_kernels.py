"""Compiled shortest-path searches on grids, over the rows of a batch. See `shortest_path` for what they mean.

`graph_kernels` says what a kernel writes into `y`, `objective`, `bound` and `status`, and what `negative` means.
"""

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel
from combdiff_solvers.problems.shortest_path.found import ERROR, FEASIBLE, HUGE, INFEASIBLE, OPTIMAL, REFUSE
from combdiff_solvers.problems.shortest_path.heap_kernels import HEAP_SLACK, LARGE, ULP, pop, prove, push


@kernel()
def grid_paths(
    first: int,
    last: int,
    cost: Array,  # (b, rows * cols)
    negative: int,  # REFUSE or CLAMP; costs on walls do not count
    start: Array,  # (b,) vertex
    goal: Array,  # (b,) vertex
    walls: Array,  # (b or 1, rows * cols) uint8, 1 on an obstacle
    rows: int,
    cols: int,
    steps: Array,  # (4 or 8, 2): the moves
    y: Array,  # (b, rows * cols), zero
    objective: Array,  # (b,)
    bound: Array,  # (b,), −inf
    status: Array,  # (b,)
) -> None:
    """Dijkstra's search from both ends of a grid with vertex costs.

    With costs on the vertices, a vertex is final for a side when that side first reaches it: among its neighbours
    the one that is settled first has the least distance, and entering costs the same from each. So every
    vertex is pushed at most once a side and no key is ever decreased. A path that no vertex reached by both sides
    witnesses costs at least the sum of the two least keys, so the search may end when that sum has come up to the
    best meeting found.
    """
    width = cols + 2  # a border of walls takes the place of bounds checks
    cells = (rows + 2) * width
    offsets = steps[:, 0] * width + steps[:, 1]
    seen = np.full(cells, 3, dtype=np.uint8)  # bit 0: reached from the start, bit 1: from the goal; 3 on a wall
    price = np.empty(cells)
    distance = np.empty((2, cells))
    came_by = np.empty((2, cells), dtype=np.int8)
    all_keys = np.empty((2, rows * cols + HEAP_SLACK))
    all_items = np.empty((2, rows * cols + HEAP_SLACK), dtype=np.int32)
    size = np.empty(2, dtype=np.int64)
    ends = np.empty(2, dtype=np.int64)
    for row in range(first, last):
        if status[row] != OPTIMAL:
            continue
        wall = walls[row if len(walls) > 1 else 0]
        below_zero = -1
        largest = 0.0
        for r in range(rows):
            for c in range(cols):
                here = cost[row, r * cols + c]
                is_wall = wall[r * cols + c]
                if here < 0.0 and not is_wall and below_zero < 0:
                    below_zero = r * cols + c
                seen[(r + 1) * width + c + 1] = 3 * is_wall
                price[(r + 1) * width + c + 1] = max(here, 0.0)
                largest = max(largest, here)
        if below_zero >= 0 and negative == REFUSE:
            status[row] = ERROR
            objective[row] = below_zero
            continue
        if largest > LARGE:
            status[row] = HUGE
            continue
        ends[0] = (start[row] // cols + 1) * width + start[row] % cols + 1
        ends[1] = (goal[row] // cols + 1) * width + goal[row] % cols + 1
        if seen[ends[0]] or seen[ends[1]]:
            status[row] = INFEASIBLE
            continue
        best = np.inf
        meeting = -1
        for side in range(2):
            end = ends[side]
            seen[end] |= side + 1
            distance[side, end] = price[end]
            all_keys[side, 0] = price[end]
            all_items[side, 0] = end
            size[side] = 1
        if ends[0] == ends[1]:
            best = price[ends[0]]
            meeting = ends[0]
        while size[0] > 0 and size[1] > 0 and all_keys[0, 0] + all_keys[1, 0] < best:
            side = 0 if all_keys[0, 0] <= all_keys[1, 0] else 1
            bit = side + 1
            keys = all_keys[side]
            items = all_items[side]
            near = distance[side]
            far = distance[1 - side]
            moves = came_by[side]
            reached = keys[0]
            vertex = items[0]
            entries = pop(keys, items, size[side])
            for move in range(len(offsets)):
                other = vertex + offsets[move]
                was_seen = seen[other]
                if not was_seen & bit:
                    candidate = reached + price[other]
                    if was_seen and candidate + far[other] - price[other] < best:
                        best = candidate + far[other] - price[other]
                        meeting = other
                    seen[other] = was_seen | bit
                    near[other] = candidate
                    moves[other] = move
                    entries = push(keys, items, entries, candidate, other)
            size[side] = entries
        if meeting < 0:
            status[row] = INFEASIBLE
            continue
        _mark(y[row], width, meeting, ends[0], offsets, came_by[0])
        # Over vertices that cost nothing the two halves can cross: cut the loop between.
        last_shared = vertex = meeting
        while vertex != ends[1]:
            vertex -= offsets[came_by[1, vertex]]
            if y[row, _cell(vertex, width)]:
                last_shared = vertex
        if last_shared != meeting:
            y[row, :] = 0.0
            _mark(y[row], width, last_shared, ends[0], offsets, came_by[0])
        _mark(y[row], width, last_shared, ends[1], offsets, came_by[1])
        total = 0.0
        for entry in range(rows * cols):
            total += y[row, entry] * cost[row, entry]
        objective[row] = total
        if below_zero >= 0:
            status[row] = FEASIBLE
        else:
            prove(row, total, total * (4 * rows * cols * ULP), bound)


@kernel(inline="always")
def _cell(vertex: int, width: int) -> int:
    """The number in the grid of a vertex of the grid with its border."""
    return (vertex // width - 1) * (width - 2) + vertex % width - 1


@kernel(inline="always")
def _mark(y: Array, width: int, vertex: int, end: int, offsets: Array, moves: Array) -> None:
    """Write 1.0 along the moves back from a vertex to the end of its side."""
    y[_cell(vertex, width)] = 1.0
    while vertex != end:
        vertex -= offsets[moves[vertex]]
        y[_cell(vertex, width)] = 1.0
