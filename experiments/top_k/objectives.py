"""What the methods of top-k classification have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from combdiff import SoftTopKLoss
from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import option, temperature


@dataclass
class TopKObjective(Method):
    """Minus the logarithm of the share of the label in the first place and in the first k, half of each by default."""

    needs: ClassVar[tuple[str, ...]] = ("classes",)
    uses_solver: ClassVar[bool] = False
    operator: ClassVar[dict[str, Any]] = {}

    epsilon: float = temperature(1.0, "ε, in units of the scores")
    first: float = option(0.5, "weight of the first place alone; the rest is that of the first k", positive=True)

    def setup(self, solver: Solver, train: Any) -> None:
        if self.first > 1:
            raise ValueError(f"first={self.first} must be at most 1: it is a weight")
        k = self.task.k  # type: ignore[attr-defined]
        weights = {1: self.first, k: 1.0 - self.first} if k > 1 else {1: 1.0}
        self._loss = SoftTopKLoss(weights, regularization_strength=self.epsilon, **self.operator)

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return len(examples) * self._loss(scores, examples.labels)
