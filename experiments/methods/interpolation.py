"""Black-box interpolation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

import combdiff
from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import option, temperature


@dataclass
class Interpolation(Method):
    """The exact solution forward, an interpolation backward; costs are divided by their mean size, or they collapse."""

    lam: float = temperature(20.0, "λ, for the loss of one example")
    loss: Literal["fenchel-young", "hamming", "squared", "task"] | None = option(None, "on the solutions")

    def setup(self, solver: Solver, train: Any) -> None:
        if self.loss == "fenchel-young":
            raise ValueError("the loss 'fenchel-young' needs a smoothed layer (--method perturbed), not interpolation")
        self.layer = combdiff.Interpolation(solver, lam=self.lam)

    def costs(self, scores: Tensor) -> Tensor:
        costs = super().costs(scores)
        dims = tuple(range(1, costs.ndim))
        if self.task.shift_invariant:
            costs = costs - costs.mean(dims, keepdim=True)
        return costs / costs.abs().mean(dims, keepdim=True).clamp(min=1e-12)  # costs that are all 0 stay so

    def advice_arguments(self, scores: Tensor, examples: Any) -> dict[str, Any]:
        loss = {"loss": lambda y: self.solution_loss(self.loss or "task", y, examples)}
        return {"method": self.layer, "theta": self.costs(scores), "instances": examples.instances(), **loss}

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return self.solution_loss(self.loss or "task", self.layer(self.costs(scores), examples.instances()), examples)
