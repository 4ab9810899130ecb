"""The Fenchel–Young loss of soft ranks (Blondel et al. 2020, section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from combdiff.losses import SoftRankFenchelYoungLoss
from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import temperature


@dataclass
class SoftRankFenchelYoung(Method):
    """Convex in the scores; its gradient is how far their soft ranks are from the true ones."""

    needs: ClassVar[tuple[str, ...]] = ("ranks",)
    uses_solver: ClassVar[bool] = False

    epsilon: float = temperature(1.0, "ε, in units of the scores")

    def setup(self, solver: Solver, train: Any) -> None:
        self._loss = SoftRankFenchelYoungLoss(regularization_strength=self.epsilon, reduction="sum")

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return self._loss(scores, examples.solutions, mask=examples.counted)
