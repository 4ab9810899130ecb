"""A classifier of each entry of the solution by itself, which knows nothing of what is feasible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from combdiff.solvers import Solver
from experiments.harness.method import Method


@dataclass
class EntryCrossEntropy(Method):
    """Logistic regression of every entry of the solution; in the test, the solver takes its logits for θ."""

    uses_solver: ClassVar[bool] = False

    def setup(self, solver: Solver, train: Any) -> None:
        self._sign = solver.sense.sign

    def costs(self, scores: Tensor) -> Tensor:
        return -self._sign * scores

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return binary_cross_entropy_with_logits(scores, examples.solutions.to(scores.dtype), reduction="sum")
