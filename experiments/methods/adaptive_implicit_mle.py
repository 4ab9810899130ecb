"""Adaptive implicit maximum likelihood estimation."""

from __future__ import annotations

from dataclasses import dataclass

import combdiff
from combdiff.solvers import Solver
from experiments.harness.layer_method import LayerMethod
from experiments.harness.options import option, temperature


@dataclass
class AdaptiveImplicitMLE(LayerMethod):
    """Implicit MLE whose λ keeps the gradient sparse (Minervini et al. 2023)."""

    alpha: float = temperature(1.0, "α, where λ begins, over the ratio of the norms of costs and gradient")
    sigma: float = option(0.3, "σ, the scale of the noise", positive=True)
    samples: int = option(8, "noisy solves an example", least=1)

    def make(self, solver: Solver) -> combdiff.AdaptiveImplicitMLE:
        return combdiff.AdaptiveImplicitMLE(solver, self.alpha, self.sigma, self.samples)
