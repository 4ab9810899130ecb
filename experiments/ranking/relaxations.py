"""What the methods that relax an order have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from combdiff.soft import SoftPermutation, SoftRank
from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import temperature

LEAST = 1e-12  # a share of a place; below, its logarithm has no gradient


@dataclass
class SoftRanks(Method):
    """Squared distance of soft ranks from the ranks of the labels."""

    needs: ClassVar[tuple[str, ...]] = ("ranks",)
    uses_solver: ClassVar[bool] = False
    options_of_soft_rank: ClassVar[dict[str, Any]] = {}

    epsilon: float = temperature(1.0, "ε, in units of the scores")
    operator: Any = field(default=None, init=False, repr=False)

    def setup(self, solver: Solver, train: Any) -> None:
        self.operator = SoftRank(regularization_strength=self.epsilon, **self.options_of_soft_rank)

    def advice_arguments(self, scores: Tensor, examples: Any) -> dict[str, Any]:
        if self.operator is None:
            return super().advice_arguments(scores, examples)
        loss = {"loss": lambda ranks: self._distance(ranks, examples)}
        return {"method": self.operator, "theta": scores, "mask": examples.counted, **loss}

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return self._distance(self.ranks(scores, examples), examples)

    def ranks(self, scores: Tensor, examples: Any) -> Tensor:
        """The soft ranks of the scores."""
        return self.operator(scores, mask=examples.counted)

    def _distance(self, ranks: Tensor, examples: Any) -> Tensor:
        return (ranks - examples.solutions)[examples.counted].square().sum()


@dataclass
class SoftPermutations(Method):
    """Cross-entropy of a soft permutation matrix: how surely each item is in its place."""

    needs: ClassVar[tuple[str, ...]] = ("strict_orders",)
    uses_solver: ClassVar[bool] = False
    relaxation: ClassVar[str]

    epsilon: float = temperature(1.0, "ε, in units of the scores")
    operator: Any = field(default=None, init=False, repr=False)

    def setup(self, solver: Solver, train: Any) -> None:
        self.operator = SoftPermutation(self.epsilon, method=self.relaxation)

    def advice_arguments(self, scores: Tensor, examples: Any) -> dict[str, Any]:
        if self.operator is None:
            return super().advice_arguments(scores, examples)
        loss = {"loss": lambda matrix: self._cross_entropy(matrix, examples)}
        return {"method": self.operator, "theta": scores, "mask": examples.counted, **loss}

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return self._cross_entropy(self.matrix(scores, examples), examples)

    def matrix(self, scores: Tensor, examples: Any) -> Tensor:
        """The share of each place (a row) that each item (a column) has."""
        return self.operator(scores, mask=examples.counted)

    def _cross_entropy(self, matrix: Tensor, examples: Any) -> Tensor:
        place = (examples.solutions.long() - 1).clamp(min=0)
        share = matrix.gather(-2, place.unsqueeze(-2)).squeeze(-2)  # of each item in its own place
        return -share[examples.counted].clamp(min=LEAST).log().sum()
