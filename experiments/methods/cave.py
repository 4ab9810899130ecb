"""CaVE (Tang & Khalil 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from combdiff.losses import ConeAlignedLoss
from combdiff.solvers import Solver
from experiments.harness.method import Method


@dataclass
class CaVE(Method):
    """Costs in the cone that makes the true solution optimal; no solve."""

    needs: ClassVar[tuple[str, ...]] = ("vertex",)
    uses_solver: ClassVar[bool] = False

    def setup(self, solver: Solver, train: Any) -> None:
        self.layer = ConeAlignedLoss(solver, "edges", reduction="sum")
        self._neighbours = self.task.source.neighbours  # type: ignore[attr-defined]

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return self.layer(self.costs(scores), self._neighbours[examples.vertex])
