"""The regularized argmin over the hull of the solutions, with its Fenchel–Young loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

import combdiff
from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import option, temperature


@dataclass
class FrankWolfe(Method):
    """SparseMAP by Frank–Wolfe, with its Fenchel–Young loss, which needs only the solutions (Niculae et al. 2018)."""

    epsilon: float = temperature(1.0, "ε, the weight of the regularizer")
    omega: Literal["quadratic", "entropy"] = option("quadratic", "the regularizer")
    max_solves: int = option(30, "rounds of an example", least=1)

    def setup(self, solver: Solver, train: Any) -> None:
        self.layer = combdiff.FrankWolfe(solver, self.epsilon, self.omega, self.max_solves)
        self._loss = combdiff.FenchelYoungLoss(self.layer, reduction="sum")

    def advice_arguments(self, scores: Tensor, examples: Any) -> dict[str, Any]:
        given = {"method": self._loss, "target": self.task.completed(self.costs(scores), examples)}
        return {"theta": self.costs(scores), "instances": examples.instances(), **given}

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        costs = self.costs(scores)
        return self._loss(costs, self.task.completed(costs, examples), examples.instances())
