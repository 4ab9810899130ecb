"""Two-stage regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import mse_loss

from combdiff.solvers import Solver
from experiments.harness.method import Method


@dataclass
class TwoStage(Method):
    """Regression on the true costs, which no other method sees: the upper reference."""

    needs: ClassVar[tuple[str, ...]] = ("true_costs",)
    uses_solver: ClassVar[bool] = False

    def setup(self, solver: Solver, train: Any) -> None:
        self._mean, self._scale = 0.0, 1.0
        if not self.task.scores_are_costs:
            self._mean, self._scale = float(train.true_costs.mean()), float(train.true_costs.std())

    def costs(self, scores: Tensor) -> Tensor:
        costs = scores * self._scale + self._mean
        return costs.clamp(min=0.01 * self._mean) if self.task.positive else costs

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        wanted = ((examples.true_costs - self._mean) / self._scale).to(scores.dtype)
        return len(examples) * mse_loss(scores, wanted)
