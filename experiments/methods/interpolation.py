"""Black-box interpolation."""

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
class Interpolation(Method):
    """The exact solution forward, an interpolation backward. Costs are divided by their mean, else they collapse."""

    lam: float = option(20.0, "temperature λ, for the loss of one example", positive=True)
    loss: Literal["fenchel-young", "hamming", "squared"] | None = option(None, "on the solutions")

    def setup(self, solver: Solver, train: Examples) -> None:
        if self.loss == "fenchel-young":
            raise ValueError("the loss 'fenchel-young' needs a smoothed layer (--method perturbed), not interpolation")
        self.layer = combdiff.Interpolation(solver, lam=self.lam)

    def costs(self, scores: Float[Tensor, b * shape]) -> Float[Tensor, b * shape]:
        costs = super().costs(scores)
        return costs / costs.mean(tuple(range(1, costs.ndim)), keepdim=True)

    def objective(self, scores: Float[Tensor, b * shape], examples: Examples) -> Float[Tensor, ""]:
        assert self.layer is not None
        y = self.layer(self.costs(scores), examples.instances())
        return solution_loss(self.loss or "hamming", y, examples.solutions)
