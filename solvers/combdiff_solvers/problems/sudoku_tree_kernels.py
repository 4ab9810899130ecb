"""The search tree of a Sudoku: its nodes, the conclusions from single options, and a greedy dive for a grid."""

from typing import NamedTuple

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel
from combdiff_solvers.problems.placement_kernels import LOW, Placements, Space, placements, space

DEPTH, NODES, BEST, STRICT, TIED = range(5)  # what Tree.state holds
DONE, FRESH = -1, -2  # Tree.state[DEPTH] of a search that has ended, and of one that has not begun
TRIES = 4  # nodes of a dive, for each cell


class Tree(NamedTuple):
    """A search that can be interrupted: its path from the root, and room for its kernels."""

    options: Array  # (depth, n, n): a bit for each digit that may stand in a cell
    price: Array  # (depth, n, n)
    bound: Array  # (depth,)
    branch: Array  # (depth, 3): row, column and digit that the next node of the path holds
    dive: Array  # (depth, n, n) and
    turn: Array  # (depth, 3): the options and branches of a dive
    loss: Array  # (digit, n, n): what the bound loses where a digit stands in a cell
    count: Array  # (n, n): how many placements take each cell
    here: Array  # (n, n): the prices of a step
    moved: Array  # (n, n): the step before
    columns: Array  # (digit, row): the placements
    state: Array  # DEPTH, NODES so far, BEST value, STRICT: looks for ties, TIED: has found one
    graph: Placements
    space: Space


def tree(n: int) -> Tree:
    """Room for a search of grids of order n."""
    graph = placements(n)
    deep, turns = (n * n + 1, n, n), (n * n + 1, 3)

    def zeros(*size: int) -> Array:
        return np.zeros(size, dtype=np.int64)

    return Tree(
        options=zeros(*deep), price=zeros(*deep), bound=zeros(n * n + 1), branch=zeros(*turns),
        dive=zeros(*deep), turn=zeros(*turns), loss=zeros(n, n, n), count=zeros(n, n),
        here=zeros(n, n), moved=np.zeros((n, n)), columns=zeros(n, n), state=zeros(5), graph=graph, space=space(graph),
    )  # fmt: skip


@kernel(counted=False)
def copy_cells(source: Array, target: Array) -> None:
    """Copy a square; an assignment of arrays takes seconds to compile."""
    for r in range(len(source)):
        for c in range(len(source)):
            target[r, c] = source[r, c]


@kernel(counted=False)
def _unit(kind: int, unit: int, place: int, box: int) -> tuple[int, int]:
    """Where a place of a row, a column or a box lies."""
    if kind == 0:
        return unit, place
    if kind == 1:
        return place, unit
    return unit // box * box + place // box, unit % box * box + place % box


@kernel(counted=False)
def settle(options: Array, box: int) -> bool:
    """Draw the conclusions of single options in a cell, row, column or box; whether none of these has run out."""
    n = box * box
    full = (1 << n) - 1
    again = True
    while again:
        again = False
        for kind in range(3):
            for unit in range(n):
                once = twice = fixed = 0
                for place in range(n):
                    r, c = _unit(kind, unit, place, box)
                    mask = options[r, c]
                    twice |= once & mask
                    once |= mask
                    if mask & (mask - 1) == 0:
                        if mask == 0 or fixed & mask:
                            return False
                        fixed |= mask
                if once != full:
                    return False
                alone = full & ~twice & ~fixed
                if fixed == full:
                    continue
                for place in range(n):
                    r, c = _unit(kind, unit, place, box)
                    mask = options[r, c]
                    if mask & (mask - 1):
                        kept = mask & alone
                        if kept == 0:
                            kept = mask & ~fixed
                        elif kept & (kept - 1):
                            return False
                        if kept != mask:
                            options[r, c] = kept
                            again = True
    return True


@kernel(inline="always")
def lowest(mask: int) -> int:
    """The lowest digit of a set."""
    d = 0
    while not (mask >> d) & 1:
        d += 1
    return d


@kernel(counted=False)
def keep(gain: Array, options: Array, tree: Tree, grid: Array) -> None:
    """Take the one grid that the options leave, if it is better than the best; say so if it ties with it."""
    n = len(grid)
    total = 0
    alike = True
    for r in range(n):
        for c in range(n):
            d = lowest(options[r, c])
            total += gain[d, r, c]
            alike &= grid[r, c] == d
    if total > tree.state[BEST]:
        tree.state[BEST] = total
        for r in range(n):
            for c in range(n):
                grid[r, c] = lowest(options[r, c])
    elif total == tree.state[BEST] and not alike:
        tree.state[TIED] = 1


@kernel(counted=False)
def choose(worth: Array, options: Array, turn: Array) -> bool:
    """Write the cell whose best option is ahead of the second by most, and that option; False where all are single."""
    n = len(options)
    most = -1
    for r in range(n):
        for c in range(n):
            mask = options[r, c]
            if mask & (mask - 1) == 0:
                continue
            best = second = LOW
            at = -1
            for d in range(n):
                if (mask >> d) & 1:
                    value = worth[d, r, c]
                    if value > best:
                        second = best
                        best = value
                        at = d
                    elif value > second:
                        second = value
            if best - second > most:
                most = best - second
                turn[0] = r
                turn[1] = c
                turn[2] = at
    return most >= 0


@kernel(counted=False)
def dive_for_grid(gain: Array, worth: Array, options: Array, tree: Tree, grid: Array) -> None:
    """Look for a grid greedily, with some steps back."""
    box = tree.graph.box
    dive, turn = tree.dive, tree.turn
    depth = 0
    copy_cells(options, dive[0])
    for _ in range(TRIES * box**4):
        if not settle(dive[depth], box):
            depth -= 1
            if depth < 0:
                return
            dive[depth, turn[depth, 0], turn[depth, 1]] &= ~(1 << turn[depth, 2])
        elif choose(worth, dive[depth], turn[depth]):
            copy_cells(dive[depth], dive[depth + 1])
            depth += 1
            dive[depth, turn[depth - 1, 0], turn[depth - 1, 1]] = 1 << turn[depth - 1, 2]
        else:
            keep(gain, dive[depth], tree, grid)
            return
