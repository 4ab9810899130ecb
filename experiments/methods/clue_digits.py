"""A classifier of the clues of a Sudoku with their true digits: the upper reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from combdiff.solvers import Solver
from experiments.harness.method import Method


@dataclass
class ClueDigits(Method):
    """Cross-entropy of the digit of every clue; no gradient passes a solver."""

    needs: ClassVar[tuple[str, ...]] = ("clues",)
    uses_solver: ClassVar[bool] = False

    def setup(self, solver: Solver, train: Any) -> None:
        pass

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        digits = getattr(examples, self.needs[0])
        known = digits > 0
        return cross_entropy(scores[known], digits[known] - 1, reduction="sum")
