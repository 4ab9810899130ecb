"""LAVA (Berden et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from combdiff.losses import AdjacentVerticesLoss
from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import temperature


@dataclass
class LAVA(Method):
    """The true solution has to beat its adjacent vertices by a margin; no solve."""

    needs: ClassVar[tuple[str, ...]] = ("vertex",)
    uses_solver: ClassVar[bool] = False

    margin: float = temperature(1.0, "m, in units of the objective")

    def setup(self, solver: Solver, train: Any) -> None:
        self.layer = AdjacentVerticesLoss(solver, self.margin, "sum")
        self._neighbours = self.task.source.neighbours  # type: ignore[attr-defined]

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return self.layer(self.costs(scores), self._neighbours[examples.vertex])
