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
from experiments.decisions.examples import Decisions, Source
from experiments.harness.task import DataSet

SIZE = 5
FEATURES = 5
FIRST_SEED = 42  # of the data of split 0


class GridPaths(Source):
    """The benchmark of the field: 5×5 vertices, 40 edges, 5 features, a linear model that cannot be right."""

    methods: ClassVar[tuple[str, ...]] = (
        *("two-stage", "spo-plus", "perturbation-gradient", "perturbed", "perturbed-layer", "interpolation"),
        *("structured-hinge", "noise-contrastive", "contrastive-map", "rank-list", "rank-pair", "rank-point"),
        *("lava", "cave"),
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        name: {
            "epochs": 20,
            "batch": 32,
            "learning_rate": 1e-2,
            "weight_decay": 0.0,
            "schedule": "constant",
            "perturbed.sigma": 1.0,
            "perturbed.samples": 3,
            "perturbed-layer.sigma": 1.0,
            "perturbed-layer.samples": 3,
        }
        for name in ("demo", "full", "sweep")
    }

    def describe(self) -> str:
        about = self.options
        return f"Shortest paths on a {SIZE}×{SIZE} grid, degree {about.degree}, noise {about.noise}: test examples"

    def load(self, split: int) -> DataSet[Decisions]:
        """The examples of the data seed 42 + split.

        Those for training and for the test are the ones of the published benchmark, one call of its generator; those
        for validation are drawn after them, by the same matrix.
        """
        about = self.options
        counts = about.examples, about.test_examples, about.validation_examples
        rng = np.random.RandomState(FIRST_SEED + split)  # its stream of draws is the benchmark's
        edges = grid_edges(SIZE)
        matrix = rng.binomial(1, 0.5, (len(edges), FEATURES))
        parts = [draw(rng, matrix, counts[0] + counts[1], about.degree, about.noise)]
        parts.append(draw(rng, matrix, counts[2], about.degree, about.noise))
        inputs, costs, means = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        solutions = self.solver().solve(costs.astype(np.float64)).y
        columns = [torch.from_numpy(column).float() for column in (inputs, costs, solutions, means)]
        columns.append((columns[2] @ self._paths.T).argmax(1))  # all paths have the same length
        parts_of = (torch.split(column, list(counts)) for column in columns)
        train, test, validation = (Decisions(*part) for part in zip(*parts_of, strict=True))
        return DataSet(train, validation, test)

    def solver(self, examples: Decisions | None = None) -> Solver:
        return ShortestPath.graph(grid_edges(SIZE), 0, SIZE * SIZE - 1, negative="exact", threads=1)

    @cached_property
    def _paths(self) -> Tensor:
        return torch.from_numpy(all_paths(grid_edges(SIZE), 0, SIZE * SIZE - 1)).float()

    @cached_property
    def neighbours(self) -> Neighbours:  # type: ignore[override]
        return Neighbours.among(self._paths, self._paths, complete=True)


def draw(
    rng: np.random.RandomState, matrix: Int64[ndarray, "n p"], count: int, degree: int, noise: float
) -> tuple[Float64[ndarray, "count p"], ndarray, Float64[ndarray, "count n"]]:
    """Features, costs in single precision, and the expected costs, in the order of draws of PyEPO's `genData`."""
    x = rng.normal(0, 1, (count, matrix.shape[1]))
    means = ((x @ matrix.T / np.sqrt(matrix.shape[1]) + 3) ** degree + 1) / 3.5**degree
    return x, (means * rng.uniform(1 - noise, 1 + noise, means.shape)).astype(np.float32), means


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
