"""Shortest paths: learn the cost of every tile of an image from nothing but the shortest paths.

Trains a small network end to end through the solver, beside a network that predicts the mask of the path from the same
labels without a solver, two-stage regression on the true costs (the upper reference) and baselines that do not look,
and writes one results folder: config.json, metrics.csv, checkpoints, summary.csv and .json, maps.png, curves.png,
report.html.

Your own maps: --data npz:FILE, with the arrays train_images, val_images, test_images (n, rows·k, cols·k, channels) of
bytes or of floats in [0, 1], and train_paths or train_costs (n, rows, cols), and so on; and, where they are wanted,
..._starts and ..._goals (n, 2) and ..._obstacles (n, rows, cols).

examples:
  python -m experiments shortest-path
  python -m experiments shortest-path --method perturbed --sigma 0.1
  python -m experiments shortest-path --method all --preset sweep
  python -m experiments shortest-path --preset full --splits 5
  python -m experiments shortest-path --data planning:DATA/planning --environment mazes
  python -m experiments shortest-path --solver kernel glop highs --size 6 --method perturbed
  python -m experiments shortest-path --method perturbed my_package.my_module:MyMethod
  python -m experiments shortest-path --resume results/shortest-path/001
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from combdiff.solvers import Solver
from experiments.harness.errors import InputError
from experiments.harness.options import option
from experiments.harness.table import Column, Row
from experiments.harness.task import DataSet, Learned, Task
from experiments.shortest_path import digit_terrain, evaluate, planning, warcraft
from experiments.shortest_path.from_arrays import read_npz
from experiments.shortest_path.maps import Maps, grid_solver
from experiments.shortest_path.models import MODELS, model_solver
from experiments.shortest_path.network import CostNetwork, MaskNetwork

SOURCES = ("digits", "warcraft", "planning", "npz")
DIGIT_SIZE = 12
SWEPT = "perturbed", "perturbed-layer", "interpolation"
SWEEP = {"methods": SWEPT, "maps": 1000, "epochs": 4, "test_maps": 500}
PRESETS: dict[tuple[str, str], dict[str, Any]] = {
    ("sweep", "digits"): {**SWEEP, "validation_maps": 500},
    ("sweep", "planning"): {**SWEEP, "validation_maps": 250, "interpolation.divisor": "geometric"},
    ("full", "digits"): {"maps": 10_000, "epochs": 7},
    ("demo", "warcraft"): {"epochs": 4},
    ("full", "warcraft"): {"maps": 10_000, "epochs": 20},
    ("demo", "planning"): {"maps": 4000, "epochs": 5, "test_maps": 500, "validation_maps": 500},
    ("full", "planning"): {"maps": 8000, "epochs": 20, "test_maps": 500, "validation_maps": 500},
    ("full", "npz"): {"maps": 10_000, "epochs": 20},
}


@dataclass
class ShortestPaths(Task[Maps]):
    """Images of maps, and the shortest path in each."""

    methods: ClassVar[tuple[str, ...]] = ("perturbed", "interpolation", "mask-network", "two-stage")
    backends: ClassVar[tuple[str, ...]] = ("kernel", *MODELS)
    target: ClassVar[str] = "right"
    positive: ClassVar[bool] = True
    columns: ClassVar[tuple[Column, ...]] = (
        Column("optimal", "optimal", "{:.1%}"),
        Column("match", "as labelled", "{:.1%}"),
        Column("ratio", "cost ratio", "{:.4f}"),
        Column("spearman", "Spearman", "{:.3f}"),
        Column("free", "unblocked", "{:.1%}", plain=1.0),
    )

    data: str = option("digits", "digits, warcraft:PATH, planning:PATH or npz:PATH")
    environment: str | None = option(None, "which of the environments, when planning:PATH is a folder")
    terrain: digit_terrain.Terrain = option("smooth", "how digits lie")
    augment: digit_terrain.Augment = option("warp", "how training images of digits are varied")
    size: int | None = option(None, "cells of a map each way (digits: 12)", least=2)
    maps: int = option(5000, "training maps, of files at most what they hold", least=1)
    validation_maps: int = option(1000, "validation maps", least=1)
    test_maps: int = option(1000, "test maps", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        source, _, path = self.data.partition(":")
        if source not in SOURCES or (source == "digits") == bool(path):
            raise InputError(f"data={self.data!r}: write digits, warcraft:PATH, planning:PATH or npz:PATH")
        if self.size is not None and source in ("planning", "npz"):
            raise InputError(f"size={self.size} goes with digits and warcraft: maps of {source} have the file's size")

    @classmethod
    def preset(cls, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        return PRESETS.get((name, str(given.get("data", "digits")).partition(":")[0]), {})

    def describe(self) -> str:
        source, _, path = self.data.partition(":")
        size = self.size or DIGIT_SIZE
        what = {"digits": f"{self.terrain} digit terrain, {size}×{size}", "warcraft": "Warcraft maps"}
        own = f"{source} maps, {self.environment or Path(path).stem}"
        return f"Shortest paths on {what.get(source, own)}: test maps"

    def load(self, split: int) -> DataSet[Maps]:
        source, _, path = self.data.partition(":")
        counts = self.maps, self.validation_maps, self.test_maps
        if source == "digits":
            return digit_terrain.load(self.size or DIGIT_SIZE, self.terrain, split, counts, self.augment)
        if source == "warcraft":
            return warcraft.load(Path(path), self.size, counts)
        if source == "npz":
            return read_npz(Path(path), counts)
        return planning.load(Path(path), self.environment, split, counts)

    def network(self, examples: Maps) -> nn.Module:
        return CostNetwork(examples.images.shape[1], examples.tile)

    def mask_network(self, examples: Maps) -> nn.Module:
        """One that sees the whole map, for what scores no cell by itself."""
        return MaskNetwork(examples.images.shape[1], examples.tile, max(examples.shape))

    def solver(self, backend: str, examples: Maps) -> Solver:
        if backend == "kernel":
            return grid_solver(examples.shape)
        if examples.start is not None:
            raise InputError(f"the solver {backend!r} takes maps from corner to corner only: use kernel")
        return model_solver(backend, examples.shape)

    def score(self, solutions: Tensor, examples: Maps, costs: Tensor | None = None) -> dict[str, float]:
        return evaluate.score(solutions, examples, costs)

    def remarks(self, examples: Maps, metrics: Sequence[Row], learned: Sequence[Learned]) -> list[str]:
        known = examples.true_costs is not None
        return [] if known else ["no true costs: the scores that need them are left out"]

    def baselines(self, examples: Maps) -> dict[str, Tensor]:
        fewest_cells = self.solve(torch.ones_like(examples.paths), examples)
        return {"constant costs": fewest_cells, "straight line": evaluate.straight_line(examples)}

    def pictures(
        self, folder: Path, metrics: Sequence[Row], rows: Sequence[Row], examples: Maps, learned: Sequence[Learned]
    ) -> list[str]:
        from experiments.shortest_path.figures import draw_curves, draw_maps  # slow: trainings have no pictures

        draw_maps(folder / "maps.png", examples, learned)
        draw_curves(folder / "curves.png", metrics, rows, examples, learned)
        return ["maps.png", "curves.png"]
