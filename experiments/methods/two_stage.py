"""Two-stage regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import mse_loss

from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.task import Examples


@dataclass
class TwoStage(Method):
    """Regression on the true costs, which no other method sees: the upper reference."""

    needs_costs: ClassVar[bool] = True
    uses_solver: ClassVar[bool] = False

    def setup(self, solver: Solver, train: Examples) -> None:
        self._mean, self._scale = float(train.costs.mean()), float(train.costs.std())

    def costs(self, scores: Float[Tensor, b * shape]) -> Float[Tensor, b * shape]:
        return (scores * self._scale + self._mean).clamp(min=0.01 * self._mean)

    def objective(self, scores: Float[Tensor, b * shape], examples: Examples) -> Float[Tensor, ""]:
        wanted = ((examples.costs - self._mean) / self._scale).to(scores.dtype)
        return len(examples) * mse_loss(scores, wanted)
