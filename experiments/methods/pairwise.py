"""Logistic loss of every pair of a list (RankNet, Burges et al. 2005), which sorts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import temperature


@dataclass
class Pairwise(Method):
    """The plain rival: each pair should be in order."""

    needs: ClassVar[tuple[str, ...]] = ("solutions", "counted")
    uses_solver: ClassVar[bool] = False

    epsilon: float = temperature(1.0, "divides the differences of scores")

    def setup(self, solver: Solver, train: Any) -> None:
        pass

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        both = examples.counted[:, :, None] & examples.counted[:, None, :]
        above = both & (examples.solutions[:, :, None] > examples.solutions[:, None, :])
        return self.penalty((scores[:, None, :] - scores[:, :, None])[above] / self.epsilon).sum()

    def penalty(self, behind: Tensor) -> Tensor:
        """The loss of each pair by how far, in units of ε, the item that should be ahead is behind."""
        return softplus(behind)
