"""What every data source hands over: images, true costs, and the shortest paths to learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from torch import Tensor

from combdiff.solvers import GridInstances, ShortestPath
from experiments.harness.errors import InputError
from experiments.harness.task import Examples


@dataclass(frozen=True)
class Maps(Examples):
    """A set of maps and one labelled path in each.

    Methods learn from `images` and `paths` (and the ends); `true_costs` and `blocked` are the truth that only two-stage
    training and the evaluation see.

    Attributes:
        images: pixels, 0 to 255, `tile` × `tile` of them for each cell.
        true_costs: the cost of each cell, positive; None where nobody knows it.
        paths: 0/1, a path of the least true cost.
        start, goal: (row, column) of its ends; None: the first and the last cell.
        blocked: cells that no path may enter, if there are any.
    """

    images: UInt8[Tensor, "n channels height width"]
    true_costs: Float64[Tensor, "n rows cols"] | None
    paths: Float32[Tensor, "n rows cols"]
    start: Int64[Tensor, "n 2"] | None = None
    goal: Int64[Tensor, "n 2"] | None = None
    blocked: Bool[Tensor, "n rows cols"] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the grid."""
        _, rows, cols = self.paths.shape
        return rows, cols

    @property
    def costs(self) -> Float64[Tensor, "n rows cols"]:
        """The true costs of maps that have them."""
        if self.true_costs is None:
            raise InputError("these maps have no true costs")
        return self.true_costs

    @property
    def inputs(self) -> Float32[Tensor, "n channels height width"]:
        """Pixels from 0 to 1."""
        return self.images.float() / 255

    @property
    def solutions(self) -> Float32[Tensor, "n rows cols"]:
        """The labelled paths."""
        return self.paths

    @property
    def tile(self) -> int:
        """Pixels of a cell, each way."""
        return self.images.shape[-1] // self.shape[1]

    def instances(self) -> GridInstances | None:
        """The ends of each path. The solver is never told what is blocked: that is to be learned."""
        if self.start is None or self.goal is None:
            return None
        return GridInstances(start=self.start.cpu().numpy(), goal=self.goal.cpu().numpy())

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Start and goal of every map, (n, 2) each."""
        if self.start is not None and self.goal is not None:
            return self.start.numpy(), self.goal.numpy()
        last = np.array(self.shape) - 1
        return np.zeros((len(self), 2), dtype=np.int64), np.tile(last, (len(self), 1))


def grid_solver(shape: tuple[int, int]) -> ShortestPath:
    """Paths with 8 neighbours, on the one thread of a training; negative costs, which smoothing makes, count as 0."""
    return ShortestPath.grid(*shape, negative="clamp", threads=1)
