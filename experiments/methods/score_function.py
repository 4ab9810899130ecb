"""The score function estimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

import combdiff
from combdiff.solvers import Solver
from experiments.harness.layer_method import LayerMethod
from experiments.harness.options import option, temperature


@dataclass
class ScoreFunction(LayerMethod):
    """The expected loss of whole solutions (the task's, or the entries that differ), by REINFORCE."""

    normalises: ClassVar[bool] = False

    sigma: float = temperature(0.3, "σ, the scale of the noise")
    samples: int = option(8, "noisy solves an example", least=1)
    baseline: Literal["leave-one-out", "solution", "none"] = option("leave-one-out", "taken off the losses")

    def make(self, solver: Solver) -> combdiff.ScoreFunction:
        return combdiff.ScoreFunction(solver, self.sigma, self.samples, baseline=self.baseline)

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        def losses(y: Tensor) -> Tensor:
            return self.task.losses(y, examples)

        return self.layer.expected_loss(losses, self.costs(scores), examples.instances()).sum()
