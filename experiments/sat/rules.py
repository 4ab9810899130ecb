"""Learning the rules of Sudoku from solved boards, by a network that is told nothing of them: SATNet."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import one_hot

from combdiff.layers import SatNet
from combdiff.solvers import Solver, Sudoku
from experiments.harness.table import Column
from experiments.harness.task import DataSet, Examples
from experiments.sat.boards import as_one_hot
from experiments.sat.source import Source
from experiments.sat.sudoku import DrawnSudoku, Sudoku4, Sudoku9

OneHot = Float[Tensor, "boards n n n"]


@dataclass(frozen=True)
class Symbols(Examples):
    """Sudokus as symbols.

    Attributes:
        inputs: (boards, n, n, n), one-hot digits of the clues; 0 in blanks.
        completion: (boards, n, n, n), one-hot digits of the solved board.
    """

    inputs: OneHot
    completion: OneHot


class RuleNetwork(nn.Module):
    """A `SatNet` with a variable for each digit in each cell; the n of a cell with a clue are given.

    >>> import torch
    >>> RuleNetwork(4, m=10, aux=5)(torch.zeros(2, 4, 4, 4)).shape
    torch.Size([2, 4, 4, 4])
    """

    def __init__(self, n: int, m: int, aux: int, k: int | None = None) -> None:
        super().__init__()
        self.rules = SatNet(n**3, m, aux, k)

    def forward(self, inputs: OneHot) -> OneHot:
        given = (inputs.amax(-1, keepdim=True) > 0).expand_as(inputs)
        found: Tensor = self.rules(inputs.flatten(1), given.flatten(1))
        return found.view_as(inputs)


class Rules(Source):
    """What 4×4 and 9×9 have in common.

    Attributes:
        drawn: whose puzzles they are.
        size: of the network: m, aux and k.
    """

    drawn: ClassVar[type[DrawnSudoku]]
    size: ClassVar[tuple[int, int, int | None]]
    methods: ClassVar[tuple[str, ...]] = ("satnet",)
    target: ClassVar[str] = "boards"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("boards", "boards", "{:.1%}"),
        Column("cells", "blank cells", "{:.2%}"),
    )

    def __init__(self, options: Any, path: str) -> None:
        super().__init__(options, path)
        self.puzzles, self.n = self.drawn(options, path).puzzles, self.drawn.n

    @abstractmethod
    def describe(self) -> str:
        """The title of the table."""

    def load(self, split: int) -> DataSet[Symbols]:
        counts = self.options.boards, self.options.test_boards, self.options.test_boards
        train, validation, test = (
            Symbols(as_one_hot(puzzles), as_one_hot(solutions)) for puzzles, solutions in self.puzzles(counts, split)
        )
        return DataSet(train, validation, test)

    def network(self, examples: Symbols) -> nn.Module:
        return RuleNetwork(self.n, *self.size)

    def solver(self, backend: str, examples: Symbols) -> Solver:
        return Sudoku(self.n)  # which nothing asks: the network is all that solves

    def solve(self, costs: Tensor, examples: Symbols) -> Tensor:
        """The likeliest digit of each cell."""
        return one_hot(costs.argmax(-1), self.n).to(costs.dtype)

    def score(self, solutions: Tensor, examples: Symbols, costs: Tensor | None) -> dict[str, float]:
        """A board is right if every cell is that of the one solution: clues, too."""
        right = (solutions.argmax(-1) == examples.completion.argmax(-1)).flatten(1)
        blank = (examples.inputs.amax(-1) == 0).flatten(1)
        return {"boards": float(right.all(1).double().mean()), "cells": float(right[blank].double().mean())}


class Rules4(Rules):
    """4×4 puzzles that are made."""

    drawn = Sudoku4
    size = (100, 50, None)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        name: {"epochs": epochs, "batch": 40, "learning_rate": 1e-2, "weight_decay": 0.0}
        for name, epochs in (("demo", 5), ("full", 20))
    }

    def describe(self) -> str:
        return "The rules of 4×4 Sudoku, learned from solved boards: test boards"


class Rules9(Rules):
    """9×9 puzzles of a file; the sizes are those of the authors' code."""

    drawn = Sudoku9
    takes_path = True
    size = (600, 300, 32)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        name: {"epochs": epochs, "boards": boards, "batch": 40, "learning_rate": 2e-3, "weight_decay": 0.0}
        for name, epochs, boards in (("demo", 2, 1000), ("full", 3, 9000))
    }

    def describe(self) -> str:
        return f"The rules of 9×9 Sudoku ({self.options.level}), learned from solved boards: test boards"
