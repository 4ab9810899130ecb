"""Visual Sudoku: a network reads the clues, the solver knows the rules, and the solution is the only label."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from combdiff.solvers import Solver, Sudoku
from combdiff_solvers.protocol import Status
from experiments.digits import pools, read_mnist, scans
from experiments.harness.errors import InputError
from experiments.harness.table import Column, Row
from experiments.harness.task import DataSet, Learned, distance
from experiments.sat.boards import Boards, Grids, deduce, digits_of, draw_boards, given
from experiments.sat.figures import draw_boards_of
from experiments.sat.puzzles import PuzzleFile, make_puzzles
from experiments.sat.reader import BoardNetwork, ClueReader, augment
from experiments.sat.source import Source

SAMPLES = {"perturbed.samples": 2, "perturbed-layer.samples": 2}
"""noise in all cells of a 9×9 board makes it a hard one: a pair of solves an example"""


class SudokuSource(Source):
    """What 4×4, 9×9 and photographs have in common."""

    backends = "auto", "kernel", "rc2", "cp_sat"
    n: ClassVar[int]
    methods: ClassVar[tuple[str, ...]] = (
        *("perturbed", "perturbed-layer", "interpolation"),
        *("clue-deduced", "board-network", "clue-digits"),
    )
    target: ClassVar[str] = "boards"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("boards", "boards", "{:.1%}"),
        Column("cells", "cells", "{:.1%}"),
        Column("read", "clues read", "{:.2%}"),
        Column("alone", "without solver", "{:.1%}"),
        Column("unproven", "not proven", "{:.1%}", plain=0.0),
    )
    time_limit: float | None = None
    _proven: tuple[Tensor | None, float] = None, 0.0  # the solutions that were found last, and the share of OPTIMAL

    @abstractmethod
    def parts(self, split: int) -> tuple[Boards, Boards, Boards]:
        """Train, validation and test boards, with all cells labelled (see `load`)."""

    def load(self, split: int) -> DataSet[Boards]:
        train, validation, test = self.parts(split)
        if self.options.supervision == "blanks":
            train, validation = self.hide_clues(train), self.hide_clues(validation)
            if not (bool(train.solutions.any()) and bool(validation.solutions.any())):
                raise InputError("supervision=blanks: the boards have no blank cells; choose --supervision boards")
        if self.options.labelled < 1:
            chance = torch.rand(train.shown.shape, generator=torch.Generator().manual_seed(split))
            train = replace(train, solutions=train.solutions * (chance < self.options.labelled)[..., None])
        train = replace(train, deduced=deduce(train.labels, self.solver("auto", train)) * train.shown)
        return DataSet(train, validation, test, augment=augment)

    @staticmethod
    def hide_clues(boards: Boards) -> Boards:
        """Without the labels of all cells that show a clue."""
        return replace(boards, solutions=boards.solutions * ~boards.shown[..., None])

    def network(self, examples: Boards) -> nn.Module:
        return ClueReader(self.n, examples.inputs.shape[-1])

    def board_network(self, examples: Boards) -> nn.Module:
        """The rival that knows no rules."""
        return BoardNetwork(self.n, examples.inputs.shape[-1], self.n, self.options.supervision == "blanks")

    def solver(self, backend: str, examples: Boards) -> Solver:
        return Sudoku(self.n, "max", backend, threads=1, time_limit=self.time_limit)  # type: ignore[arg-type]

    def solve(self, costs: Tensor, examples: Boards) -> Tensor:
        found = self.solver("auto", examples).solve(costs.detach().double().reshape(len(costs), -1).numpy())
        y = torch.from_numpy(found.y).reshape(costs.shape)
        self._proven = y, float((found.status == Status.OPTIMAL).mean())
        return y

    def completed(self, costs: Tensor, examples: Boards) -> Tensor:
        """The labelled boards; where clues have no label, the best for θ of those that have the digits of the blanks.

        With it, ȳ in ⟨c, ȳ⟩ − F(c), the Fenchel–Young loss is the least over all boards that agree with the labels
        (the infimum loss of Cabannes et al. 2020; Stewart et al. 2023 use it with perturbed solvers).
        """
        labels = examples.labels
        if bool((labels > 0).all()):
            return examples.solutions
        rows = costs.detach().double().reshape(len(costs), -1).numpy()
        found = self.solver("auto", examples).solve(rows, given(labels))
        return torch.from_numpy(found.y).reshape(costs.shape).to(costs.dtype)

    def loss(self, y: Tensor, examples: Boards) -> Tensor:
        """The distance in the cells that are labelled."""
        labelled = examples.labels > 0
        return distance("hamming", y[labelled], examples.solutions[labelled])

    def score(self, solutions: Tensor, examples: Boards, costs: Tensor | None) -> dict[str, float]:
        labels, blank = examples.labels, ~examples.shown
        wrong = (digits_of(solutions) != labels) & (labels > 0)
        scores = {
            "boards": float((~wrong).flatten(1).all(1).double().mean()),
            "cells": float((~wrong)[labels > 0].double().mean()),
            **dict.fromkeys(("read", "alone", "unproven"), float("nan")),
        }
        if costs is not None:
            tells = costs.amax(-1) > costs.amin(-1)
            guess = torch.where(tells, costs.argmax(-1) + 1, 0)
            if bool(tells[examples.shown].any()):
                scores["read"] = float((guess == examples.clues)[examples.shown].double().mean())
            if bool(tells[blank].any()):
                scores["alone"] = float(((guess == labels) | ~blank).flatten(1).all(1).double().mean())
            if self._proven[0] is solutions:
                scores["unproven"] = 1 - self._proven[1]
        return scores

    def baselines(self, examples: Boards) -> dict[str, Tensor]:
        return {"any board": self.solve(torch.zeros_like(examples.solutions), examples)}

    def pictures(
        self, folder: Path, metrics: Sequence[Row], rows: Sequence[Row], examples: Boards, learned: Sequence[Learned]
    ) -> list[str]:
        draw_boards_of(folder / "boards.png", examples, learned)
        return ["boards.png"]


class DrawnSudoku(SudokuSource):
    """Boards whose clues are drawn from images of handwritten digits."""

    @abstractmethod
    def puzzles(self, counts: tuple[int, ...], split: int) -> Sequence[tuple[Grids, Grids]]:
        """Puzzles and solutions, so many in each part."""

    def parts(self, split: int) -> tuple[Boards, Boards, Boards]:
        kind, _, path = self.options.digits.partition(":")
        if (kind, bool(path)) not in (("scans", False), ("mnist", True)):
            raise InputError(f"digits={self.options.digits!r} must be scans or mnist:FILE")
        images, labels = read_mnist(Path(path)) if path else scans()
        counts = self.options.boards, self.options.test_boards, self.options.test_boards
        drawn = zip(self.puzzles(counts, split), pools(images, labels, split), strict=True)
        first, second, third = (draw_boards(*grids, pool, (split, k)) for k, (grids, pool) in enumerate(drawn))
        return first, second, third

    def describe(self) -> str:
        labelled = {"blanks": "the blanks are labelled", "boards": "all cells are labelled"}
        return f"{self.n}×{self.n} Sudokus of handwritten digits, {labelled[self.options.supervision]}: test boards"


class Sudoku4(DrawnSudoku):
    """4×4 puzzles that are made."""

    n = 4
    presets: ClassVar[dict[str, dict[str, Any]]] = {"demo": {"epochs": 5}, "full": {"epochs": 10}}

    def puzzles(self, counts: tuple[int, ...], split: int) -> Sequence[tuple[Grids, Grids]]:
        seen: set[bytes] = set()
        rng = np.random.default_rng(split)
        return [make_puzzles(count, self.options.clues, rng, seen) for count in counts]


class Sudoku9(DrawnSudoku):
    """9×9 puzzles of a file."""

    n = 9
    takes_path = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "demo": {"epochs": 3, "boards": 500, "test_boards": 200, "time_limit": 0.1, **SAMPLES},
        "full": {"epochs": 6, "boards": 2000, **SAMPLES},
    }

    def __init__(self, options: Any, path: str) -> None:
        super().__init__(options, path)
        self.time_limit = options.time_limit

    def describe(self) -> str:
        return f"{super().describe()} ({self._file().stem})"

    def puzzles(self, counts: tuple[int, ...], split: int) -> Sequence[tuple[Grids, Grids]]:
        return PuzzleFile(self._file()).draw(counts, split)

    def _file(self) -> Path:
        return self.path / f"{self.options.level}.txt" if self.path.is_dir() else self.path
