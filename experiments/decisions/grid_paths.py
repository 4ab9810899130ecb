"""Shortest paths on a grid whose edges all lead right or down, with generated costs (Elmachtoub & Grigas 2022, 6.1)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy import ndarray
from torch import Tensor

from combdiff.polyhedra import Neighbours
from combdiff.solvers import ShortestPath, Solver
from experiments.decisions.examples import Decisions
from experiments.decisions.generated import METHODS, TRAINING, Drawn, Generated
from experiments.harness.run import PRESETS

SIZE = 5
SETTINGS: dict[str, Any] = {
    **TRAINING,
    "perturbed-layer.sigma": 3.0,
    "interpolation.lam": 60.0,
    "lagrangian-proximal.tau": 60.0,
}


class GridPaths(Generated):
    """The benchmark of the field: 5×5 vertices, 40 edges, 5 features, a linear model that cannot be right."""

    features: ClassVar[int] = 5
    methods: ClassVar[tuple[str, ...]] = (*METHODS, "frank-wolfe", "lava", "cave")
    presets: ClassVar[dict[str, dict[str, Any]]] = dict.fromkeys(PRESETS, SETTINGS)

    def describe(self) -> str:
        about = self.options
        return f"Shortest paths on a {SIZE}×{SIZE} grid, degree {about.degree}, noise {about.noise}: test examples"

    def fixed(self, rng: np.random.RandomState) -> tuple[ndarray, ...]:
        return (rng.binomial(1, 0.5, (len(grid_edges(SIZE)), self.features)),)

    def draw(self, rng: np.random.RandomState, fixed: tuple[ndarray, ...], count: int) -> Drawn:
        x = rng.normal(0, 1, (count, self.features))
        means = (self.polynomial(x, fixed[0]) + 1) / 3.5**self.options.degree
        return x, (means * self.noise(rng, means.shape)).astype(np.float32), means

    def examples(self, fixed: tuple[ndarray, ...], columns: list[Tensor]) -> Decisions:
        return Decisions(*columns, vertex=(columns[2] @ self._paths.T).argmax(1))  # all paths have the same length

    def decider(self, fixed: tuple[ndarray, ...]) -> Solver:
        return ShortestPath.graph(grid_edges(SIZE), 0, SIZE * SIZE - 1, negative="exact", threads=1)

    def solver(self, examples: Decisions) -> Solver:
        return self.decider(())

    @cached_property
    def _paths(self) -> Tensor:
        return torch.from_numpy(all_paths(grid_edges(SIZE), 0, SIZE * SIZE - 1)).float()

    @cached_property
    def neighbours(self) -> Neighbours:  # type: ignore[override]
        return Neighbours.among(self._paths, self._paths, complete=True)


def grid_edges(size: int) -> Int64[ndarray, "edges 2"]:
    """The edges of a grid, those that lead right and those that lead down, row by row.

    >>> grid_edges(2).tolist()
    [[0, 1], [0, 2], [1, 3], [2, 3]]
    """
    edges = []
    for row in range(size):
        edges += [(row * size + column, row * size + column + 1) for column in range(size - 1)]
        if row < size - 1:
            edges += [(row * size + column, (row + 1) * size + column) for column in range(size)]
    return np.array(edges)


def all_paths(edges: Int64[ndarray, "edges 2"], source: int, target: int) -> Float64[ndarray, "paths edges"]:
    """Every path of a small graph without cycles, as 0/1 vectors.

    >>> all_paths(grid_edges(2), 0, 3)
    array([[1., 0., 1., 0.],
           [0., 1., 0., 1.]])
    """

    def walk(vertex: int) -> Iterator[list[int]]:
        if vertex == target:
            yield []
        for edge in np.flatnonzero(edges[:, 0] == vertex).tolist():
            yield from ([edge, *rest] for rest in walk(int(edges[edge, 1])))

    found = list(walk(source))
    y = np.zeros((len(found), len(edges)))
    for row, path in zip(y, found, strict=True):
        row[path] = 1.0
    return y
