"""The contrastive loss against the best of a pool (Mulamba et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from combdiff.losses import ContrastiveMAPLoss, NoiseContrastiveLoss
from experiments.methods.noise_contrastive import NoiseContrastive


@dataclass
class ContrastiveMAP(NoiseContrastive):
    """The true solution against the best of those of all training examples, for predicted less true costs."""

    needs: ClassVar[tuple[str, ...]] = ("true_costs", "solutions")
    kind: ClassVar[type[NoiseContrastiveLoss]] = ContrastiveMAPLoss

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        given = {"instances": examples.instances(), "c_true": examples.true_costs}
        return self.layer(self.costs(scores), examples.solutions, **given)
