"""Black-box interpolation."""

from __future__ import annotations

from dataclasses import dataclass

import combdiff
from combdiff.solvers import Solver
from experiments.harness.layer_method import LayerMethod
from experiments.harness.options import temperature


@dataclass
class Interpolation(LayerMethod):
    """The exact solution forward, an interpolation backward; costs are divided by their mean size, or they collapse."""

    lam: float = temperature(20.0, "λ, for the loss of one example")

    def make(self, solver: Solver) -> combdiff.Interpolation:
        return combdiff.Interpolation(solver, self.lam)
