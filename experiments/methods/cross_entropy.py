"""Cross-entropy of the labels: the plain rival of top-k losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from combdiff.solvers import Solver
from experiments.harness.method import Method


@dataclass
class CrossEntropy(Method):
    """Cross-entropy of the labels."""

    needs: ClassVar[tuple[str, ...]] = ("classes",)
    uses_solver: ClassVar[bool] = False

    def setup(self, solver: Solver, train: Any) -> None:
        pass

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return nn.functional.cross_entropy(scores, examples.labels, reduction="sum")
