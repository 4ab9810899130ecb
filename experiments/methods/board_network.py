"""A network that fills in a Sudoku from its image, without a solver (the ConvNet of Wang et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from combdiff.solvers import Solver
from experiments.harness.method import Method


@dataclass
class BoardNetwork(Method):
    """Cross-entropy of the labelled cells; in the test, the solver makes a board of the scores."""

    needs: ClassVar[tuple[str, ...]] = ("solutions", "shown")
    uses_solver: ClassVar[bool] = False

    def setup(self, solver: Solver, train: Any) -> None:
        pass

    def network(self, train: Any) -> nn.Module:
        network: nn.Module = self.task.source.board_network(train)  # type: ignore[attr-defined]
        return network

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        labels = examples.labels
        known = labels > 0
        return cross_entropy(scores[known], labels[known] - 1, reduction="sum")
