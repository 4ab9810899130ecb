"""The noise-contrastive loss (Mulamba et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from combdiff import SolutionPool
from combdiff.losses import NoiseContrastiveLoss
from combdiff.solvers import Solver
from experiments.harness.method import Method


@dataclass
class NoiseContrastive(Method):
    """The true solution against the mean of those of all training examples."""

    needs: ClassVar[tuple[str, ...]] = ("whole_solutions",)
    uses_solver: ClassVar[bool] = False
    kind: ClassVar[type[NoiseContrastiveLoss]] = NoiseContrastiveLoss

    def setup(self, solver: Solver, train: Any) -> None:
        pool = SolutionPool(solver)
        pool.add(train.solutions, train.instances())
        self.layer = self.kind(pool, reduction="sum")

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return self.layer(self.costs(scores), examples.solutions, examples.instances())
