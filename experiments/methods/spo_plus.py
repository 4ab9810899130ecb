"""SPO+ (Elmachtoub & Grigas 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from combdiff.losses import SPOPlusLoss
from combdiff.solvers import Solver
from experiments.harness.method import Method


@dataclass
class SPOPlus(Method):
    """A convex bound of the regret, from true costs."""

    needs: ClassVar[tuple[str, ...]] = ("true_costs", "solutions")

    def setup(self, solver: Solver, train: Any) -> None:
        self.layer = SPOPlusLoss(solver, "sum")

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return self.layer(self.costs(scores), examples.true_costs, examples.solutions, examples.instances())
