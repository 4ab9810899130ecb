"""Perturbed costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

import combdiff
from combdiff.solvers import Solver
from experiments.harness.method import Method, solution_loss
from experiments.harness.options import option
from experiments.harness.task import Examples


@dataclass
class Perturbed(Method):
    """Smoothed by noise on the costs; by default with the Fenchel–Young loss, which needs only the solutions."""

    sigma: float = option(0.3, "temperature: scale of the noise", positive=True)
    samples: int = option(8, "noisy solves an example", least=1)
    noise: Literal["gaussian", "gumbel"] = option("gaussian", "on the costs")
    mode: Literal["additive", "multiplicative"] = option("additive", "how the noise changes the costs")
    loss: Literal["fenchel-young", "hamming", "squared"] | None = option(
        None, "on the solutions: fenchel-young (default of perturbed), hamming (of interpolation), squared"
    )

    def setup(self, solver: Solver, train: Examples) -> None:
        # pairs lower the variance of y, and raise that of the layer's own gradient
        fenchel_young = self.loss is None or self.loss == "fenchel-young"
        pairs = fenchel_young and self.noise == "gaussian" and self.samples % 2 == 0
        layer = combdiff.Perturbed(solver, self.sigma, self.samples, self.noise, self.mode, antithetic=pairs)
        self.layer, self._fenchel_young = layer, combdiff.FenchelYoungLoss(layer, reduction="sum")

    def objective(self, scores: Float[Tensor, b * shape], examples: Examples) -> Float[Tensor, ""]:
        assert self.layer is not None
        costs, instances = self.costs(scores), examples.instances()
        if self.loss is None or self.loss == "fenchel-young":
            value: Tensor = self._fenchel_young(costs, examples.solutions, instances)
            return value
        return solution_loss(self.loss, self.layer(costs, instances), examples.solutions)
