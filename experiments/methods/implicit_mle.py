"""Implicit maximum likelihood estimation."""

from __future__ import annotations

from dataclasses import dataclass

import combdiff
from combdiff.solvers import Solver
from experiments.harness.layer_method import LayerMethod
from experiments.harness.options import option, temperature


@dataclass
class ImplicitMLE(LayerMethod):
    """Solutions under noise, against those of a target distribution under the same noise (Niepert et al. 2021)."""

    lam: float = temperature(20.0, "λ, for the loss of one example")
    sigma: float = option(0.3, "σ, the scale of the noise", positive=True)
    samples: int = option(8, "noisy solves an example", least=1)

    def make(self, solver: Solver) -> combdiff.ImplicitMLE:
        return combdiff.ImplicitMLE(solver, self.lam, self.sigma, self.samples)
