"""The exact solution forward, the Jacobian under noise backward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import combdiff
from combdiff.solvers import Solver
from experiments.harness.layer_method import LayerMethod
from experiments.harness.options import option, temperature


@dataclass
class StraightThrough(LayerMethod):
    """The exact solution forward, the Jacobian of the mean solution under noise backward (Jang et al. 2017)."""

    normalises: ClassVar[bool] = False

    sigma: float = temperature(0.3, "σ, the scale of the noise")
    samples: int = option(8, "noisy solves an example", least=1)

    def make(self, solver: Solver) -> combdiff.StraightThrough:
        return combdiff.StraightThrough(combdiff.Perturbed(solver, self.sigma, self.samples))
