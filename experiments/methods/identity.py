"""The solver as minus the identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import combdiff
from combdiff.solvers import Solver
from experiments.harness.layer_method import LayerMethod
from experiments.harness.options import option


@dataclass
class Identity(LayerMethod):
    """The exact solution forward, minus the identity backward (Sahoo et al. 2023)."""

    projection: Literal["none", "mean", "norm", "mean-norm"] = option("norm", "of the costs, backward")

    def make(self, solver: Solver) -> combdiff.Identity:
        return combdiff.Identity(solver, self.projection)
