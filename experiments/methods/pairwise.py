"""Logistic loss of every pair of a list (RankNet, Burges et al. 2005), which sorts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from combdiff import PairwiseLoss
from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import temperature


@dataclass
class Pairwise(Method):
    """The plain rival: each pair should be in order."""

    needs: ClassVar[tuple[str, ...]] = ("ranks",)
    uses_solver: ClassVar[bool] = False
    options_of_loss: ClassVar[dict[str, Any]] = {}

    epsilon: float = temperature(1.0, "divides the differences of scores")

    def setup(self, solver: Solver, train: Any) -> None:
        self._loss = PairwiseLoss(self.epsilon, reduction="sum", **self.options_of_loss)

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        loss: Tensor = self._loss(scores, examples.solutions, examples.counted)
        return loss
