"""What the methods that relax an order have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from combdiff.soft import soft_permutation, soft_rank
from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import temperature

LEAST = 1e-12  # a share of a place; below, its logarithm has no gradient


@dataclass
class SoftRanks(Method):
    """Squared distance of soft ranks from the ranks of the labels."""

    uses_solver: ClassVar[bool] = False
    options_of_soft_rank: ClassVar[dict[str, Any]] = {}

    epsilon: float = temperature(1.0, "ε, in units of the scores")

    def setup(self, solver: Solver, train: Any) -> None:
        pass

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return (self.ranks(scores, examples) - examples.solutions)[examples.counted].square().sum()

    def ranks(self, scores: Tensor, examples: Any) -> Tensor:
        """The soft ranks of the scores."""
        return soft_rank(
            scores, regularization_strength=self.epsilon, mask=examples.counted, **self.options_of_soft_rank
        )


@dataclass
class SoftPermutations(Method):
    """Cross-entropy of a soft permutation matrix: how surely each item is in its place."""

    needs: ClassVar[tuple[str, ...]] = ("strict_orders",)
    uses_solver: ClassVar[bool] = False
    relaxation: ClassVar[str]

    epsilon: float = temperature(1.0, "ε, in units of the scores")

    def setup(self, solver: Solver, train: Any) -> None:
        pass

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        place = (examples.solutions.long() - 1).clamp(min=0)
        share = (
            self.matrix(scores, examples).gather(-2, place.unsqueeze(-2)).squeeze(-2)
        )  # of each item in its own place
        return -share[examples.counted].clamp(min=LEAST).log().sum()

    def matrix(self, scores: Tensor, examples: Any) -> Tensor:
        """The share of each place (a row) that each item (a column) has."""
        return soft_permutation(scores, self.epsilon, mask=examples.counted, method=self.relaxation)
