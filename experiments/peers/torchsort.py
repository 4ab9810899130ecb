"""Soft ranks by the package torchsort (`make torchsort`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from combdiff.solvers import Solver
from experiments.ranking.relaxations import SoftRanks


@dataclass
class TorchSort(SoftRanks):
    """Squared distance of its l2 soft ranks from the ranks of the labels."""

    regularization: ClassVar[str] = "l2"

    def setup(self, solver: Solver, train: Any) -> None:
        import torchsort

        if train.mask is not None:
            raise ValueError("torchsort takes no lists of different lengths")
        self._soft_rank = torchsort.soft_rank

    def ranks(self, scores: Tensor, examples: Any) -> Tensor:
        found: Tensor = self._soft_rank(
            scores, regularization=self.regularization, regularization_strength=self.epsilon
        )
        return found


class TorchSortKL(TorchSort):
    """Its kl soft ranks."""

    regularization: ClassVar[str] = "kl"
