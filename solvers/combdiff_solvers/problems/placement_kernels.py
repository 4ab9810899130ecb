"""The best placement of one digit of a Sudoku: one cell in each row, column and box. See `sudoku` for what it is for.

The bands of boxes are filled one after the other. In a band, a choice says which column of each stack is taken, and the
rows are shared out among the stacks. Between bands it matters only which columns of each stack are gone: a node of the
graph in `Placements`. So the 46,656 placements of the 9 × 9 grid are searched by some 700 additions.
"""

from functools import lru_cache
from itertools import combinations, product
from math import isqrt
from typing import NamedTuple

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel

BARRED = -(2**58)  # the weight of a cell that may not be taken; those of others are below 2^52
LOW = -(2**63)


class Placements(NamedTuple):
    """The graph of the columns that are gone, by bands: node 0 is before the first, and the last one is full."""

    box: int
    start: Array  # the edges into node v are start[v]..start[v + 1]−1
    tail: Array  # of each edge
    choice: Array  # of each edge: the columns that it takes, in base box, the first stack's foremost
    band: Array  # of each edge


class Space(NamedTuple):
    """What the kernels of one digit write into."""

    weight: Array  # (n, n): the worth of each cell
    part: Array  # (band, set of rows, choice): the best of the first stacks' choices in these rows
    reach: Array  # the best way to each node
    back: Array  # the best way from each node to the last
    rest: Array  # (set of rows, choice): the best of all but `part`
    through: Array  # (n, n): the best placement that takes each cell
    columns: Array  # (n,): the column of the best placement in each row


@lru_cache
def placements(n: int) -> Placements:
    """The graph for a grid of order n.

    >>> [len(table) for table in placements(9)[1:]]
    [57, 270, 270, 270]
    """
    box = isqrt(n)
    sets = [list(product(combinations(range(box), taken), repeat=box)) for taken in range(box + 1)]
    numbers = {node: number for number, node in enumerate(node for band in sets for node in band)}
    edges = []
    for node, number in numbers.items():
        for columns in product(*([column for column in range(box) if column not in gone] for gone in node)):
            full = tuple(tuple(sorted((*gone, column))) for gone, column in zip(node, columns, strict=True))
            choice = sum(column * box ** (box - 1 - stack) for stack, column in enumerate(columns))
            edges.append((numbers[full], number, choice, len(node[0])))
    head, tail, choice_of, band = np.array(sorted(edges), dtype=np.int64).T.copy()
    return Placements(box, np.searchsorted(head, np.arange(len(numbers) + 1)), tail, choice_of, band)


def space(graph: Placements) -> Space:
    """Room for the kernels."""
    box, n, nodes = graph.box, graph.box**2, len(graph.start) - 1
    sizes = (n, n), (box, 2**box, box**box), (nodes,), (nodes,), (2**box, box**box), (n, n), (n,)
    return Space(*(np.zeros(size, dtype=np.int64) for size in sizes))


@kernel(inline="always")
def _size(rows: int) -> int:
    """How many there are in a set, a number with one bit for each."""
    count = 0
    while rows:
        rows &= rows - 1
        count += 1
    return count


@kernel(counted=False)
def best_placement(graph: Placements, space: Space) -> int:
    """The weight of the best placement; below BARRED / 2 where each takes a barred cell."""
    box, weight, reach = graph.box, space.weight, space.reach
    full = (1 << box) - 1
    for band in range(box):
        part = space.part[band]
        for rows in range(1, full + 1):
            stack = _size(rows) - 1
            size = box**stack
            part[rows, : size * box] = LOW
            for i in range(box):
                if (rows >> i) & 1:
                    for choice in range(size):
                        for column in range(box):
                            value = part[rows ^ (1 << i), choice] + weight[band * box + i, stack * box + column]
                            if value > part[rows, choice * box + column]:
                                part[rows, choice * box + column] = value
    for node in range(1, len(reach)):
        best = LOW
        for edge in range(graph.start[node], graph.start[node + 1]):
            value = reach[graph.tail[edge]] + space.part[graph.band[edge], full, graph.choice[edge]]
            if value > best:
                best = value
        reach[node] = best
    return reach[len(reach) - 1]


@kernel(counted=False)
def read_placement(graph: Placements, space: Space) -> None:
    """Write the columns of the placement that `best_placement` found."""
    box, part = graph.box, space.part
    node = len(space.reach) - 1
    while node > 0:
        rows = (1 << box) - 1
        edge = graph.start[node]
        while space.reach[graph.tail[edge]] + part[graph.band[edge], rows, graph.choice[edge]] != space.reach[node]:
            edge += 1
        band, choice = graph.band[edge], graph.choice[edge]
        for stack in range(box - 1, -1, -1):
            column = stack * box + choice % box
            before = choice // box
            for i in range(box):
                row = band * box + i
                if (rows >> i) & 1 and (
                    part[band, rows ^ (1 << i), before] + space.weight[row, column] == part[band, rows, choice]
                ):
                    space.columns[row] = column
                    rows ^= 1 << i
                    break
            choice = before
        node = graph.tail[edge]


@kernel(counted=False)
def best_through_each(graph: Placements, space: Space) -> None:
    """Write the weight of the best placement that takes each cell; to be called after `best_placement`."""
    box, back, rest, through = graph.box, space.back, space.rest, space.through
    full = (1 << box) - 1
    back[:] = LOW
    back[len(back) - 1] = 0
    through[:] = LOW
    last = len(back) - 1
    for band in range(box - 1, -1, -1):
        part = space.part[band]
        rest[:] = LOW
        first = last  # the nodes that this band leads to are first + 1..last
        while first > 0 and graph.band[graph.start[first]] == band:
            first -= 1
        for node in range(first + 1, last + 1):
            for edge in range(graph.start[node], graph.start[node + 1]):
                tail, choice = graph.tail[edge], graph.choice[edge]
                rest[full, choice] = max(rest[full, choice], space.reach[tail] + back[node])
                back[tail] = max(back[tail], part[full, choice] + back[node])
        last = first
        for rows in range(full, 0, -1):
            stack = _size(rows) - 1
            for i in range(box):
                if (rows >> i) & 1:
                    row, before = band * box + i, rows ^ (1 << i)
                    for choice in range(box**stack):
                        for column in range(box):
                            here = stack * box + column
                            value = rest[rows, choice * box + column] + space.weight[row, here]
                            rest[before, choice] = max(rest[before, choice], value)
                            through[row, here] = max(through[row, here], value + part[before, choice])
