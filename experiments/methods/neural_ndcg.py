"""One minus the NDCG of a soft permutation (NeuralNDCG, Pobrotyn & Białobrzeski 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from combdiff import SoftNDCGLoss
from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import option, temperature


@dataclass
class NeuralNdcg(Method):
    """`SoftNDCGLoss` of NeuralSort's matrix with its columns and rows scaled; with noise, stochastic NeuralNDCG."""

    needs: ClassVar[tuple[str, ...]] = ("relevance",)
    uses_solver: ClassVar[bool] = False

    epsilon: float = temperature(1.0, "ε, in units of the scores")
    k: int | None = option(None, "places that count for NDCG (default all)", least=1)
    copies: int = option(0, "noisy copies of the scores whose mean loss is taken (0: no noise)", least=0)
    scale: float = option(0.1, "of the noise, in units of the scores", positive=True)

    def setup(self, solver: Solver, train: Any) -> None:
        self._loss = SoftNDCGLoss(
            regularization_strength=self.epsilon,
            method="neuralsort",
            k=self.k,
            samples=self.copies,
            scale=self.scale,
            reduction="sum",
        )

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        loss: Tensor = self._loss(scores, examples.relevance, examples.counted)
        return loss
