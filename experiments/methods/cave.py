"""CaVE (Tang & Khalil 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from combdiff.losses import ConeAlignedLoss
from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import option


@dataclass
class CaVE(Method):
    """Costs in the cone that makes the true solution optimal; no solve."""

    needs: ClassVar[tuple[str, ...]] = ("vertex",)
    uses_solver: ClassVar[bool] = False

    inner: float = option(0.0, "ρ, how far inside of the cone to aim, from 0 to below 1")

    def setup(self, solver: Solver, train: Any) -> None:
        self.layer = ConeAlignedLoss(solver, inner=self.inner, reduction="sum")

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return self.layer(self.costs(scores), self.task.source.normals[examples.vertex])
