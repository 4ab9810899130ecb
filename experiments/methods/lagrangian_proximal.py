"""Lagrangian proximal gradient descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import combdiff
from combdiff.solvers import Solver
from experiments.harness.layer_method import LayerMethod
from experiments.harness.options import option, temperature


@dataclass
class LagrangianProximal(LayerMethod):
    """The exact solution forward, a finite difference on one or both sides backward (Paulus et al. 2024)."""

    tau: float = temperature(20.0, "τ, for the loss of one example")
    side: Literal["average", "lower", "upper"] = option("average", "of the finite difference")

    def make(self, solver: Solver) -> combdiff.LagrangianProximal:
        return combdiff.LagrangianProximal(solver, self.tau, self.side)
