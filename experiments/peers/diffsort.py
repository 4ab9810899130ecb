"""Sorting networks by the authors' package, `pip install diffsort==0.2.0` (Petersen et al. 2021, 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import binary_cross_entropy, one_hot

from combdiff.solvers import Solver
from experiments.ranking.relaxations import SoftPermutations


@dataclass
class DiffSort(SoftPermutations):
    """The odd-even network with Cauchy comparators, the package's default; ε is one over its steepness."""

    needs: ClassVar[tuple[str, ...]] = ("strict_orders",)
    comparator: ClassVar[str] = "cauchy"

    def setup(self, solver: Solver, train: Any) -> None:
        from diffsort import DiffSortNet

        if train.mask is not None:
            raise ValueError("diffsort takes no lists of different lengths")
        n = train.solutions.shape[1]
        settings = {"steepness": 1 / self.epsilon, "distribution": self.comparator}
        self._network = cache(lambda device: DiffSortNet("odd_even", n, device, **settings))

    def matrix(self, scores: Tensor, examples: Any) -> Tensor:
        share: Tensor = self._network(scores.device)(scores)[1].mT  # the package has a row for each item
        return share


class DiffSortLogistic(DiffSort):
    """Logistic comparators."""

    comparator: ClassVar[str] = "logistic"


class DiffSortOptimal(DiffSort):
    """Comparators of the least error."""

    comparator: ClassVar[str] = "optimal"


class DiffSortBinary(DiffSort):
    """Cauchy comparators with the loss of the authors' experiments: binary cross-entropy of every entry."""

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        share = self.matrix(scores, examples)
        place = one_hot(examples.solutions.long() - 1, share.shape[-1]).mT.to(share)
        return binary_cross_entropy(share.clamp(0, 1), place, reduction="sum")  # rounded, a share may be above 1


class DiffSortOptimalBinary(DiffSortBinary):
    """Comparators of the least error with that loss."""

    comparator: ClassVar[str] = "optimal"
