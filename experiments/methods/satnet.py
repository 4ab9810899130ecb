"""A network that completes truth values itself: SATNet (Wang et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from combdiff.solvers import Solver
from experiments.harness.method import Method


@dataclass
class Satnet(Method):
    """Binary cross-entropy of the truth values that the network of the task, a `SatNet`, answers with: no solver."""

    needs: ClassVar[tuple[str, ...]] = ("completion",)
    uses_solver: ClassVar[bool] = False

    def setup(self, solver: Solver, train: Any) -> None:
        pass

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return binary_cross_entropy(scores, examples.completion) * len(scores)
