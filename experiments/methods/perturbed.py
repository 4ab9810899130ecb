"""Perturbed costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

import combdiff
from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import option, temperature


@dataclass
class Perturbed(Method):
    """Smoothed by noise on the costs; by default with the Fenchel–Young loss, which needs only the solutions."""

    sigma: float = temperature(0.3, "σ, the scale of the noise")
    samples: int = option(8, "noisy solves an example", least=1)
    noise: Literal["gaussian", "gumbel"] = option("gaussian", "on the costs")
    mode: Literal["additive", "multiplicative"] = option("additive", "how the noise changes the costs")
    loss: Literal["fenchel-young", "hamming", "squared", "task"] | None = option(
        None, "on the solutions: fenchel-young (default of perturbed), hamming, squared, or task (of the others)"
    )

    def setup(self, solver: Solver, train: Any) -> None:
        self._fenchel_young = self.loss in (None, "fenchel-young")
        # pairs lower the variance of y, and raise that of the layer's own gradient
        pairs = self._fenchel_young and self.noise == "gaussian" and self.samples % 2 == 0
        self.layer = combdiff.Perturbed(solver, self.sigma, self.samples, self.noise, self.mode, antithetic=pairs)
        self._potential = combdiff.FenchelYoungLoss(self.layer, reduction="sum")

    def advice_arguments(self, scores: Tensor, examples: Any) -> dict[str, Any]:
        if self._fenchel_young:
            given = {"method": self._potential, "target": self.task.completed(self.costs(scores), examples)}
        else:
            given = {"method": self.layer, "loss": lambda y: self.solution_loss(self.loss or "task", y, examples)}
        return {"theta": self.costs(scores), "instances": examples.instances(), **given}

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        costs, instances = self.costs(scores), examples.instances()
        if self._fenchel_young:
            return self._potential(costs, self.task.completed(costs, examples), instances)
        return self.solution_loss(self.loss or "task", self.layer(costs, instances), examples)
