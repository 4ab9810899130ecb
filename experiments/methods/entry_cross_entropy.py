"""A classifier of each entry of the solution by itself, which knows nothing of what is feasible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from combdiff.solvers import Solver
from experiments.harness.method import Method


@dataclass
class EntryCrossEntropy(Method):
    """Logistic regression of every entry of the solution; in the test, the solver finds the likeliest solution.

    Its θ are the logits. Where costs have to be positive they are −log p, for the solution whose entries are the
    likeliest to be 1, all of them at once; what they say of the others does not count.
    """

    needs: ClassVar[tuple[str, ...]] = ("binary_solutions",)
    uses_solver: ClassVar[bool] = False

    def setup(self, solver: Solver, train: Any) -> None:
        self._sign = solver.sense.sign

    def costs(self, scores: Tensor) -> Tensor:
        return softplus(-scores) if self.task.positive else -self._sign * scores

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return binary_cross_entropy_with_logits(scores, examples.binary_solutions.to(scores.dtype), reduction="sum")
