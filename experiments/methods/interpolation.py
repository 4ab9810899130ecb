"""Black-box interpolation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

import combdiff
from combdiff.solvers import Solver
from experiments.harness.layer_method import LayerMethod
from experiments.harness.options import option, temperature


@dataclass
class Interpolation(LayerMethod):
    """The exact solution forward, an interpolation backward; costs are divided by their mean size, or they collapse.

    A network may put nearly all of the mean on cells that no path needs, such as the rim of a maze: all other costs are
    then next to 0, and so are their gradients. A geometric mean is hardly moved by a few cells.
    """

    lam: float = temperature(20.0, "λ, for the loss of one example")
    divisor: Literal["mean", "geometric"] = option("mean", "of the costs, which the geometric mean wants positive")

    def setup(self, solver: Solver, train: Any) -> None:
        if self.divisor == "geometric" and not self.task.positive:
            raise ValueError("divisor='geometric' needs a task whose costs are positive, such as shortest-path: mean")
        super().setup(solver, train)

    def costs(self, scores: Tensor) -> Tensor:
        costs = super().costs(scores)
        if self.divisor == "mean":
            return costs
        return costs / costs.log().mean(tuple(range(1, costs.ndim)), keepdim=True).exp()

    def make(self, solver: Solver) -> combdiff.Interpolation:
        return combdiff.Interpolation(solver, self.lam)
