"""Grids for `ShortestPath`: who may go where, and the ends of each row's path."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped, UInt8
from numpy import ndarray

from combdiff_solvers.compute.threads import for_rows
from combdiff_solvers.instances import ColumnInstances
from combdiff_solvers.problems.shortest_path.found import Found
from combdiff_solvers.problems.shortest_path.grid_kernels import grid_paths
from combdiff_solvers.protocol import Rows, Status, as_whole


@dataclass(frozen=True, eq=False)
class GridInstances(ColumnInstances):
    """The start, goal and obstacles of each row of a batch, as arrays.

    What is None is as the solver was told. It is a sequence with one item, a mapping, for each row.

    Args:
        start: (b, 2) integers, (row, column).
        goal: (b, 2) integers.
        obstacles: (b, rows, cols), true where no path may go.

    Raises:
        ValueError: when all are None, or the numbers of rows differ.

    >>> trips = GridInstances(start=np.array([[0, 0], [2, 1]]), goal=np.array([[2, 2], [0, 0]]))
    >>> len(trips), trips[1]["start"]
    (2, array([2, 1]))
    """

    start: Shaped[ndarray, "b 2"] | None = None
    goal: Shaped[ndarray, "b 2"] | None = None
    obstacles: Shaped[ndarray, "b rows cols"] | None = None


class GridPaths:
    """Paths over the cells of a grid with vertex costs."""

    acyclic = False

    def __init__(
        self,
        rows: int,
        cols: int,
        neighbors: int,
        start: tuple[int, int],
        goal: tuple[int, int],
        obstacles: ndarray | None,
    ) -> None:
        if rows < 1 or cols < 1:
            raise ValueError(f"a grid of {rows} rows and {cols} columns has no cells")
        if neighbors not in (4, 8):
            raise ValueError(f"neighbors={neighbors} must be 4 or 8")
        self.shape: tuple[int, ...] = (rows, cols)
        moves = [step for step in product((-1, 0, 1), repeat=2) if 0 < step[0] ** 2 + step[1] ** 2 <= neighbors // 4]
        self._steps = np.array(moves, dtype=np.int64)
        self._start = self._vertex("start", start)
        self._goal = self._vertex("goal", goal)
        self._walls = self._as_walls(np.zeros((1, rows, cols)) if obstacles is None else np.asarray(obstacles)[None])

    def _vertex(self, name: str, cell: tuple[int, int]) -> int:
        vertex = int(self._vertices(np.array([[as_whole(name, axis) for axis in cell]]))[0])
        if vertex < 0:
            raise ValueError(f"{name}={tuple(cell)} lies outside the grid of {self.shape[0]}×{self.shape[1]} cells")
        return vertex

    def _vertices(self, cells: Int[ndarray, "b 2"]) -> Int[ndarray, " b"]:
        """The numbers of cells, −1 for those outside the grid."""
        size = np.array(self.shape)
        inside = ((cells >= -size) & (cells < size)).all(axis=1)
        row, col = np.where(cells < 0, cells + size, cells).T
        return np.where(inside, row * self.shape[1] + col, -1)

    def _as_walls(self, obstacles: ndarray) -> UInt8[ndarray, "b n"]:
        if obstacles.shape[1:] != self.shape:
            raise ValueError(f"obstacles have shape {obstacles.shape[1:]}, but the grid is {self.shape}")
        return np.ascontiguousarray(obstacles.astype(bool).reshape(len(obstacles), -1), dtype=np.uint8)

    def search(self, cost: Rows, negative: int, instances: Any, threads: int | None, found: Found) -> dict[int, str]:
        """Write the paths into `found`; the messages on rows whose instance is an ERROR."""
        batch = len(cost)
        start, goal, walls = np.full(batch, self._start), np.full(batch, self._goal), self._walls
        messages: dict[int, str] = {}
        if instances is not None and batch:
            given = GridInstances.of(instances)
            starts, goals = (given.whole(name, (2,), messages) for name in ("start", "goal"))
            obstacles = given.flags("obstacles", self.shape, messages)
            start = start if starts is None else self._ends("start", starts, messages)
            goal = goal if goals is None else self._ends("goal", goals, messages)
            walls = walls if obstacles is None else self._as_walls(obstacles)
            found.status[list(messages)] = Status.ERROR
        n = cost.shape[1]
        for_rows(
            grid_paths, batch, cost, negative, start, goal, walls, *self.shape, self._steps, *found,
            threads=threads, grain=1 + 4096 // n,
        )  # fmt: skip
        return messages

    def _ends(self, name: str, cells: Int[ndarray, "b 2"], messages: dict[int, str]) -> Int[ndarray, " b"]:
        vertices = self._vertices(cells)
        for row in np.flatnonzero(vertices < 0).tolist():
            cell = tuple(cells[row].tolist())
            messages.setdefault(row, f"{name}={cell} lies outside the grid of {self.shape[0]}×{self.shape[1]} cells")
        return vertices
