"""One minus the NDCG of soft ranks, or of a soft permutation; `neural_ndcg` is that of NeuralSort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from combdiff import SoftNDCGLoss
from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import option, temperature


@dataclass
class SoftNdcg(Method):
    """`SoftNDCGLoss`."""

    needs: ClassVar[tuple[str, ...]] = ("relevance",)
    uses_solver: ClassVar[bool] = False

    epsilon: float = temperature(1.0, "ε, in units of the scores")
    operator: Literal["pav", "lapsum", "sigmoid", "neuralsort", "softsort", "sinkhorn"] = option(
        "pav", "what relaxes the order"
    )
    k: int | None = option(None, "places that count for NDCG (default all)", least=1)

    def setup(self, solver: Solver, train: Any) -> None:
        self._loss = SoftNDCGLoss(regularization_strength=self.epsilon, method=self.operator, k=self.k, reduction="sum")

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        loss: Tensor = self._loss(scores, examples.relevance, examples.counted)
        return loss
