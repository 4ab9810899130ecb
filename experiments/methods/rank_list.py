"""Listwise learning to rank (Mandi et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from combdiff import SolutionPool
from combdiff.losses import LearningToRankLoss
from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import temperature


@dataclass
class RankList(Method):
    """A softmax over the solutions of all training examples, as the true costs have it."""

    needs: ClassVar[tuple[str, ...]] = ("true_costs", "solutions")
    uses_solver: ClassVar[bool] = False
    kind: ClassVar[Any] = "list"

    tau: float = temperature(1.0, "τ, in units of the objective")

    def setup(self, solver: Solver, train: Any) -> None:
        pool = SolutionPool(solver)
        pool.add(train.solutions, train.instances())
        self.layer = LearningToRankLoss(pool, self.kind, self.tau, reduction="sum")

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return self.layer(self.costs(scores), examples.true_costs, examples.instances())
