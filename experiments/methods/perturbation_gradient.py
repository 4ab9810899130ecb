"""Perturbation gradients (Huang & Gupta 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from combdiff.losses import PerturbationGradientLoss
from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import option, temperature


@dataclass
class PerturbationGradient(Method):
    """The decision's true cost, by a difference of optimal values."""

    needs: ClassVar[tuple[str, ...]] = ("true_costs", "solutions")

    width: float = temperature(3.0, "h, in units of predicted over units of true costs")
    difference: Literal["backward", "forward", "central"] = option("backward", "which sides")

    def setup(self, solver: Solver, train: Any) -> None:
        self.layer = PerturbationGradientLoss(solver, self.width, self.difference, "sum")

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return self.layer(self.costs(scores), examples.true_costs, examples.solutions, examples.instances())
